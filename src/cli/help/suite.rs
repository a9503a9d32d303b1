//! Keys of a suite file.

use super::{Key, Table, Topic, key};

pub const TOPIC: Topic = Topic {
    name: "suite",
    about: "A suite file says which tasks `qgd evaluate` runs, and how. It is TOML, and a key that is unknown is refused. `qgd list \
            suites` lists those that come with qgd.",
    tables: &[
        Table { path: "", about: "For all tasks, before the first table:", keys: SHARED },
        Table {
            path: "[task]",
            about: "One table for each task; each may have the keys above for itself, and:",
            keys: TASK,
        },
    ],
    example: "Example:\n  optimizers = [\"adam\"]\n  seeds = 3\n  [[task]]\n  file = \"digits.toml\"\n  quick = true",
};

pub const SHARED: &[Key] = &[
    key(
        "optimizers",
        "",
        "list of words",
        "[\"sgd\", \"momentum\", \"adam\"]",
        "at least one; those of a task file",
        "Optimizers that train each task, whatever the task file says.",
    ),
    key(
        "horizons",
        "",
        "list of whole numbers",
        "[1]",
        "at least one, each 1 to 1000",
        "Lengths of the training, as multiples of the steps in the task file.",
    ),
    key("seeds", "", "whole number", "5", "1 to 1000", "Number of seeds: they are 0, 1, and so on."),
    key(
        "rivals",
        "",
        "list of words",
        "[\"cosine\", \"one-cycle\", \"step\", \"plateau\", \"greedy\", \"constant\"]",
        "at least one",
        "Schedules and controllers to compare with.",
    ),
];

pub const TASK: &[Key] = &[
    key("file", "", "text", "", "", "Task file, relative to the suite file or to --data-dir."),
    key("quick", "", "true or false", "false", "", "Whether `qgd evaluate --quick` runs it."),
];
