//! One episode of a line search: a task minimized as published, on its full batch.

use super::rollout::Run;
use super::tasks::Task;
use crate::dqn::Judge;
use crate::driver::{LineSearch, LineSearchError, minimize};
use crate::policy::Policy;

/// Minimizes the loss on the task's full batch by plain gradient descent, whatever the task's optimizer, in as many
/// steps as its horizon has.
///
/// With `evaluate_decisions` the run holds the evaluation of every candidate that the policy was asked about. The
/// policy is then asked about the last candidate too, because a truncated episode bootstraps from there. Without, the
/// run holds only the evaluation of the result x_T.
///
/// # Errors
/// When the policy names no action.
pub fn line_search_rollout(
    task: &mut Task,
    search: LineSearch,
    policy: &mut dyn Policy,
    evaluate_decisions: bool,
) -> Result<Run, LineSearchError> {
    let horizon = task.horizon as usize;
    let (config, start) = (search.config(), task.start.clone());
    let (mut evaluations, mut step) = (Vec::new(), 0);
    let full_batch = |x: &[f32], grad: &mut [f32]| {
        let loss = f64::from(task.problem.full_batch(x, grad));
        let is_finite = loss.is_finite() && grad.iter().all(|g| g.is_finite());
        let is_asked = !config.is_warm_up(step) && (is_finite || step == 0);
        if is_asked && step < task.horizon && evaluate_decisions {
            // The full batch is the evaluation batch.
            evaluations.push(if task.judge == Judge::Loss { loss } else { task.evaluate(x) });
        }
        step += 1;
        loss
    };
    // The candidate that the last decision leads to is never evaluated.
    let n_steps = horizon + usize::from(evaluate_decisions);
    let found = minimize(full_batch, &start, policy, search, n_steps)?;
    if !evaluate_decisions {
        evaluations = vec![task.evaluate(&found.x)];
    }
    Ok(Run { evaluations, inner_steps: task.horizon })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{Card, Controller, FeatureSet, OnlineConfig, Pretrained};
    use crate::dqn::{Exploration, Explorer, QNetwork};
    use crate::driver::DriverConfig;
    use crate::meta::recipe::TrainingRecipe;
    use crate::policy::Signals;
    use crate::policy::{Decision, Reason};
    use crate::rng::stream;
    use crate::{Action, Driver};
    use std::sync::Arc;

    fn recipe() -> TrainingRecipe {
        let text =
            "schema = 1\nname = 'test'\ndescription = 'test'\ncontrols = 'lr'\nmoves = ['halve', 'accept']\nfeatures = 'hansen6'
            [line_search]\nmemory = 4\n[training.tasks]\noptimizers = [1.0, 0.0, 0.0, 0.0]\nhorizon = [30, 30]";
        TrainingRecipe::parse(text, "test").unwrap()
    }

    fn task(recipe: &TrainingRecipe, seed: u64) -> Task {
        Task::draw(&recipe.training.tasks, &mut stream(seed, "task"))
    }

    fn search(recipe: &TrainingRecipe, task: &Task) -> LineSearch {
        LineSearch::new(
            task.lr,
            task.weight_decay,
            recipe.controller.line_search.unwrap(),
            recipe.controller.driver_config(None),
        )
        .unwrap()
    }

    fn actor(recipe: &TrainingRecipe, seed: u64) -> Controller {
        let network = QNetwork::new(6, &[8], 2, true, &mut stream(1, "network"));
        exploring(recipe, Exploration::default(), network, seed)
    }

    fn exploring(recipe: &TrainingRecipe, exploration: Exploration, network: QNetwork, seed: u64) -> Controller {
        let odds = recipe.controller.controls.drift_free_odds(&recipe.controller.moves);
        let explorer = Explorer::new(exploration, &odds).unwrap();
        recipe.with_networks(vec![network]).exploring(explorer, 0.0, stream(seed, "actor"))
    }

    struct Accept;
    impl Policy for Accept {
        fn decide(&mut self, _: &Signals) -> Decision {
            Decision::of(Action::ACCEPT, Reason::Policy)
        }
    }

    #[test]
    fn always_accepting_is_gradient_descent_on_the_full_batch() {
        let recipe = recipe();
        for seed in 0..4 {
            let mut task = task(&recipe, seed);
            (task.lr, task.weight_decay) = (0.01, 0.0);
            let start = search(&recipe, &task);
            let run = line_search_rollout(&mut task, start, &mut Accept, false).unwrap();
            let (mut x, mut grad) = (task.start.clone(), vec![0.0; task.start.len()]);
            for _ in 1..task.horizon {
                task.problem.full_batch(&x, &mut grad);
                x.iter_mut().zip(&grad).for_each(|(x, g)| *x -= 0.01 * g);
            }
            let expected = task.problem.evaluate(&x);
            assert!((run.final_loss() - expected).abs() < 1e-4 * expected.abs(), "{} {expected}", run.final_loss());
            assert_eq!((run.evaluations.len(), run.inner_steps), (1, 30));
        }
    }

    #[test]
    fn an_episode_holds_the_agents_own_decisions_alone() {
        let recipe = recipe();
        let mut n_lost = 0;
        for seed in 0..12 {
            let mut task = task(&recipe, seed);
            // Starts high enough that some candidates are not finite.
            task.lr = if seed % 2 == 0 { 1e6 } else { 0.1 };
            let mut actor = actor(&recipe, seed);
            let start = search(&recipe, &task);
            let run = line_search_rollout(&mut task, start, &mut actor, true).unwrap();
            let n_asked = run.evaluations.len();
            assert!(n_asked <= 27, "the first three steps of thirty are the warm-up");
            assert!(run.evaluations.iter().all(|f| f.is_finite()));
            n_lost += 27 - n_asked;
            let Some(episode) =
                actor.into_episode(&run.evaluations, &recipe.training.reward, &recipe.training.agent, false)
            else {
                assert!(n_asked < 2);
                continue;
            };
            assert_eq!((episode.len(), episode.observations.len()), (n_asked - 1, 6 * n_asked));
            for (f, &reward) in run.evaluations.windows(2).zip(&episode.rewards) {
                assert!((reward - recipe.training.reward.reward(false, f[0], f[1])).abs() < 1e-9);
            }
        }
        assert!(n_lost > 0, "no candidate was lost; raise the start");
    }

    #[test]
    fn a_controller_with_the_networks_of_an_agent_sees_and_does_the_same() {
        for features in ["hansen6", "scalefree"] {
            let mut recipe = recipe();
            recipe.controller.features =
                if features == "hansen6" { FeatureSet::Hansen6 } else { FeatureSet::Scalefree };
            let n = recipe.controller.features.names().len();
            let network = QNetwork::new(n, &[8], 2, true, &mut stream(1, "network"));
            let greedy = Exploration::Softmax { temperature: 1e-9 };
            let card = Card { recipe_hash: recipe.whole().hash(), ..Card::default() };
            let pretrained =
                Pretrained::new(recipe.whole(), vec![network.clone()], vec![[-1.0, 1.0]; n], card).unwrap();
            let pretrained = Arc::new(pretrained);
            for seed in 0..6 {
                let task = task(&recipe, seed);
                let mut actor = exploring(&recipe, greedy, network.clone(), 0);
                let mut controller = Controller::new(pretrained.clone());
                let start = search(&recipe, &task);
                let lived = line_search_rollout(&mut task.clone(), start.clone(), &mut actor, true).unwrap();
                let used = line_search_rollout(&mut task.clone(), start, &mut controller, true).unwrap();
                assert_eq!(lived, used, "{features}, seed {seed}");
            }
            let refused = Controller::new(pretrained).online(OnlineConfig::default(), 0).err().unwrap().to_string();
            assert!(refused.contains("searches along lines"), "{refused}");
        }
    }

    #[test]
    fn the_reward_of_the_paper_pays_an_accepted_candidate_for_itself() {
        let mut recipe = recipe();
        recipe.training.reward =
            toml::from_str("clip = 1e6\n[inverse_distance]\nc1 = 2.0\nc2 = 3.0\nlower_bound = -1.0").unwrap();
        let mut task = task(&recipe, 2);
        task.lr = 0.5;
        let mut actor = actor(&recipe, 3);
        let start = search(&recipe, &task);
        let run = line_search_rollout(&mut task, start, &mut actor, true).unwrap();
        let episode =
            actor.into_episode(&run.evaluations, &recipe.training.reward, &recipe.training.agent, false).unwrap();
        assert!(episode.actions.contains(&0) && episode.actions.contains(&1));
        for (t, &action) in episode.actions.iter().enumerate() {
            let f = &run.evaluations;
            // Action 1 is accept.
            let expected = if action == 1 { 3.0 / (f[t] + 1.0) } else { 2.0 / (f[t + 1] + 1.0) };
            assert!((f64::from(episode.rewards[t]) - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn a_driver_refuses_a_policy_for_line_searches_and_names_what_to_use() {
        let recipe = recipe();
        let error = Driver::new(actor(&recipe, 0), 0.1, 0.0, DriverConfig::default()).err().unwrap().to_string();
        assert!(error.contains("driver::LineSearch") && error.contains("QLineSearch"), "{error}");
        let boxed: Box<dyn Policy> = Box::new(actor(&recipe, 0));
        assert!(boxed.searches_lines());
        assert!(Driver::new(boxed, 0.1, 0.0, DriverConfig::default()).is_err());
    }
}
