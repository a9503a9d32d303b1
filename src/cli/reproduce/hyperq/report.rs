//! What came out of the three checks.

use super::{FRESH, Finished, METHODS, TRIALS};
use crate::cli::reproduce::document::{Document, spread};
use crate::cli::reproduce::lab::Lab;
use crate::cli::reproduce::small_net::{SmallNet, in_words};
use crate::cli::reproduce::studies::{Told, best, wins};
use crate::cli::reproduce::taught::{EPISODES, LESSONS};
use qgd::report::{Align, Axis, Chart, Color, Line, Table, svg_in_rows};
use qgd::statistics::{mean, median};
use qgd::words::counted;
use serde_json::{Value as Json, json};

/// Numbers of trials after which methods are compared.
const BUDGETS: [usize; 4] = [10, 20, 50, 100];

pub fn document(lab: &Lab, nets: &[SmallNet], [n_trials, n_lessons]: [usize; 2], finished: &[Finished]) -> Document {
    let mut document = Document::new(lab, "HyperQ-Opt: its three next checks");
    introduction(lab, nets, [n_trials, n_lessons], &mut document);
    let results = Results { nets, n_trials, finished };
    document.heading("1. Q-learning against Bayesian optimization and random search");
    document.paragraph(
        "The summary claims that *Q-learning can outperform conventional HPO methods* (Quick Facts) and asks for \
         *head-to-head trials comparing Q-learning with epsilon-greedy against Bayesian Optimization and Random Search on \
         identical HPO problems* (Next Checks, 1).",
    );
    results.check(1, 0, "random search", &mut document);
    document.heading("2. Ways to explore");
    document.paragraph(
        "It asks to *compare alternative exploration strategies (Softmax, Upper Confidence Bound, Thompson Sampling) within \
         same Q-learning framework* (Next Checks, 2), and quotes that softmax was better than ε-greedy in one of the two \
         systems that it reviews (Open Question 1).",
    );
    results.check(2, FRESH, "ε-greedy", &mut document);
    document.heading("3. Transfer");
    document.paragraph(
        "It asks for *training Q-network on diverse source datasets and evaluating on multiple target datasets* against \
         *training from scratch* (Next Checks, 3). Here each data set is the target once, and the agent has been taught on \
         the other three.",
    );
    results.check(3, FRESH, "from scratch", &mut document);
    let svg = svg_in_rows("Best validation loss so far", "median over the seeds", &results.charts(), 2);
    document.figure("trials", "best validation loss over the number of trials", svg);
    differences(lab, nets, &mut document);
    document.data("studies", finished.iter().map(|study| as_json(nets, study)).collect());
    document
}

fn introduction(lab: &Lab, nets: &[SmallNet], [n_trials, n_lessons]: [usize; 2], document: &mut Document) {
    document.paragraph(
        "*HyperQ-Opt: Q-learning for Hyperparameter Optimization* (arXiv 2412.17765) reviews two systems and has no experiment of \
         its own; we have its summary alone. So there is no table to lay ours beside. This report does the three checks that \
         the summary names as next.",
    );
    let sizes: Vec<String> = nets.iter().map(SmallNet::size_in_words).collect();
    let scaled = if n_trials >= TRIALS && !lab.quick() { "Whole" } else { "**Scaled down**" };
    document.paragraph(&format!(
        "{scaled}: {n_trials} trials a study (whole: {TRIALS}); agents are taught with {n_lessons} random trials on each of the \
         other data sets (whole: {LESSONS}, {EPISODES} short studies). Here: {}; seeds: {}. A trial trains a net with one \
         hidden layer for 15 epochs; learning rate, weight decay, batch size and hidden units are chosen from ten values each.",
        sizes.join(", "),
        lab.seeds().len()
    ));
}

struct Results<'a> {
    nets: &'a [SmallNet],
    n_trials: usize,
    finished: &'a [Finished],
}

impl Results<'_> {
    /// Best validation losses after `n` trials, one a seed.
    fn after(&self, problem: usize, method: usize, n: usize) -> Vec<f64> {
        let own = self.finished.iter().filter(|study| (study.problem, study.method) == (problem, method));
        own.filter_map(|study| best(study.trials.iter().take(n)).map(|trial| trial.outcome.told())).collect()
    }

    /// How often this method [`wins`] against `rival` after `n` trials, mean over the data sets.
    fn wins(&self, method: usize, rival: usize, n: usize) -> f64 {
        let on = |problem| wins(&self.after(problem, method, n), &self.after(problem, rival, n));
        mean((0..self.nets.len()).map(on))
    }

    /// The table of a check, and what it says.
    fn check(&self, check: usize, rival: usize, rival_name: &str, document: &mut Document) {
        let n = self.n_trials;
        let mut columns = vec![("method".to_owned(), Align::Left)];
        columns.extend(self.nets.iter().map(|net| (format!("{} after {n}", net.name), Align::Right)));
        let budgets: Vec<usize> = BUDGETS.into_iter().filter(|&budget| budget < n).chain([n]).collect();
        columns.extend(budgets.iter().map(|n| (format!("beats {rival_name} after {n}"), Align::Right)));
        let columns: Vec<(&str, Align)> = columns.iter().map(|(name, align)| (name.as_str(), *align)).collect();
        let mut table = Table::new(&columns);
        let of_check = |method: &usize| METHODS[*method].check == check || *method == rival;
        for method in (0..METHODS.len()).filter(of_check) {
            let mut row = vec![METHODS[method].name.to_owned()];
            row.extend((0..self.nets.len()).map(|problem| spread(&self.after(problem, method, n), 4)));
            let wins = |n: &usize| format!("{:.0} %", 100.0 * self.wins(method, rival, *n));
            row.extend(budgets.iter().map(|n| if method == rival { "-".to_owned() } else { wins(n) }));
            table.row(row);
        }
        document.table(&table);
        document.paragraph(&format!(
            "Best validation loss after {n} trials, median over the seeds (and between which values they lie); and in how many of \
             all pairs of studies on one data set the method is better than {rival_name}, ties counted half, mean over the data sets."
        ));
        let verdicts = (0..METHODS.len()).filter(|method| METHODS[*method].check == check && *method != rival);
        document.points(verdicts.map(|method| {
            let wins = self.wins(method, rival, n);
            let sum = if wins > 0.5 {
                "mostly better"
            } else if wins < 0.5 {
                "**mostly worse**"
            } else {
                "neither better nor worse"
            };
            format!(
                "{}: {sum} than {rival_name}: better in {:.0} % after {n} trials",
                METHODS[method].name,
                100.0 * wins
            )
        }));
    }

    fn charts(&self) -> Vec<Chart> {
        let shown = [0, 1, 3, FRESH, METHODS.len() - 1];
        let chart = |(problem, net): (usize, &SmallNet)| {
            let lines = shown.into_iter().enumerate().map(|(i, method)| {
                let points = (1..=self.n_trials).map(|n| (n as f64, median(&self.after(problem, method, n)))).collect();
                Line::new(METHODS[method].name, Color::MANY[i], points)
            });
            let lines = lines.collect();
            Chart { title: net.name.to_owned(), x: Axis::linear("trials"), y: Axis::log("validation loss"), lines }
        };
        self.nets.iter().enumerate().map(chart).collect()
    }
}

fn differences(lab: &Lab, nets: &[SmallNet], document: &mut Document) {
    document.heading("What to make of it");
    let (n_seeds, n_sets) = (lab.seeds().len(), nets.len());
    document.paragraph(&format!(
        "Each share rests on {n_sets} data sets with {} and is counted over {} pairs of studies, which are not independent. With \
         few seeds only shares near 0 and 100 % say something.",
        counted(n_seeds, "seed"),
        n_sets * n_seeds * n_seeds
    ));
    document.points([
        "The two systems that the paper reviews choose from grids. So do all methods here, on the same grid; `deep-q` itself \
         searches any space.",
        "A configuration that is proposed again has the loss that it had: with one seed, split, initial weights and batches are \
         the same for every method.",
        "A taught agent knows of its target the numbers of examples, inputs and classes, as in the papers' meta-features, and goes \
         on learning in the study.",
        "Computational efficiency is the number of trials: a proposal takes milliseconds, a net seconds. Times would be those of \
         one machine, and are left out.",
    ]);
}

fn as_json(nets: &[SmallNet], study: &Finished) -> Json {
    let found = best(&study.trials);
    let losses = study.trials.iter().map(|trial| trial.outcome.validation);
    json!({
        "data": nets[study.problem].name,
        "method": METHODS[study.method].name,
        "seed": study.seed,
        "validation_losses": losses.collect::<Vec<_>>(),
        "chosen": found.map(|trial| in_words(&trial.params)),
        "test_loss": found.and_then(|trial| trial.outcome.test),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_its_methods() {
        let n_of = |check| METHODS.iter().filter(|method| method.check == check).count();
        assert_eq!([1, 2, 3].map(n_of), [5, 3, 1]);
        assert_eq!(METHODS[FRESH].sampler, "deep-q");
    }
}
