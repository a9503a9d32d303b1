//! Common parts of the samplers that learn: values to choose from, rewards, small nets, and the policy gradient.

mod levels;
mod policy;
mod policy_gradient;
mod reward;
mod tape;

pub(super) use levels::Levels;
pub(super) use policy::{Policy, PolicyKind};
pub(super) use policy_gradient::{Baseline, PolicyGradient, PolicyGradientConfig};
pub(super) use reward::{Reward, costs, ranks, rewards};
pub(super) use tape::{Adam, Layout, Linear, Map, Tape, Var};

#[cfg(test)]
mod tests {
    //! Tests that hold for every sampler that learns.

    use crate::tuner::{Direction, Distribution, Optimize, Parameter, Space, Study, StudyConfig, Value};
    use std::collections::BTreeMap;

    const LEARNED: [&str; 8] = [
        "q-learning",
        "q-learning:state=paper",
        "reinforce:batch=4,lr=0.05",
        "reinforce:policy=rnn,batch=2,horizon=3,baseline=mean",
        "nas:batch=4",
        "deep-q:over=5",
        "deep-q:net=lstm,width=4,gamma=0.5,over=5",
        "deep-q:explore=thompson",
    ];

    /// Depth decides what there is to choose; one parameter has a single value.
    fn space() -> Space {
        Space::new([
            Parameter::new("depth", Distribution::int(1, 3)),
            Parameter::new("width", Distribution::log_int(1, 4096)).when("depth", [2, 3]),
            Parameter::new("gate", Distribution::categorical(["only"])).when("depth", [3]),
            Parameter::new("lr", Distribution::log_float(1e-5, 1.0)),
            Parameter::new("drop", Distribution::stepped_float(0.0, 0.5, 0.1)).when("gate", ["only"]),
        ])
        .unwrap()
    }

    /// Trials of a study whose objective is NaN now and then, and now and then breaks; one trial is the user's own.
    fn trials(sampler: &str, n_jobs: usize, n_trials: usize) -> Vec<String> {
        let config = StudyConfig {
            sampler: sampler.into(),
            directions: vec![Direction::Maximize],
            lag: 3,
            seed: 5,
            ..StudyConfig::default()
        };
        let study = Study::in_memory(space(), config).unwrap();
        study.enqueue(&BTreeMap::from([("lr".to_owned(), Value::Float(0.37))])).unwrap();
        let options = Optimize { n_trials, n_jobs, ..Optimize::default() };
        let objective = |trial: &crate::tuner::ActiveTrial<'_>| match trial.number() % 7 {
            5 => Ok(f64::NAN.into()),
            6 => Err("broken".into()),
            _ => Ok((-trial.float("lr")?.log10().abs() - trial.float("depth")?).into()),
        };
        study.optimize(&options, objective).unwrap();
        study.trials().unwrap().iter().map(|trial| format!("{:?} {:?}", trial.params, trial.values)).collect()
    }

    #[test]
    fn one_worker_and_three_try_the_same_though_trials_fail() {
        for sampler in LEARNED {
            let (one, three) = (trials(sampler, 1, 20), trials(sampler, 3, 20));
            assert!(one.len() >= 26, "{sampler}: {}", one.len());
            // The last ones may be begun by one more worker than are needed.
            let n = one.len().min(three.len());
            assert_eq!(one[..n], three[..n], "{sampler}");
        }
    }

    #[test]
    fn a_space_with_one_point_is_no_trouble() {
        let space = Space::new([Parameter::new("x", Distribution::categorical(["only"]))]).unwrap();
        for sampler in LEARNED {
            let config = StudyConfig { sampler: sampler.into(), ..StudyConfig::default() };
            let study = Study::in_memory(space.clone(), config).unwrap();
            let options = Optimize { n_trials: 9, ..Optimize::default() };
            study.optimize(&options, |trial| Ok((trial.number() as f64).into())).unwrap();
            assert_eq!(study.trials().unwrap().len(), 9, "{sampler}");
        }
    }
}
