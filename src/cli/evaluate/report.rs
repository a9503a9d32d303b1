//! The result of an evaluation, in words, as JSON and as a picture; its tables stand in `tables`.

use super::YARDSTICK;
use super::groups::{Group, LEVEL, Pooled, Record};
use super::peers::{PeerRecord, PeerRow};
use super::runs::{MethodRuns, ProblemRuns, Start};
use super::verdict::Verdict;
use super::words::pooled_in_words;
use crate::cli::decider::shown;
use crate::cli::grid::drawn;
use crate::cli::setting::in_words;
use qgd::report::{Axis, Chart, Color, Line, svg_in_rows};
use qgd::words::counted;
use serde::Serialize;

/// What the ratios in the JSON file are.
pub const DEFINITIONS: Definitions = Definitions {
    ratio: "(median loss of the controller + floor) / (loss of the rival + floor), the floor 1 % of `first_loss`, that of the untrained net",
    old: "keys named `old`: by the definition up to 0.1.0, with 0.01 in the place of the floor",
    exposures: "steps * batch / examples of the training split; in a text by character, characters drawn / characters of the split",
};

/// Above the table of seconds, the last one.
const SECONDS: &str = "Seconds of a run on one thread, median over all runs.";

/// All results; the JSON file holds exactly this.
#[derive(Debug, Serialize)]
pub struct Report {
    pub version: &'static str,
    pub controller: About,
    pub suite: String,
    pub quick: bool,
    pub device: String,
    pub definitions: Definitions,
    /// Geometric means over problems, by optimizer and horizon.
    pub groups: Vec<Group>,
    /// The same by how often each example is seen, and by optimizer.
    pub regimes: Vec<Group>,
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

/// Words on what the figures are.
#[derive(Debug, Serialize)]
pub struct Definitions {
    ratio: &'static str,
    old: &'static str,
    exposures: &'static str,
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

/// One problem: its runs, the verdict on them, and how long they took.
#[derive(Debug, Serialize)]
pub struct ProblemReport {
    pub runs: ProblemRuns,
    pub verdict: Verdict,
    /// Two evaluations differ in these alone.
    pub seconds: Seconds,
}

/// Seconds of a run, medians over all runs.
#[derive(Debug, Serialize)]
pub struct Seconds {
    pub own: f64,
    /// Those of cosine, if it is among the rivals.
    pub cosine: Option<f64>,
}

impl Report {
    /// Text that is printed.
    pub fn in_words(&self) -> String {
        let cosine = self.cosine();
        let mut parts = vec![
            self.heading() + &self.conditioning(),
            format!(
                "Training loss over the whole split after the last step, geometric mean of the seeds.\n\
                 best, median, worst: over the starts of {}. ratio: (median + floor) over\n\
                 ({cosine} + floor); below 1 it ends lower.\n\
                 The floor is 1 % of the loss of the untrained net.",
                shown(&self.controller.name)
            ),
            self.losses_table().to_string(),
            "The best of all rivals, and how far the worst start is from the median one.".to_owned(),
            self.best_rivals_table().to_string(),
        ];
        for (of_accuracy, what) in [(true, "Test accuracy"), (false, "Test loss")] {
            if let Some(table) = self.test_table(of_accuracy) {
                parts.push(format!("{what} at the median start, beside that of {cosine}."));
                parts.push(table.to_string());
            }
        }
        parts.push(
            "How often the training sees each example. old: the ratio to cosine by the definition up to 0.1.0,\n\
             with 0.01 in the place of the floor."
                .to_owned(),
        );
        parts.push(self.exposures_table().to_string());
        parts.push("Geometric means of these ratios of training losses.".to_owned());
        parts.push(self.groups_table().to_string());
        parts.push(format!(
            "The same by how often each example is seen: more than 20 times, between, twice at most.\n\
             On the test split, points of accuracy, loss in regression, loss of all:\n\
             against {cosine}."
        ));
        parts.push(self.regimes_table().to_string());
        parts.push("The median start over each rival at its best start, and at its median.".to_owned());
        parts.push(self.rivals_table().to_string());
        if !self.peers.is_empty() {
            parts.push("Merged results of other programs: seeds and batches of their own.".to_owned());
            parts.push(self.peers_table().to_string());
            parts.push(self.peer_records_table().to_string());
        }
        parts.push(self.test_in_words());
        parts.push(format!("\n{SECONDS}"));
        parts.push(self.seconds_table().to_string());
        parts.join("\n")
    }

    /// What this is, and what it is not.
    fn heading(&self) -> String {
        let name = shown(&self.controller.name);
        if !self.quick {
            return format!(
                "{name} on {}: beside rivals that are tuned, one start a decade and then three around the best.\n",
                self.suite
            );
        }
        let seeds = self.seeds_in_words();
        format!(
            "A quick look at {name} on the small tasks of {}: {seeds}, rivals tried at one start a decade\n\
             and not refined. It shows what happens from which start; who wins takes the whole evaluation.\n",
            self.suite
        )
    }

    fn seeds_in_words(&self) -> String {
        counted(self.problems.iter().map(|problem| problem.runs.seeds.len()).max().unwrap_or(0), "seed")
    }

    /// What became of the changes of weight matrices; empty where nothing did.
    pub fn conditioning(&self) -> String {
        let mut of_tasks: Vec<String> = Vec::new();
        for ProblemReport { runs, .. } in self.problems.iter().filter(|problem| problem.runs.conditioning != "none") {
            let line = format!("Conditioning on {}: {}.\n", runs.task, runs.conditioning);
            if !of_tasks.contains(&line) {
                of_tasks.push(line);
            }
        }
        of_tasks.concat()
    }

    /// Name of the run of cosine that results are compared with.
    fn cosine(&self) -> &'static str {
        if self.quick { "cosine from its best start" } else { "best-tuned cosine" }
    }

    fn test_in_words(&self) -> String {
        let (mut lines, cosine) = (Vec::new(), self.cosine());
        if let Some(pooled) = &self.accuracy_deficit {
            let words = pooled_in_words(pooled, |points| format!("{points:.2}"), LEVEL);
            lines.push(format!("Test accuracy in points, against {cosine}:\n  {words}"));
        }
        if let Some(pooled) = &self.log_test_loss_ratio {
            let words = pooled_in_words(pooled, |log| format!("{:.1} %", 100.0 * log.exp_m1()), LEVEL);
            lines.push(format!("Test loss in regression, against {cosine}:\n  {words}"));
        }
        if !self.quick {
            lines.push(
                "Verdicts: two-sided paired t-test over the seeds, level 0.05; a tie is what it cannot tell apart."
                    .to_owned(),
            );
        }
        lines.join("\n")
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
        let about = format!(
            "{}: training loss after the last step over the learning rate at the start, geometric mean of {}",
            self.suite,
            self.seeds_in_words()
        );
        svg_in_rows(&format!("{} from every start", shown(&self.controller.name)), &about, &charts, per_row)
    }

    fn chart(&self, runs: &ProblemRuns) -> Chart {
        let line = |method: &MethodRuns| {
            let mut starts: Vec<&Start> = method.starts.iter().collect();
            starts.sort_by(|a, b| a.lr.total_cmp(&b.lr));
            let seeds = |start: &Start| start.cells.iter().map(|cell| drawn(cell.train())).collect();
            let places = starts.into_iter().map(|start| (start.lr, start.train_loss, seeds(start)));
            Line::over_seeds(&shown(&method.name), Color::of_method(&method.name), places).marked()
        };
        let lines = runs.methods.iter().map(line).collect();
        Chart {
            title: format!("{}, {} steps of {}{}", runs.task, runs.steps, runs.optimizer, in_words(&runs.conditioning)),
            x: Axis::log("learning rate at the start"),
            y: Axis::log("training loss"),
            lines,
        }
    }
}

impl ProblemReport {
    pub fn new(runs: ProblemRuns, verdict: Verdict) -> Self {
        let own = runs.methods.first().map_or(f64::NAN, MethodRuns::median_seconds);
        let cosine = runs.methods.iter().skip(1).find(|method| method.name == YARDSTICK);
        let seconds = Seconds { own, cosine: cosine.map(MethodRuns::median_seconds) };
        Self { runs, verdict, seconds }
    }

    fn row_of_panels(&self) -> (&str, u64) {
        (&self.runs.task, self.runs.horizon)
    }
}
