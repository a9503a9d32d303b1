//! What came out, beside the sentences of the paper: its tables are empty.

use super::problems::{Problem, Scores};
use super::{Finished, METHODS, RANDOM, READINGS, TRIALS};
use crate::cli::reproduce::document::{Document, spread};
use crate::cli::reproduce::lab::Lab;
use crate::cli::reproduce::studies::{Tried, best, wins};
use qgd::report::{Align, Axis, Chart, Color, Line, Table, svg_in_rows};
use qgd::statistics::{mean, median};
use qgd::words::counted;
use serde_json::{Value as Json, json};

/// The methods that the paper sets its own against.
const RIVALS: [usize; 3] = [0, RANDOM, 2];

struct Results<'a> {
    problems: &'a [Problem],
    n_trials: usize,
    finished: &'a [Finished],
}

pub fn document(lab: &Lab, problems: &[Problem], n_trials: usize, finished: &[Finished]) -> Document {
    let mut document = Document::new(lab, "Vashishtha: Q-learning with dynamic exploration");
    let results = Results { problems, n_trials, finished };
    introduction(lab, &results, &mut document);
    results.accuracy(&mut document);
    results.convergence(&mut document);
    results.time(&mut document);
    results.exploration(&mut document);
    differences(&results, &mut document);
    document.data("studies", finished.iter().map(|study| results.as_json(study)).collect());
    document
}

fn introduction(lab: &Lab, results: &Results, document: &mut Document) {
    document.paragraph(
        "Vashishtha 2025, *Adaptive Hyperparameter Optimization for Deep Learning Models using Reinforcement Learning with \
         Dynamic Exploration-Exploitation Balancing*. A table of Q-values picks the hyperparameters of a net one after the \
         other; the share of random picks, ε, falls at a rate k that follows the variance of the Q-values (section 3.3). It \
         is set against grid search, random search and Bayesian optimization on MNIST, CIFAR-10 and IMDB (sections 3.4 to \
         3.6). **The paper's Tables 1 and 2 are empty and its Figures 1 and 2 are missing.** Of its results there are only \
         sentences: 99.45 % on MNIST (grid search 98.90 %), 88.72 % on CIFAR-10 (Bayesian optimization 87.55 %), and that \
         it is faster. They stand here as the paper's own.",
    );
    let (n_trials, problems) = (results.n_trials, results.problems);
    let scaled = if n_trials >= TRIALS && !lab.quick() {
        "The size is ours, since the paper names none"
    } else {
        "**Scaled down**"
    };
    document.paragraph(&format!(
        "{scaled}: {n_trials} trials a study (whole: {TRIALS}), {} for each net (whole: 10), seeds: {}. Whole are 60,000 \
         pictures of MNIST, 60,000 of CIFAR-10 and 25,000 reviews, and up to 128 filters or units; leave out `--quick` and \
         `--scale`, and add `--device cuda`: that is work for a GPU. Of CIFAR-10 it takes the archive \
         `cifar-10-batches-bin`, unpacked in the data folder, and where that is not there its first 4,000 pictures. No \
         accuracy here is that of a net of the paper, which does not say what nets it trained. Here:",
        counted(problems.first().map_or(0, |problem| problem.epochs), "epoch"),
        lab.seeds().len()
    ));
    document.points(problems.iter().map(|problem| {
        let [train, validation, test] = problem.sizes();
        format!(
            "**{}**: {train} examples to train on, {validation} to validate, {test} to test; {}",
            problem.name, problem.about
        )
    }));
    let mut table = Table::new(&[("hyperparameter", Align::Left), ("values", Align::Left), ("of", Align::Left)]);
    for (i, problem) in problems.iter().enumerate() {
        let is_new = |list: &&super::problems::List| {
            !problems[..i].iter().any(|other| other.lists.iter().any(|l| l.key == list.key))
        };
        for list in problem.lists.iter().filter(is_new) {
            let having = problems.iter().filter(|other| other.lists.iter().any(|l| l.key == list.key));
            let values: Vec<String> = list.values.iter().map(ToString::to_string).collect();
            table.row([
                format!("`{}`", list.key),
                values.join(", "),
                having.map(|p| p.name).collect::<Vec<_>>().join(", "),
            ]);
        }
    }
    document.heading("The space of section 3.5");
    document.paragraph(
        "Keys are those of a [task file](../TUNING.md); the paper has no ranges. Layers are `blocks` of convolution and \
         pooling with `filters` each. `weight_decay` is the coefficient of L2. The recurrent net is a GRU of one layer, the \
         only number of layers that qgd's have: in its place there is the size of the layer below, `embedding`.",
    );
    document.table(&table);
    let sizes = problems.iter().map(|problem| {
        let n: usize = problem.lists.iter().map(|list| list.values.len()).product();
        format!("{n} for {}", problem.name)
    });
    document
        .paragraph(&format!("Combinations: {}. All methods choose from these.", sizes.collect::<Vec<_>>().join(", ")));
}

/// Validation accuracy in percent.
fn percent(trial: &Tried<Scores>) -> f64 {
    100.0 * (1.0 - trial.outcome.error())
}

impl Results<'_> {
    fn of(&self, problem: usize, method: usize) -> impl Iterator<Item = &Finished> {
        self.finished.iter().filter(move |study| (study.problem, study.method) == (problem, method))
    }

    /// Best validation accuracies after `n` trials, one a seed.
    fn after(&self, problem: usize, method: usize, n: usize) -> Vec<f64> {
        self.of(problem, method).filter_map(|study| best(study.trials.iter().take(n)).map(percent)).collect()
    }

    /// What is to be reached with a seed: the accuracy that random search ends with.
    fn target(&self, problem: usize, seed: u64) -> f64 {
        let random = self.of(problem, RANDOM).find(|study| study.seed == seed);
        random.and_then(|study| best(&study.trials)).map_or(f64::INFINITY, percent)
    }

    /// How often a method is better than a rival after all trials, mean over the problems.
    fn wins(&self, method: usize, rival: usize) -> f64 {
        let errors = |problem, method| -> Vec<f64> {
            self.after(problem, method, self.n_trials).into_iter().map(|accuracy| 100.0 - accuracy).collect()
        };
        mean((0..self.problems.len()).map(|problem| wins(&errors(problem, method), &errors(problem, rival))))
    }

    /// A table with a row for each method and columns for each problem.
    fn table(
        &self,
        columns: &[&str],
        cells: impl Fn(usize, usize) -> Vec<String>,
        more: &[(&str, &dyn Fn(usize) -> String)],
    ) -> Table {
        let of_problems = self
            .problems
            .iter()
            .flat_map(|problem| columns.iter().map(move |column| format!("{}{column}", problem.name)));
        let names: Vec<String> = of_problems.chain(more.iter().map(|(name, _)| (*name).to_owned())).collect();
        let mut all = vec![("method", Align::Left)];
        all.extend(names.iter().map(|name| (name.as_str(), Align::Right)));
        let mut table = Table::new(&all);
        for (i, method) in METHODS.iter().enumerate() {
            let of_problems = (0..self.problems.len()).flat_map(|problem| cells(problem, i));
            let row = std::iter::once(method.name.to_owned()).chain(of_problems);
            table.row(row.chain(more.iter().map(|(_, cell)| cell(i))).collect::<Vec<_>>());
        }
        table
    }

    /// Table 1.
    fn accuracy(&self, document: &mut Document) {
        document.heading("Table 1: validation accuracy, %");
        let cells = |problem: usize, method: usize| {
            let published = self.problems[problem].published.iter().find(|(at, _)| *at == method);
            let paper = published.map_or("-".to_owned(), |(_, accuracy)| format!("{accuracy:.2}"));
            let chosen = self.of(problem, method).filter_map(|study| best(&study.trials));
            let test: Vec<f64> =
                chosen.map(|t| t.outcome.test.map_or(f64::NEG_INFINITY, |accuracy| 100.0 * accuracy)).collect();
            vec![paper, spread(&self.after(problem, method, self.n_trials), 1), spread(&test, 1)]
        };
        let share = |method: usize| {
            if method == RANDOM { "-".to_owned() } else { format!("{:.0} %", 100.0 * self.wins(method, RANDOM)) }
        };
        document.table(&self.table(&[": paper", ": ours", ": test"], cells, &[("beats random search", &share)]));
        document.paragraph(&format!(
            "The best validation accuracy after {} trials, and the test accuracy of that net: medians over the seeds, with the \
             lowest and the highest. The paper does not say which of its readings made its numbers; they stand at the first. \
             Last: in how many of all pairs of studies on one problem the method is better than random search, ties counted \
             half, mean over the problems.",
            self.n_trials
        ));
        document.points(READINGS[..2].iter().map(|&method| {
            let against = RIVALS.map(|rival| {
                let share = self.wins(method, rival);
                let no = if share > 0.5 { "" } else { ", **no better in sum**" };
                format!("better than {} in {:.0} %{no}", METHODS[rival].name, 100.0 * share)
            });
            format!("{} (paper: better than all three): {}", METHODS[method].name, against.join("; "))
        }));
        let sizes = self.problems.iter().map(|problem| problem.sizes()[1]).min().unwrap_or(1);
        let n_seeds = self.of(0, RANDOM).count();
        document.paragraph(&format!(
            "With {sizes} examples to validate on, an accuracy of 80 % has a standard error of {:.1} points. Each share is of {} \
             pairs, which are not independent: with few seeds only shares near 0 and 100 % say something.",
            100.0 * (0.16 / sizes as f64).sqrt(),
            self.problems.len() * n_seeds * n_seeds
        ));
    }

    /// Trials until the target is reached, one a seed; infinite where it is not.
    fn n_to_target(&self, problem: usize, method: usize) -> Vec<f64> {
        let reached = |study: &Finished| {
            let target = self.target(problem, study.seed);
            study.trials.iter().position(|trial| percent(trial) >= target)
        };
        self.of(problem, method).map(|study| reached(study).map_or(f64::INFINITY, |i| (i + 1) as f64)).collect()
    }

    /// Figure 1, and the numbers of section 4.2.
    fn convergence(&self, document: &mut Document) {
        document.heading("Figure 1: evaluations until a target is reached");
        let cells = |problem: usize, method: usize| {
            let n = self.n_to_target(problem, method);
            let n_reached = n.iter().filter(|n| n.is_finite()).count();
            let middle = median(&n);
            let middle = if middle.is_finite() { format!("{middle:.0}") } else { format!("over {}", self.n_trials) };
            vec![format!("{middle} ({n_reached} of {})", n.len())]
        };
        document.table(&self.table(&[""], cells, &[]));
        document.paragraph(
            "Trials until a net has the validation accuracy that random search with the same seed ends with: median over the \
             seeds, and in how many of them it was reached. The paper's target, 85 % on CIFAR-10, is not for nets of this size.",
        );
        let shown = [READINGS[0], RANDOM, 0, 2, READINGS[1]];
        let chart = |(i, problem): (usize, &Problem)| {
            let lines = shown.iter().zip(Color::MANY).map(|(&method, color)| {
                let points = (1..=self.n_trials).map(|n| (n as f64, median(&self.after(i, method, n)))).collect();
                Line::new(METHODS[method].name, color, points)
            });
            let lines = lines.collect();
            Chart {
                title: problem.name.to_owned(),
                x: Axis::linear("trials"),
                y: Axis::linear("validation accuracy, %"),
                lines,
            }
        };
        let charts: Vec<Chart> = self.problems.iter().enumerate().map(chart).collect();
        let svg = svg_in_rows("Best validation accuracy so far", "median over the seeds", &charts, charts.len());
        document.figure("convergence", "best validation accuracy over the number of trials", svg);
    }

    /// Work of the first `n` trials of each study, one a seed; of all of them where `n` is infinite.
    fn work(&self, problem: usize, method: usize, n: impl Fn(usize) -> f64) -> Vec<f64> {
        let of_study = |(i, study): (usize, &Finished)| {
            let works = study.trials.iter().map(|trial| self.problems[problem].work(&trial.params));
            works.enumerate().filter(|(j, _)| (*j as f64) < n(i)).map(|(_, work)| work).sum()
        };
        self.of(problem, method).enumerate().map(of_study).collect()
    }

    /// Table 2.
    fn time(&self, document: &mut Document) {
        document.heading("Table 2: time of training");
        let cells = |problem: usize, method: usize| {
            let n = self.n_to_target(problem, method);
            let to_target: Vec<f64> = self
                .work(problem, method, |i| n[i])
                .into_iter()
                .zip(&n)
                .map(|(work, n)| if n.is_finite() { work } else { f64::INFINITY })
                .collect();
            let to_target = median(&to_target);
            let to_target = if to_target.is_finite() { format!("{to_target:.1}") } else { "not reached".to_owned() };
            vec![spread(&self.work(problem, method, |_| f64::INFINITY), 1), to_target]
        };
        document.table(&self.table(&[": all trials", ": to the target"], cells, &[]));
        document.paragraph(
            "In billions of multiplications of weights, forwards (backwards it is twice as many again): medians over the \
             seeds. The paper counts hours on CIFAR-10. Hours are those of one machine, and would make every report \
             another; the seconds of each net are in `vashishtha.jsonl`. All nets train for as many epochs, so what differs \
             is their size. What a batch size costs beside is not counted, nor are the proposals.",
        );
    }

    /// Figure 2.
    fn exploration(&self, document: &mut Document) {
        document.heading("Figure 2: ε over the trials, in both readings of k");
        document.paragraph(
            "ε = ε_min + (ε_max - ε_min) exp(-k t), t the number of trials. The text says that a high variance of the Q-values \
             makes ε fall more slowly; the printed k = k0 + λ Var(Q(s, ·)) makes it fall faster. Here k = k0 - λ Var (the \
             text), k0 + λ Var (the formula) and k0. The paper has no numbers for k0 and λ; here k0 is 3 over the number of \
             trials, and λ a hundred times that: Q-values vary so little that with the default of the sampler, ten times, both \
             readings would be nearly the same.",
        );
        let at = |problem: usize, method: usize, n: usize| {
            mean(self.of(problem, method).filter_map(|study| study.epsilons.get(n).copied()))
        };
        let chart = |(i, problem): (usize, &Problem)| {
            let lines = READINGS.into_iter().zip([Color::BLUE, Color::MANY[2], Color::GRAY]).map(|(method, color)| {
                let points = (0..self.n_trials).map(|n| ((n + 1) as f64, at(i, method, n))).collect();
                Line::new(METHODS[method].name, color, points)
            });
            let lines = lines.collect();
            Chart {
                title: problem.name.to_owned(),
                x: Axis::linear("trial"),
                y: Axis::linear("ε").with_bounds([0.0, 1.0]),
                lines,
            }
        };
        let charts: Vec<Chart> = self.problems.iter().enumerate().map(chart).collect();
        let svg = svg_in_rows("ε of each trial", "mean over its picks and over the seeds", &charts, charts.len());
        document.figure("epsilon", "the share of random picks over the trials", svg);
        let last = self.n_trials.saturating_sub(1);
        let ends = READINGS.map(|method| {
            let ends = (0..self.problems.len()).map(|problem| format!("{:.3}", at(problem, method, last)));
            format!("{}: {}", METHODS[method].name, ends.collect::<Vec<_>>().join(", "))
        });
        let names: Vec<&str> = self.problems.iter().map(|problem| problem.name).collect();
        document.paragraph(&format!("ε of the last trial on {}:", names.join(", ")));
        document.points(ends);
        document.paragraph(&format!(
            "Of the trials of both readings {:.0} % are the same, trial by trial.",
            100.0 * mean((0..self.problems.len()).map(|problem| self.same(problem)))
        ));
    }

    /// Share of the trials that are the same in both readings.
    fn same(&self, problem: usize) -> f64 {
        let [text, formula] = [READINGS[0], READINGS[1]].map(|method| self.of(problem, method));
        let pairs = text.zip(formula).flat_map(|(a, b)| a.trials.iter().zip(&b.trials));
        mean(pairs.map(|(a, b)| f64::from(u8::from(a.params == b.params))))
    }

    fn as_json(&self, study: &Finished) -> Json {
        let problem = &self.problems[study.problem];
        let found = best(&study.trials);
        let accuracies: Vec<Json> = study.trials.iter().map(|trial| json!(trial.outcome.validation)).collect();
        json!({
            "data": problem.name,
            "method": METHODS[study.method].name,
            "sampler": METHODS[study.method].sampler(self.n_trials),
            "seed": study.seed,
            "validation_accuracies": accuracies,
            "epsilons": study.epsilons,
            "chosen": found.map(|trial| problem.in_words(&trial.params)),
            "test_accuracy": found.and_then(|trial| trial.outcome.test),
            "billion_multiplications": study.trials.iter().map(|trial| problem.work(&trial.params)).sum::<f64>(),
        })
    }
}

fn differences(results: &Results, document: &mut Document) {
    document.heading("What differs from the paper, and why");
    let n = results.problems.iter().map(|p| p.lists.iter().map(|list| list.values.len()).product::<usize>()).max();
    document.points([
        "Sizes of data and nets, epochs, ranges, trials, and α, γ, k0, λ are ours: the paper names none of them.".to_owned(),
        format!(
            "Grid search goes through the combinations in random order. Of {} the first {} are tried, so that it is random \
             search that never tries a combination twice.",
            n.unwrap_or(0),
            results.n_trials
        ),
        "Bayesian optimization is a Gaussian process (`gp`); the paper does not say which it used.".to_owned(),
        "Q-learning is [`--sampler q-learning`](../TUNING.md): its reward is the rank of a trial among those so far and not \
         the accuracy itself, and it is spread over the picks; its state is the parameter that is next and the value picked \
         last. The state of section 3.1 (all values picked, and the accuracy of the trial before) is the last row: nearly \
         every trial has a state of its own then, in which all Q-values are equal, so that their variance is 0 and both \
         readings of k are the same."
            .to_owned(),
        "A configuration that is proposed again has the accuracy that it had: with one seed, split, initial weights and \
         batches are the same for every method."
            .to_owned(),
        "Dropout and L1 act where they do in every task of qgd: dropout before dense layers, L1 on weights and embeddings and \
         not on biases.".to_owned(),
        "Not in the paper: the last two rows.".to_owned(),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(method: usize, seed: u64, accuracies: &[Option<f64>]) -> Finished {
        let tried = |&accuracy: &Option<f64>| Tried {
            params: Default::default(),
            outcome: Scores { validation: accuracy, test: accuracy, seconds: 0.0 },
            stopped: None,
        };
        Finished { problem: 0, method, seed, trials: accuracies.iter().map(tried).collect(), epsilons: Vec::new() }
    }

    #[test]
    fn the_target_of_a_seed_is_what_random_search_ends_with() {
        let finished = [
            study(RANDOM, 0, &[Some(0.5), Some(0.75), None]),
            study(RANDOM, 1, &[None, None, None]),
            study(0, 0, &[None, Some(0.5), Some(0.8)]),
            study(0, 1, &[Some(0.125), None, None]),
            study(2, 0, &[Some(0.7), Some(0.7), Some(0.7)]),
        ];
        let results = Results { problems: &[], n_trials: 3, finished: &finished };
        assert_eq!(results.n_to_target(0, RANDOM), [2.0, 1.0]);
        assert_eq!(results.n_to_target(0, 0), [3.0, 1.0]);
        assert_eq!(results.n_to_target(0, 2), [f64::INFINITY]);
        assert_eq!(results.after(0, 0, 2), [50.0, 12.5]);
    }
}
