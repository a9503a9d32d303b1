//! `qgd list`: everything that can be named on the command line, each with a sentence.

use super::failure::Failure;
use anyhow::Context;
use clap::ValueEnum;
use qgd::schedule::Schedule;
use qgd::shipped::{FILES, Kind};
use qgd::tuner::{pruners, samplers};
use qgd::{Controls, Pretrained};
use serde::Serialize;
use std::collections::BTreeMap;

const EXAMPLES: &str = "Examples:
  qgd list
  qgd list controllers schedules
  qgd list --json tasks | python3 -c 'import json, sys; print([task[\"name\"] for task in json.load(sys.stdin)[\"tasks\"]])'";

/// List what can be named: controllers, schedules, optimizers, tasks, suites, samplers, pruners, spaces, recipes
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// What to list [default: everything]
    #[arg(value_name = "WHAT")]
    what: Vec<What>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A kind of things that have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum What {
    Controllers,
    Schedules,
    Optimizers,
    Tasks,
    Suites,
    Samplers,
    Pruners,
    Spaces,
    Recipes,
}

/// The optimizers of task files. They stand here, because a `qgd` without libtorch lists them, too.
const OPTIMIZERS: [(&str, &str); 11] = [
    ("sgd", "plain gradient descent"),
    ("momentum", "gradient descent with momentum 0.9"),
    ("adam", "Adam; weight decay is added to the gradient"),
    ("adamw", "Adam with decoupled weight decay"),
    ("rmsprop", "RMSprop, not centered"),
    ("nesterov", "gradient descent with momentum 0.9 in Nesterov's form"),
    ("nadam", "Adam with Nesterov's momentum"),
    ("lion", "the sign of a mean of the gradient, with decoupled weight decay; its rates are a tenth of Adam's"),
    ("muon", "Muon for the matrices of hidden layers, AdamW for the rest, both at Adam's rates"),
    ("schedulefree-sgd", "gradient descent between the newest parameters and their average, which is what is kept"),
    ("schedulefree-adamw", "the same with AdamW's steps"),
];

/// One thing that has a name.
#[derive(Serialize)]
struct Named {
    name: String,
    about: String,
}

impl ListArgs {
    pub fn run(&self) -> Result<(), Failure> {
        let all = What::value_variants();
        let wanted = if self.what.is_empty() { all } else { &self.what };
        let lists: Vec<(What, Vec<Named>)> =
            wanted.iter().map(|what| Ok((*what, what.list()?))).collect::<Result<_, Failure>>()?;
        if self.json {
            let by_name: BTreeMap<&str, &Vec<Named>> = lists.iter().map(|(what, list)| (what.name(), list)).collect();
            say!("{}", serde_json::to_string_pretty(&by_name)?);
            return Ok(());
        }
        let text: Vec<String> = lists.iter().map(|(what, list)| what.in_words(list)).collect();
        say!("{}", text.join("\n"));
        Ok(())
    }
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Controllers => "controllers",
            Self::Schedules => "schedules",
            Self::Optimizers => "optimizers",
            Self::Tasks => "tasks",
            Self::Suites => "suites",
            Self::Samplers => "samplers",
            Self::Pruners => "pruners",
            Self::Spaces => "spaces",
            Self::Recipes => "recipes",
        }
    }

    /// Where a name of this kind goes.
    fn used_by(self) -> &'static str {
        match self {
            Self::Controllers => "qgd train TASK --controller NAME, unless it says otherwise",
            Self::Schedules => "qgd train TASK --schedule NAME",
            Self::Optimizers => "qgd train TASK --optimizer NAME; --conditioning orthogonal with most of them",
            Self::Tasks => "qgd train NAME; where their data are: qgd data",
            Self::Suites => "qgd evaluate CONTROLLER --suite NAME",
            Self::Samplers => "qgd tune SPACE --sampler NAME",
            Self::Pruners => "qgd tune SPACE --pruner NAME",
            Self::Spaces => "qgd tune NAME",
            Self::Recipes => "qgd meta-train NAME -o FILE",
        }
    }

    fn list(self) -> Result<Vec<Named>, Failure> {
        let pair = |(name, about): (&str, &str)| Named { name: name.to_owned(), about: about.to_owned() };
        let shipped = |kind| {
            let files = FILES.iter().filter(move |file| file.kind == kind);
            files.map(|file| Named { name: file.name.to_owned(), about: file.about() }).collect()
        };
        Ok(match self {
            Self::Controllers => Pretrained::NAMES.into_iter().map(controller).collect::<Result<_, _>>()?,
            Self::Schedules => Schedule::ALL.map(|schedule| pair((schedule.name(), schedule.about()))).into(),
            Self::Optimizers => OPTIMIZERS.map(pair).into(),
            Self::Tasks => shipped(Kind::Task),
            Self::Suites => shipped(Kind::Suite),
            Self::Samplers => samplers::ALL.map(pair).into(),
            Self::Pruners => pruners::ALL.map(pair).into(),
            Self::Spaces => shipped(Kind::Space),
            Self::Recipes => shipped(Kind::Recipe),
        })
    }

    fn in_words(self, list: &[Named]) -> String {
        let width = list.iter().map(|named| named.name.len()).max().unwrap_or(0);
        let mut text = format!("{} ({})\n", self.name(), self.used_by());
        for Named { name, about } in list {
            text += &format!("  {name:<width$}  {about}\n");
        }
        text
    }
}

fn controller(name: &str) -> Result<Named, Failure> {
    let pretrained = Pretrained::shipped(name).with_context(|| format!("the shipped controller {name}"))?;
    let recipe = pretrained.recipe();
    let where_used = if recipe.line_search.is_some() {
        " Not for `qgd train`: in Rust alone, by torch::QLineSearch."
    } else if recipe.controls == Controls::WeightDecay {
        " For tasks with a weight decay and a validation split."
    } else if recipe.watches_validation() {
        " For tasks with a validation split."
    } else {
        ""
    };
    Ok(Named { name: name.to_owned(), about: format!("{}{where_used}", recipe.description) })
}

#[cfg(all(test, feature = "torch"))]
mod tests {
    use super::OPTIMIZERS;
    use qgd::task::OptimizerKind;

    #[test]
    fn the_optimizers_that_are_listed_are_those_of_task_files() {
        assert_eq!(OPTIMIZERS.map(|(name, _)| name), OptimizerKind::NAMES.map(|(name, _)| name));
    }
}
