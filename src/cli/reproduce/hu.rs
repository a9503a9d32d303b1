//! Hu, Zhang and Shi, *Hyper-parameters Optimization of Neural Network Using Deep Q-Learning*: the experiment of its
//! section 4, with the settings of the paper and with one cure after the other.

mod agent;
mod net;
mod report;
mod variants;

use super::document::Document;
use super::lab::{Counter, Lab};
use crate::cli::failure::Failure;
use crate::cli::pool::side_by_side;
use agent::{Learned, learn};
use net::{Objective, Searched};
use variants::{Controlled, VARIANTS, Variant};

/// Steps of an episode, T (section 4.2).
const STEPS: usize = 100;
/// Episodes of a training, E (section 4.2).
const EPISODES: usize = 200;

/// One training of the Q-network, and what its greedy policy then does.
struct Trained {
    variant: &'static Variant,
    seed: u64,
    learned: Learned,
    /// Runs of the greedy policy on each of its objective nets, with the networks of the end.
    last: Vec<Searched>,
    /// Runs on the first of its objective nets, with the networks at each quarter of the training.
    quarters: Vec<Searched>,
}

/// Everything that was measured.
struct Results {
    n_episodes: usize,
    trained: Vec<Trained>,
    /// Plain gradient descent on the objective nets of the learning rate and of λ, one list a seed.
    plain: Vec<(Controlled, u64, Vec<Searched>)>,
}

pub fn reproduce(lab: &Lab) -> Result<Document, Failure> {
    let n_episodes = lab.scaled(EPISODES, 6, 2);
    let objectives = [Objective::of_lr(lab)?, Objective::of_lambda(lab)?];
    let of = |controlled: Controlled| &objectives[usize::from(controlled == Controlled::Lambda)];
    let jobs: Vec<(&'static Variant, u64)> =
        lab.seeds().into_iter().flat_map(|seed| VARIANTS.iter().map(move |variant| (variant, seed))).collect();
    let counter = lab.counter("episodes", jobs.len() * n_episodes);
    let work = |i: usize| {
        let (variant, seed) = jobs[i];
        train(lab, variant, of(variant.controls), seed, n_episodes, &counter)
    };
    let trained = side_by_side(jobs.len(), lab.jobs(), work)?;
    drop(counter);
    let plain: Vec<(Controlled, u64)> =
        Controlled::ALL.into_iter().flat_map(|it| lab.seeds().into_iter().map(move |seed| (it, seed))).collect();
    let descend = |i: usize| {
        let (controlled, seed) = plain[i];
        Ok((controlled, seed, of(controlled).plain(lab, seed)?))
    };
    let plain = side_by_side(plain.len(), lab.jobs(), descend)?;
    Ok(report::document(lab, &objectives, &Results { n_episodes, trained, plain }))
}

fn train(
    lab: &Lab,
    variant: &'static Variant,
    objective: &Objective,
    seed: u64,
    n_episodes: usize,
    counter: &Counter,
) -> Result<Trained, Failure> {
    let recipe = variant.recipe(n_episodes)?;
    let learned = learn(lab, &recipe, objective, seed, n_episodes, |episode| {
        counter.done(|| format!("{}, seed {seed}, episode {episode}", variant.name));
    })?;
    let greedy = |networks: &[qgd::dqn::QNetwork]| recipe.with_networks(networks.to_vec());
    let quarters = learned.quarters.iter().enumerate().map(|(i, networks)| {
        let name = format!("{} {n_episodes} episodes, quarter {}", recipe.whole().hash(), i + 1);
        objective.greedy(lab, &name, greedy(networks), 0, seed)
    });
    let quarters: Vec<Searched> = quarters.collect::<Result<_, _>>()?;
    let last = (0..objective.n_nets()).map(|net| {
        let name = format!("{} {n_episodes} episodes", recipe.whole().hash());
        let networks = learned.quarters.last().map_or(&[][..], Vec::as_slice);
        objective.greedy(lab, &name, greedy(networks), net, seed)
    });
    let last = last.collect::<Result<_, _>>()?;
    Ok(Trained { variant, seed, learned, last, quarters })
}
