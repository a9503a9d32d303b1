use super::*;
use crate::rng::stream;

const N_DRAWS: usize = 200_000;

/// Odds of halve, accept and grow, and what each does to the learning rate.
const ODDS: [f64; 3] = [0.12, 0.50, 0.38];
const FACTORS: [f64; 3] = [0.5, 1.0, 1.25];

fn epsilon_greedy(epsilon: f64, sticky_decisions: f64, prior: ActionPrior) -> Exploration {
    let epsilon = EpsilonSchedule::Constant(epsilon);
    Exploration::EpsilonGreedy(EpsilonGreedy { epsilon, sticky_decisions, prior, ..EpsilonGreedy::default() })
}

/// The choices of a long run with fixed Q-values.
fn choices(exploration: Exploration, q: &[f32], n: usize) -> Vec<Choice> {
    let mut rng = stream(11, "exploration test");
    let mut explorer = Explorer::new(exploration, &ODDS).unwrap();
    (0..n).map(|_| explorer.act(q, 0.0, &mut rng)).collect()
}

fn shares(choices: &[Choice]) -> [f64; 3] {
    let count = |a| choices.iter().filter(|c| c.action == a).count() as f64 / choices.len() as f64;
    [count(0), count(1), count(2)]
}

#[track_caller]
fn near(found: [f64; 3], expected: [f64; 3], tolerance: f64) {
    let worst = found.iter().zip(&expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
    assert!(worst < tolerance, "{found:?} instead of {expected:?}");
}

#[test]
fn a_random_walk_of_sticky_exploration_does_not_drift() {
    let mean_log_step = |prior| {
        let all = choices(epsilon_greedy(1.0, 4.0, prior), &[0.0, 0.0, 0.0], N_DRAWS);
        all.iter().map(|c| FACTORS[c.action].ln()).sum::<f64>() / N_DRAWS as f64
    };
    // Standard error about 0.002.
    assert!(mean_log_step(ActionPrior::DriftFree).abs() < 0.006);
    assert!((mean_log_step(ActionPrior::Uniform) + 0.157).abs() < 0.01);
}

#[test]
fn exploring_actions_come_as_0_12_to_0_50_to_0_38_and_exactly_an_epsilon_of_the_decisions_explore() {
    for sticky_decisions in [1.0, 4.0, 20.0] {
        let all = choices(epsilon_greedy(0.3, sticky_decisions, ActionPrior::DriftFree), &[0.0, 0.0, 1.0], N_DRAWS);
        let explored: Vec<Choice> = all.iter().copied().filter(|c| c.explored).collect();
        let share = explored.len() as f64 / N_DRAWS as f64;
        assert!((share - 0.3).abs() < 0.02, "{share} of the decisions explore, {sticky_decisions} sticky");
        near(shares(&explored), [0.12, 0.50, 0.38], 0.03);
        assert!(all.iter().filter(|c| !c.explored).all(|c| c.action == 2));
    }
}

#[test]
fn a_random_action_sticks_for_a_geometric_number_of_decisions() {
    // Many actions, so that two runs of repeats in a row are almost never of the same one.
    let mut rng = stream(3, "sticky");
    let exploration = epsilon_greedy(1.0, 5.0, ActionPrior::Uniform);
    let mut explorer = Explorer::new(exploration, &[1.0; 1000]).unwrap();
    let mut lengths = vec![0usize];
    let mut last = usize::MAX;
    for _ in 0..N_DRAWS {
        let action = explorer.act(&[0.0; 1000], 0.0, &mut rng).action;
        if action != last {
            lengths.push(0);
        }
        *lengths.last_mut().unwrap() += 1;
        last = action;
    }
    let runs = &lengths[1..];
    let share = |k: usize| runs.iter().filter(|&&n| n == k).count() as f64 / runs.len() as f64;
    for k in 1..5 {
        let expected = 0.2 * 0.8f64.powi(k as i32 - 1);
        assert!((share(k) - expected).abs() < 0.01, "length {k}: {} instead of {expected}", share(k));
    }
}

#[test]
fn without_epsilon_it_is_greedy_and_a_new_run_lets_go() {
    let all = choices(epsilon_greedy(0.0, 4.0, ActionPrior::DriftFree), &[0.0, 2.0, 1.0], 1000);
    assert!(all.iter().all(|c| c.action == 1 && !c.explored));
    let mut rng = stream(5, "reset");
    let mut explorer = Explorer::new(epsilon_greedy(1.0, 1e6, ActionPrior::DriftFree), &ODDS).unwrap();
    let actions_of_runs: Vec<usize> = (0..200)
        .map(|_| {
            explorer.reset();
            explorer.act(&[0.0; 3], 0.0, &mut rng).action
        })
        .collect();
    assert!((0..3).all(|a| actions_of_runs.contains(&a)), "each run draws anew");
}

#[test]
fn parallel_episodes_explore_unequally() {
    let config = EpsilonGreedy {
        epsilon: EpsilonSchedule::Constant(0.4),
        spread: 7.0,
        sticky_decisions: 1.0,
        ..EpsilonGreedy::default()
    };
    let rate = |index| {
        let mut rng = stream(index as u64, "parallel");
        let exploration = Exploration::EpsilonGreedy(config);
        let mut explorer = Explorer::new(exploration, &ODDS).unwrap().in_parallel(index, 3);
        (0..50_000).filter(|_| explorer.act(&[0.0; 3], 0.0, &mut rng).explored).count() as f64 / 50_000.0
    };
    for (index, expected) in [(0, 0.4f64), (1, 0.4f64.powf(4.5)), (2, 0.4f64.powi(8))] {
        assert!((rate(index) - expected).abs() < 0.01, "{index}: {} instead of {expected}", rate(index));
    }
    let alone = Explorer::new(Exploration::EpsilonGreedy(config), &ODDS).unwrap();
    assert_eq!(alone.clone().in_parallel(0, 1), alone);
}

#[test]
fn softmax_follows_the_boltzmann_distribution() {
    let q = [0.0f32, 1.0, 0.5];
    let weights = q.map(|q| (f64::from(q) / 0.7).exp());
    let total: f64 = weights.iter().sum();
    near(shares(&choices(Exploration::Softmax { temperature: 0.7 }, &q, N_DRAWS)), weights.map(|w| w / total), 0.006);
    // Shifting all Q-values changes nothing, not even where exp would overflow.
    let shifted = q.map(|q| q + 4096.0);
    near(
        shares(&choices(Exploration::Softmax { temperature: 0.7 }, &shifted, N_DRAWS)),
        weights.map(|w| w / total),
        0.006,
    );
}

#[test]
fn ucb_follows_its_formula_step_by_step() {
    let (q, bonus) = ([0.5f32, 0.4, 0.1], 0.8);
    let all = choices(Exploration::Ucb { bonus }, &q, 500);
    let mut n = [0.0f64; 3];
    for choice in &all {
        let total: f64 = n.iter().sum();
        let bound = |a: usize| f64::from(q[a]) + bonus * (total.ln() / n[a]).sqrt();
        let expected = (0..3)
            .find(|&a| n[a] == 0.0)
            .unwrap_or_else(|| (1..3).fold(0, |b, a| if bound(a) > bound(b) { a } else { b }));
        assert_eq!(choice.action, expected, "after {n:?}");
        n[choice.action] += 1.0;
    }
    assert!(n[0] > n[1] && n[1] > n[2] && n[2] > 1.0, "{n:?}");
    let greedy = choices(Exploration::Ucb { bonus: 0.0 }, &q, 100);
    assert!(greedy[3..].iter().all(|c| c.action == 0), "without a bonus it is greedy once every action was tried");
}

/// Φ(x), by Simpson's rule on the density.
fn normal_cdf(x: f64) -> f64 {
    let density = |t: f64| (-0.5 * t * t).exp() / std::f64::consts::TAU.sqrt();
    let (n, low) = (2000, -12.0);
    let h = (x - low) / f64::from(n);
    let inner: f64 = (1..n).map(|i| density(low + h * f64::from(i)) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    h / 3.0 * (density(low) + inner + density(x))
}

/// How often Thompson sampling with σ0 = 1 takes each of three actions when each was taken so often.
fn thompson_shares(n_taken: [u64; 3], q: [f32; 3]) -> [f64; 3] {
    let mut rng = stream(8, "thompson");
    let mut explorer = Explorer::new(Exploration::Thompson { prior_std: 1.0 }, &ODDS).unwrap();
    let mut draw = || {
        explorer.n_taken.copy_from_slice(&n_taken);
        explorer.act(&q, 0.0, &mut rng)
    };
    shares(&(0..N_DRAWS).map(|_| draw()).collect::<Vec<_>>())
}

#[test]
fn thompson_draws_from_its_gaussians() {
    // Two actions within reach, N(0, 1) and N(1, 1): the second wins with probability Φ(1/√2).
    let p = normal_cdf(0.5f64.sqrt());
    near(thompson_shares([0; 3], [0.0, 1.0, -1e6]), [1.0 - p, p, 0.0], 0.006);
}

#[test]
fn thompson_grows_sure_of_an_action_that_it_takes() {
    // The second action was taken four times: σ = 1/5, so N(1, 1/25) beats N(0, 1) with probability Φ(1 / √1.04).
    let p = normal_cdf(1.0 / 1.04f64.sqrt());
    near(thompson_shares([0, 4, 0], [0.0, 1.0, -1e6]), [1.0 - p, p, 0.0], 0.006);
    let mut rng = stream(8, "thompson");
    let mut explorer = Explorer::new(Exploration::Thompson { prior_std: 1.0 }, &ODDS).unwrap();
    let n_explored = |explorer: &mut Explorer, rng: &mut ChaCha8Rng| {
        (0..1000).filter(|_| explorer.act(&[0.0, 0.1, 0.05], 0.0, rng).explored).count()
    };
    let (early, late) = (n_explored(&mut explorer, &mut rng), n_explored(&mut explorer, &mut rng));
    assert!(late < early, "{early}, then {late}");
    explorer.reset();
    assert!(n_explored(&mut explorer, &mut rng) > late, "a new run begins with the counts at 0");
}

#[test]
fn values_that_are_not_numbers_never_win_and_never_panic() {
    let policies = [
        epsilon_greedy(0.0, 4.0, ActionPrior::DriftFree),
        Exploration::Softmax { temperature: 0.5 },
        Exploration::Ucb { bonus: 0.1 },
        Exploration::Thompson { prior_std: 0.1 },
    ];
    for policy in policies {
        for choice in &choices(policy, &[f32::NAN, 1.0, f32::NEG_INFINITY], 100)[3..] {
            assert_eq!(choice.action, 1, "{policy:?}");
        }
        for q in [&[f32::NAN; 3][..], &[f32::INFINITY; 3], &[f32::NEG_INFINITY; 3], &[], &[1.0], &[0.0; 9]] {
            assert!(choices(policy, q, 100).iter().all(|c| c.action < 3), "{policy:?} {q:?}");
        }
    }
}

#[test]
fn the_same_seed_and_a_restored_state_choose_the_same() {
    let mut rng = stream(21, "resume");
    let mut explorer = Explorer::new(epsilon_greedy(0.5, 6.0, ActionPrior::DriftFree), &ODDS).unwrap();
    for _ in 0..57 {
        explorer.act(&[0.0, 1.0, 0.0], 3.0, &mut rng);
    }
    let format = bincode::config::standard();
    let saved = bincode::serde::encode_to_vec((&explorer, &rng), format).unwrap();
    let ((mut explorer_again, mut rng_again), _): ((Explorer, ChaCha8Rng), usize) =
        bincode::serde::decode_from_slice(&saved, format).unwrap();
    for _ in 0..200 {
        let choice = explorer.act(&[0.0, 1.0, 0.0], 3.0, &mut rng);
        assert_eq!(choice, explorer_again.act(&[0.0, 1.0, 0.0], 3.0, &mut rng_again));
    }
}

#[test]
fn a_recipe_can_name_every_policy_and_a_wrong_key_or_value_is_named() {
    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    struct Recipe {
        exploration: Exploration,
    }
    let parse = |text: &str| toml::from_str::<Recipe>(text).map(|recipe| recipe.exploration);
    for (text, expected) in [
        ("[exploration.softmax]\ntemperature = 0.5", Exploration::Softmax { temperature: 0.5 }),
        ("[exploration.ucb]\nbonus = 2.0", Exploration::Ucb { bonus: 2.0 }),
        ("[exploration.thompson]\nprior-std = 0.3", Exploration::Thompson { prior_std: 0.3 }),
        (
            "[exploration.epsilon-greedy]\nsticky-decisions = 1\nprior = 'uniform'\nepsilon = { constant = 0.1 }",
            epsilon_greedy(0.1, 1.0, ActionPrior::Uniform),
        ),
        (
            "[exploration.epsilon-greedy.epsilon.dynamic]\nvariance = 'speeds'",
            Exploration::EpsilonGreedy(EpsilonGreedy {
                epsilon: EpsilonSchedule::Dynamic(DynamicEpsilon {
                    variance: VarianceEffect::Speeds,
                    ..DynamicEpsilon::default()
                }),
                ..EpsilonGreedy::default()
            }),
        ),
    ] {
        assert_eq!(parse(text).unwrap(), expected);
        let written = toml::to_string(&Recipe { exploration: expected }).unwrap();
        assert_eq!(parse(&written).unwrap(), expected, "{written}");
    }
    for text in [
        "[exploration.softmax]\ntemperature = 0.5\nheat = 1",
        "[exploration.epsilon-greedy]\nsticky = 3",
        "[exploration.epsilon-greedy.epsilon.dynamic]\nlambda = 3",
        "[exploration.boltzmann]\ntemperature = 0.5",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
    for (text, field) in [
        ("[exploration.softmax]\ntemperature = 0.0", "softmax.temperature"),
        ("[exploration.ucb]\nbonus = -1.0", "ucb.bonus"),
        ("[exploration.thompson]\nprior-std = nan", "thompson.prior-std"),
        ("[exploration.epsilon-greedy]\nsticky-decisions = 0.5", "epsilon-greedy.sticky-decisions"),
        ("[exploration.epsilon-greedy]\nspread = -0.5", "epsilon-greedy.spread"),
        ("[exploration.epsilon-greedy]\nepsilon = { constant = 2.0 }", "epsilon-greedy.epsilon.constant"),
    ] {
        let error = parse(text).unwrap().check().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{field} is ")) && error.contains("must be"), "{error}");
        assert!(Explorer::new(parse(text).unwrap(), &ODDS).is_err());
    }
    for odds in [&[][..], &[0.0; 3], &[1.0, -1.0, 2.0], &[1.0, f64::NAN], &[f64::INFINITY]] {
        assert_eq!(Explorer::new(Exploration::default(), odds), Err(ExplorationError::NoActions));
    }
}
