//! What `--tensorboard` shows of an evaluation: for each method a folder with its final loss over the starts on every
//! problem, and the ratios. A step is the place of a start among those of the problem, from the lowest learning rate on.

use super::report::{ProblemReport, Report};
use super::runs::{MethodRuns, Start};
use crate::cli::setting::in_words;
use crate::cli::tensorboard::{self, EventFile, Summary, folder_name, step_of};
use anyhow::Result;
use std::path::Path;

/// Writes the event files of an evaluation below `dir`. An evaluation that is run again replaces its curves.
pub fn write(dir: &Path, report: &Report) -> Result<()> {
    let controller = report.controller.name.rsplit('/').next().unwrap_or_default();
    let folder = dir.join(folder_name(&format!("{controller}-on-{}", report.suite)));
    for name in names(report) {
        let file = EventFile::begin(&folder.join(folder_name(name)), 0)?;
        report.problems.iter().for_each(|problem| write_problem(&file, problem, name));
        if name == report.controller.name {
            file.write(0, &Summary::new().text("report", &report.markdown()));
        }
        file.failure().map_or(Ok(()), Err)?;
    }
    tensorboard::tell(dir, &folder);
    Ok(())
}

/// The methods of all problems.
fn names(report: &Report) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for method in report.problems.iter().flat_map(|problem| &problem.runs.methods) {
        if !names.contains(&method.name.as_str()) {
            names.push(&method.name);
        }
    }
    names
}

fn write_problem(file: &EventFile, problem: &ProblemReport, name: &str) {
    let tag = |what: &str| format!("{what}/{}", problem_name(problem));
    let (runs, verdict) = (&problem.runs, &problem.verdict);
    let Some(method) = runs.methods.iter().find(|method| method.name == name) else { return };
    for (place, start) in ascending(method).into_iter().enumerate() {
        let summary = Summary::new().scalar(&tag("final_loss"), start.train_loss).scalar(&tag("start_lr"), start.lr);
        file.write(step_of(place as u64), &summary);
    }
    let ratios = match verdict.against(name) {
        Some(rival) => vec![("ratio", Some(rival.ratio)), ("untuned_ratio", Some(rival.untuned_ratio))],
        None => vec![
            ("tuned_ratio", verdict.tuned_ratio),
            ("rivals_ratio", Some(verdict.rivals_ratio)),
            ("worst_ratio", Some(verdict.worst_ratio)),
        ],
    };
    let known = ratios.into_iter().filter_map(|(what, ratio)| Some((what, ratio?)));
    file.write(0, &known.fold(Summary::new(), |summary, (what, ratio)| summary.scalar(&tag(what), ratio)));
}

fn problem_name(ProblemReport { runs, .. }: &ProblemReport) -> String {
    format!("{}-{}{}-{}", runs.task, runs.optimizer, in_words(&runs.conditioning), runs.steps)
}

fn ascending(method: &MethodRuns) -> Vec<&Start> {
    let mut starts: Vec<&Start> = method.starts.iter().collect();
    starts.sort_by(|a, b| a.lr.total_cmp(&b.lr));
    starts
}
