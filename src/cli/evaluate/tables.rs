//! The tables of an evaluation. None is wider than a page, and none has accuracies and losses in one column.

use super::groups::Group;
use super::report::{ProblemReport, Report};
use super::verdict::{Outcome, Pair, Test};
use super::words::in_words;
use crate::cli::decider::shown;
use qgd::report::{Align, PAGE_WIDTH, Table, number};
use qgd::statistics::mean;

/// The columns by which the rows of problems are told apart.
const PROBLEM: [(&str, Align); 3] = [("task", Align::Left), ("steps", Align::Right), ("optimizer", Align::Left)];

fn table(columns: &[(&str, Align)]) -> Table {
    Table::new(columns).with_max_width(PAGE_WIDTH)
}

fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

fn percent(accuracy: f64) -> String {
    format!("{:.1} %", 100.0 * accuracy)
}

/// Points of accuracy below the other, in words.
fn points_in_words(deficit: f64) -> String {
    in_words(deficit, |points| format!("{points:.1}"))
}

/// A loss over the other, in words.
fn share_in_words(ratio: f64) -> String {
    in_words(ratio - 1.0, |share| format!("{:.0} %", 100.0 * share))
}

fn maybe(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or("-".to_owned(), show)
}

impl Report {
    /// Training losses from the starts of the controller, beside cosine's best.
    pub fn losses_table(&self) -> Table {
        use Align::{Left, Right};
        let mut columns = PROBLEM.to_vec();
        columns.extend(["best", "median", "worst", "cosine", "from", "ratio"].map(|name| (name, Right)));
        if !self.quick {
            columns.push(("verdict", Left));
        }
        let mut table = table(&columns);
        for problem in &self.problems {
            let (verdict, cosine) = (&problem.verdict, problem.verdict.against_cosine());
            let mut row = problem.name();
            row.extend([verdict.best, verdict.median, verdict.worst].map(number));
            row.push(maybe(cosine.map(|cosine| cosine.best), number));
            row.push(maybe(cosine.map(|cosine| cosine.best_start), number));
            row.push(maybe(verdict.tuned_ratio, ratio));
            if !self.quick {
                row.push(problem.outcome());
            }
            table.row(row);
        }
        table
    }

    /// The best of all rivals, and how far the starts of the controller are apart.
    pub fn best_rivals_table(&self) -> Table {
        use Align::{Left, Right};
        let mut columns = PROBLEM.to_vec();
        columns.extend([
            ("seeds", Right),
            ("best rival", Left),
            ("its best", Right),
            ("from", Right),
            ("ratio", Right),
        ]);
        columns.push(("worst over median", Right));
        let mut table = table(&columns);
        for problem in &self.problems {
            let verdict = &problem.verdict;
            let rival = verdict.against(&verdict.best_rival);
            let mut row = problem.name();
            row.extend([problem.runs.seeds.len().to_string(), shown(&verdict.best_rival)]);
            row.push(maybe(rival.map(|rival| rival.best), number));
            row.push(maybe(rival.map(|rival| rival.best_start), number));
            row.extend([verdict.rivals_ratio, verdict.worst_ratio].map(ratio));
            table.row(row);
        }
        table
    }

    /// Test accuracies, or test losses, at the median start beside cosine's best; `None` without any.
    pub fn test_table(&self, of_accuracy: bool) -> Option<Table> {
        let mut columns = PROBLEM.to_vec();
        columns.extend([("test", Align::Right), ("cosine's", Align::Right), ("difference", Align::Right)]);
        let (mut table, mut is_empty) = (table(&columns), true);
        for problem in &self.problems {
            let Some([own, cosine]) = problem.test(of_accuracy) else { continue };
            let mut row = problem.name();
            row.extend(if of_accuracy {
                [percent(own), percent(cosine), points_in_words(100.0 * (cosine - own))]
            } else {
                [number(own), number(cosine), share_in_words(own / cosine)]
            });
            table.row(row);
            is_empty = false;
        }
        (!is_empty).then_some(table)
    }

    /// How often each example is seen, and what the ratios are measured by.
    pub fn exposures_table(&self) -> Table {
        use Align::{Left, Right};
        let mut columns = PROBLEM.to_vec();
        columns.extend([("times seen", Right), ("kind", Left), ("untrained loss", Right)]);
        columns.extend([("ratio", Right), ("old", Right)]);
        let mut table = table(&columns);
        for problem in &self.problems {
            let (runs, verdict) = (&problem.runs, &problem.verdict);
            let mut row = problem.name();
            row.extend([number(runs.exposures), runs.regime.to_string(), number(runs.first_loss)]);
            row.extend([verdict.tuned_ratio, verdict.old.tuned_ratio].map(|value| maybe(value, ratio)));
            table.row(row);
        }
        table
    }

    /// Seconds of a run of the controller and of cosine.
    pub fn seconds_table(&self) -> Table {
        let mut columns = PROBLEM.to_vec();
        let own = shown(&self.controller.name);
        columns.extend([(own.as_str(), Align::Right), ("cosine", Align::Right), ("ratio", Align::Right)]);
        let mut table = table(&columns);
        for problem in &self.problems {
            let seconds = &problem.seconds;
            let mut row = problem.name();
            row.extend([number(seconds.own), maybe(seconds.cosine, number)]);
            row.push(maybe(seconds.cosine.map(|cosine| seconds.own / cosine), ratio));
            table.row(row);
        }
        table
    }

    /// Means by regime, with the test split.
    pub fn regimes_table(&self) -> Table {
        use Align::{Left, Right};
        let mut table = table(&[
            ("kind, optimizer", Left),
            ("problems", Right),
            ("over cosine", Right),
            ("largest", Right),
            ("old", Right),
            ("accuracy", Right),
            ("regression", Right),
            ("test loss", Right),
        ]);
        for group in &self.regimes {
            table.row(group.row_of_regime());
        }
        table
    }

    pub fn groups_table(&self) -> Table {
        use Align::{Left, Right};
        let mut table = table(&[
            ("optimizer", Left),
            ("problems", Right),
            ("over cosine", Right),
            ("largest", Right),
            ("old", Right),
            ("over rivals", Right),
            ("worst over median", Right),
            ("largest", Right),
        ]);
        for group in &self.groups {
            table.row([
                group.name.clone(),
                group.n_problems.to_string(),
                maybe(group.tuned_ratio, ratio),
                maybe(group.largest_tuned_ratio, ratio),
                maybe(group.old_tuned_ratio, ratio),
                ratio(group.rivals_ratio),
                ratio(group.worst_ratio),
                ratio(group.largest_worst_ratio),
            ]);
        }
        table
    }

    pub fn rivals_table(&self) -> Table {
        use Align::{Left, Right};
        let mut columns =
            vec![("rival", Left), ("problems", Right), ("over its best", Right), ("over its median", Right)];
        if !self.quick {
            columns.extend(["wins", "ties", "losses"].map(|name| (name, Right)));
        }
        let mut table = table(&columns);
        for record in &self.rivals {
            let mut row = vec![shown(&record.name), record.n_problems.to_string()];
            row.extend([record.ratio, record.untuned_ratio].map(ratio));
            if !self.quick {
                row.extend([record.wins, record.ties, record.losses].map(|n| n.to_string()));
            }
            table.row(row);
        }
        table
    }

    pub fn peers_table(&self) -> Table {
        use Align::{Left, Right};
        let mut columns = PROBLEM.to_vec();
        columns.extend([("rival", Left), ("best", Right), ("from", Right), ("median", Right)]);
        columns.extend([("over its best", Right), ("its median", Right)]);
        let mut table = table(&columns);
        for peer in &self.peers {
            table.row([
                peer.task.clone(),
                peer.steps.to_string(),
                peer.optimizer.clone(),
                peer.name.clone(),
                number(peer.best),
                number(peer.best_start),
                number(peer.median),
                ratio(peer.ratio),
                ratio(peer.untuned_ratio),
            ]);
        }
        table
    }

    pub fn peer_records_table(&self) -> Table {
        use Align::{Left, Right};
        let mut table = table(&[
            ("rival", Left),
            ("optimizer", Left),
            ("kind", Left),
            ("tasks", Right),
            ("over its best", Right),
            ("largest", Right),
            ("old", Right),
            ("over its median", Right),
        ]);
        for record in &self.peer_records {
            table.row([
                record.name.clone(),
                record.optimizer.clone(),
                record.regime.map_or("all".to_owned(), |regime| regime.to_string()),
                record.n_tasks.to_string(),
                ratio(record.ratio),
                ratio(record.largest_ratio),
                ratio(record.old_ratio),
                ratio(record.untuned_ratio),
            ]);
        }
        table
    }

    /// Everything about the problems in one table as Markdown, which may be as wide as it likes; then the means by
    /// regime.
    pub fn markdown(&self) -> String {
        use Align::{Left, Right};
        let mut columns = PROBLEM.to_vec();
        columns.extend(["seeds", "best", "median", "worst", "cosine", "from", "over cosine"].map(|name| (name, Right)));
        columns.extend([("best rival", Left), ("its best", Right), ("over best rival", Right)]);
        columns.extend(
            ["worst over median", "test accuracy", "cosine's", "test loss", "cosine's"].map(|name| (name, Right)),
        );
        columns.extend([("times seen", Right), ("kind", Left), ("old over cosine", Right)]);
        columns.extend([("seconds", Right), ("cosine's", Right)]);
        if !self.quick {
            columns.push(("against cosine", Left));
        }
        let mut table = Table::new(&columns);
        for problem in &self.problems {
            let mut row = problem.row();
            row.extend((!self.quick).then(|| problem.outcome()));
            table.row(row);
        }
        let conditioning = self.conditioning();
        let gap = if conditioning.is_empty() { "" } else { "\n" };
        format!("{}{gap}{conditioning}\n{}", table.to_markdown(), self.regimes_table().to_markdown())
    }
}

impl Group {
    fn row_of_regime(&self) -> [String; 8] {
        [
            self.name.clone(),
            self.n_problems.to_string(),
            maybe(self.tuned_ratio, ratio),
            maybe(self.largest_tuned_ratio, ratio),
            maybe(self.old_tuned_ratio, ratio),
            maybe(self.accuracy_deficit, |deficit| in_words(deficit, |points| format!("{points:.2}"))),
            maybe(self.regression_loss_ratio, share_in_words),
            maybe(self.test_loss_ratio, share_in_words),
        ]
    }
}

impl ProblemReport {
    /// Mean test accuracies, or test losses: of the controller at its median start, and of cosine.
    fn test(&self, of_accuracy: bool) -> Option<[f64; 2]> {
        let Test { loss, accuracy } = self.verdict.test.as_ref()?;
        let Pair { own, cosine } = if of_accuracy { accuracy } else { loss }.as_ref()?;
        Some([own, cosine].map(|values| mean(values.iter().copied())))
    }

    /// Cells of [`PROBLEM`].
    fn name(&self) -> Vec<String> {
        vec![self.runs.task.clone(), self.runs.steps.to_string(), self.runs.optimizer.to_owned()]
    }

    fn outcome(&self) -> String {
        let outcome = self.verdict.against_cosine().map(|cosine| match cosine.outcome {
            Outcome::Win => "win",
            Outcome::Tie => "tie",
            Outcome::Loss => "loss",
        });
        outcome.unwrap_or("-").to_owned()
    }

    fn row(&self) -> Vec<String> {
        let (runs, verdict) = (&self.runs, &self.verdict);
        let (cosine, best_rival) = (verdict.against_cosine(), verdict.against(&verdict.best_rival));
        let test = |of_accuracy: bool| {
            let pair = self.test(of_accuracy).map_or([None; 2], |pair| pair.map(Some));
            pair.map(|value| maybe(value, if of_accuracy { percent } else { number }))
        };
        let mut row = self.name();
        row.push(runs.seeds.len().to_string());
        row.extend([verdict.best, verdict.median, verdict.worst].map(number));
        row.push(maybe(cosine.map(|cosine| cosine.best), number));
        row.push(maybe(cosine.map(|cosine| cosine.best_start), number));
        row.push(maybe(verdict.tuned_ratio, ratio));
        row.push(shown(&verdict.best_rival));
        row.push(maybe(best_rival.map(|rival| rival.best), number));
        row.extend([verdict.rivals_ratio, verdict.worst_ratio].map(ratio));
        row.extend([test(true), test(false)].concat());
        row.extend([number(runs.exposures), runs.regime.to_string(), maybe(verdict.old.tuned_ratio, ratio)]);
        row.extend([number(self.seconds.own), maybe(self.seconds.cosine, number)]);
        row
    }
}
