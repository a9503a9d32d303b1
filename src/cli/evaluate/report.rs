//! The result of an evaluation, as tables, as Markdown, as JSON and as a picture.

use super::peers::{PeerRecord, PeerRow};
use super::runs::{MethodRuns, ProblemRuns};
use super::verdict::{Group, LEVEL, Outcome, Pooled, Record, TestPair, Verdict};
use qgd::report::{Align, Axis, Chart, Color, Line, Table, number, svg_in_rows};
use qgd::statistics::mean;
use serde::Serialize;

/// All results; the JSON file holds exactly this.
#[derive(Debug, Serialize)]
pub struct Report {
    pub version: &'static str,
    pub controller: About,
    pub suite: String,
    pub quick: bool,
    pub device: String,
    /// Geometric means over problems.
    pub groups: Vec<Group>,
    pub rivals: Vec<Record>,
    /// Deficit of test accuracy against best-tuned cosine, in points.
    pub accuracy_deficit: Option<Pooled>,
    /// ln(test loss / test loss of best-tuned cosine), in regression.
    pub log_test_loss_ratio: Option<Pooled>,
    /// Results of other programs.
    pub peers: Vec<PeerRow>,
    pub peer_records: Vec<PeerRecord>,
    pub problems: Vec<ProblemReport>,
}

/// The controller under test.
#[derive(Debug, Serialize)]
pub struct About {
    pub name: String,
    /// `None` for a schedule.
    pub recipe_hash: Option<String>,
    pub meta_training_seed: Option<u64>,
    pub file_hash: Option<String>,
}

/// One problem: its runs, and the verdict on them.
#[derive(Debug, Serialize)]
pub struct ProblemReport {
    pub runs: ProblemRuns,
    pub verdict: Verdict,
}

fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

fn maybe(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or("-".to_owned(), show)
}

impl Report {
    /// Text that is printed.
    pub fn in_words(&self) -> String {
        let mut parts = vec![
            format!(
                "{} on {}: training loss over the whole split after the last step, geometric mean of the seeds",
                self.controller.name, self.suite
            ),
            self.problems_table().to_string(),
            "Geometric means (tuned: median start over best-tuned cosine; worst: worst start over own median)"
                .to_owned(),
            self.groups_table().to_string(),
            "Rivals at their best start (and at their median), under the controller at its median".to_owned(),
            self.rivals_table().to_string(),
        ];
        if !self.peers.is_empty() {
            parts.push("Merged results of other programs: seeds and batches of their own".to_owned());
            parts.push(self.peers_table().to_string());
            parts.push(self.peer_records_table().to_string());
        }
        parts.push(self.test_in_words());
        parts.join("\n")
    }

    fn problems_table(&self) -> Table {
        use Align::{Left, Right};
        let mut table = Table::new(&[
            ("task", Left),
            ("steps", Right),
            ("optimizer", Left),
            ("seeds", Right),
            ("best", Right),
            ("median", Right),
            ("worst", Right),
            ("cosine", Right),
            ("from", Right),
            ("best rival", Left),
            ("its best", Right),
            ("tuned ratio", Right),
            ("over best rival", Right),
            ("worst ratio", Right),
            ("test", Right),
            ("cosine's", Right),
            ("against cosine", Left),
        ]);
        self.problems.iter().for_each(|problem| table.row(problem.row()));
        table
    }

    fn groups_table(&self) -> Table {
        use Align::{Left, Right};
        let mut table = Table::new(&[
            ("optimizer", Left),
            ("problems", Right),
            ("tuned ratio", Right),
            ("largest", Right),
            ("over best rival", Right),
            ("worst ratio", Right),
            ("largest", Right),
        ]);
        for group in &self.groups {
            table.row([
                group.name.clone(),
                group.n_problems.to_string(),
                maybe(group.tuned_ratio, ratio),
                maybe(group.largest_tuned_ratio, ratio),
                ratio(group.rivals_ratio),
                ratio(group.worst_ratio),
                ratio(group.largest_worst_ratio),
            ]);
        }
        table
    }

    fn rivals_table(&self) -> Table {
        use Align::{Left, Right};
        let mut table = Table::new(&[
            ("rival", Left),
            ("problems", Right),
            ("ratio to its best", Right),
            ("to its median", Right),
            ("wins", Right),
            ("ties", Right),
            ("losses", Right),
        ]);
        for record in &self.rivals {
            let counts = [record.wins, record.ties, record.losses].map(|n| n.to_string());
            let ratios = [ratio(record.ratio), ratio(record.untuned_ratio)];
            let first = [record.name.clone(), record.n_problems.to_string()];
            table.row(first.into_iter().chain(ratios).chain(counts));
        }
        table
    }

    fn peers_table(&self) -> Table {
        use Align::{Left, Right};
        let mut table = Table::new(&[
            ("task", Left),
            ("steps", Right),
            ("optimizer", Left),
            ("rival", Left),
            ("best", Right),
            ("from", Right),
            ("median", Right),
            ("own median", Right),
            ("ratio to its best", Right),
            ("to its median", Right),
        ]);
        for peer in &self.peers {
            table.row([
                peer.task.clone(),
                peer.steps.to_string(),
                peer.optimizer.clone(),
                peer.name.clone(),
                number(peer.best),
                number(peer.best_start),
                number(peer.median),
                number(peer.own_median),
                ratio(peer.ratio),
                ratio(peer.untuned_ratio),
            ]);
        }
        table
    }

    fn peer_records_table(&self) -> Table {
        use Align::{Left, Right};
        let mut table = Table::new(&[
            ("rival", Left),
            ("optimizer", Left),
            ("tasks", Right),
            ("ratio to its best", Right),
            ("largest", Right),
            ("to its median", Right),
        ]);
        for record in &self.peer_records {
            table.row([
                record.name.clone(),
                record.optimizer.clone(),
                record.n_tasks.to_string(),
                ratio(record.ratio),
                ratio(record.largest_ratio),
                ratio(record.untuned_ratio),
            ]);
        }
        table
    }

    fn test_in_words(&self) -> String {
        let mut lines = Vec::new();
        let percent = 100.0 * LEVEL;
        if let Some(Pooled { n_pairs, mean, interval: [low, high] }) = &self.accuracy_deficit {
            lines.push(format!(
                "Test accuracy at the median start: {mean:.2} points below best-tuned cosine, {percent:.0} % interval {low:.2} to {high:.2} \
                 (bootstrap over {n_pairs} pairs of task and seed)."
            ));
        }
        if let Some(Pooled { n_pairs, mean, interval: [low, high] }) = &self.log_test_loss_ratio {
            lines.push(format!(
                "Regression: test loss at the median start {:.3} × that of best-tuned cosine, {percent:.0} % interval {:.3} to {:.3} \
                 (bootstrap over {n_pairs} pairs of task and seed).",
                mean.exp(),
                low.exp(),
                high.exp()
            ));
        }
        lines.push(
            "Wins and losses: two-sided paired t-test over the seeds, level 0.05; a tie is what it cannot tell apart."
                .to_owned(),
        );
        lines.join("\n")
    }

    /// The table of all problems as Markdown.
    pub fn markdown(&self) -> String {
        self.problems_table().to_markdown()
    }

    /// A panel for each problem: the final loss over the start, with one line for each method.
    pub fn picture(&self) -> String {
        let charts: Vec<Chart> = self.problems.iter().map(|problem| self.chart(&problem.runs)).collect();
        let first = self.problems.first();
        let per_row = self
            .problems
            .iter()
            .filter(|problem| Some(problem.row_of_panels()) == first.map(ProblemReport::row_of_panels))
            .count();
        let about = format!("{}: training loss after the last step over the learning rate at the start", self.suite);
        svg_in_rows(&self.controller.name, &about, &charts, per_row)
    }

    fn chart(&self, runs: &ProblemRuns) -> Chart {
        let color = |name: &str| {
            let place = self.rivals.iter().position(|rival| rival.name == name).map_or(0, |place| place + 1);
            Color::MANY[place % Color::MANY.len()]
        };
        let line = |(i, method): (usize, &MethodRuns)| {
            let mut points: Vec<(f64, f64)> = method.starts.iter().map(|start| (start.lr, start.train_loss)).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let name = if i == 0 { &self.controller.name } else { &method.name };
            Line::new(name, if i == 0 { Color::MANY[0] } else { color(name) }, points).marked()
        };
        // The controller is what the picture is about, so it is drawn last, on top.
        let lines = runs.methods.iter().enumerate().map(line).rev().collect();
        Chart {
            title: format!("{}, {} steps of {}", runs.task, runs.steps, runs.optimizer),
            x: Axis::log("learning rate at the start"),
            y: Axis::log("loss"),
            lines,
        }
    }
}

impl ProblemReport {
    fn row_of_panels(&self) -> (&str, u64) {
        (&self.runs.task, self.runs.horizon)
    }

    fn row(&self) -> Vec<String> {
        let (runs, verdict) = (&self.runs, &self.verdict);
        let cosine = verdict.against_cosine();
        let best_rival = verdict.against(&verdict.best_rival);
        let test = |pick: fn(&TestPair) -> &Vec<f64>| {
            verdict.test.as_ref().map_or("-".to_owned(), |test| {
                let value = mean(pick(test).iter().copied());
                if test.is_accuracy { format!("{:.1} %", 100.0 * value) } else { number(value) }
            })
        };
        let outcome = |outcome: Outcome| match outcome {
            Outcome::Win => "win",
            Outcome::Tie => "tie",
            Outcome::Loss => "loss",
        };
        vec![
            runs.task.clone(),
            runs.steps.to_string(),
            runs.optimizer.to_owned(),
            runs.seeds.len().to_string(),
            number(verdict.best),
            number(verdict.median),
            number(verdict.worst),
            maybe(cosine.map(|cosine| cosine.best), number),
            maybe(cosine.map(|cosine| cosine.best_start), number),
            verdict.best_rival.clone(),
            maybe(best_rival.map(|rival| rival.best), number),
            maybe(verdict.tuned_ratio, ratio),
            ratio(verdict.rivals_ratio),
            ratio(verdict.worst_ratio),
            test(|test| &test.own),
            test(|test| &test.cosine),
            cosine.map_or("-", |cosine| outcome(cosine.outcome)).to_owned(),
        ]
    }
}
