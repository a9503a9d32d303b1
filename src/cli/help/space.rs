//! Keys of a space file.

use super::{Key, Table, Topic, key};

pub const TOPIC: Topic = Topic {
    name: "space",
    about: "A space file says what `qgd tune` searches: one table [params.NAME] for each parameter. It is TOML, a key that is unknown \
            is refused, and words in brackets behind a key name the types of parameters that alone have it.",
    tables: &[Table { path: "", about: "", keys: TOP }, Table { path: "params.NAME", about: "", keys: PARAMETER }],
    example: "Example:\n  direction = \"maximize\"\n  [params.lr]\n  type = \"float\"\n  low = 1e-5\n  high = 1.0\n  log = true\n  \
              [params.layers]\n  type = \"int\"\n  low = 1\n  high = 3\n  [params.skip]\n  type = \"categorical\"\n  choices = \
              [\"none\", \"add\"]\n  when = { layers = [2, 3] }",
};

pub const TOP: &[Key] = &[
    key(
        "direction",
        "",
        "word",
        "\"minimize\"",
        "\"minimize\" or \"maximize\"",
        "What is better, for a program that prints one value.",
    ),
    key(
        "directions",
        "",
        "list of words",
        "none",
        "at least one; not beside `direction`",
        "The same for each of several values.",
    ),
    key("params", "", "tables", "", "one table [params.NAME] for each parameter", "The parameters."),
];

pub const PARAMETER: &[Key] = &[
    key("type", "", "word", "", "\"float\", \"int\" or \"categorical\"", "Type of the parameter."),
    key("low", "float, int", "number", "", "whole for int", "Lower end of the range."),
    key(
        "high",
        "float, int",
        "number",
        "",
        "whole for int; not below `low`",
        "Upper end of the range; it can be reached.",
    ),
    key(
        "log",
        "float, int",
        "true or false",
        "false",
        "`low` above 0; not beside a step",
        "Whether it is drawn evenly on a logarithmic scale.",
    ),
    key(
        "step",
        "float, int",
        "number",
        "none (int: 1)",
        "above 0; whole for int",
        "Distance between two values, from `low` on.",
    ),
    key(
        "choices",
        "categorical",
        "list of words, numbers, true or false",
        "",
        "at least one, all different",
        "Values to choose from.",
    ),
    key(
        "when",
        "",
        "table { PARENT = [VALUES] }",
        "always",
        "another parameter of the space, and values that it has",
        "The parameter is there only where the other one has one of these values.",
    ),
];
