//! Keys of a recipe.

use super::training::{AGENT, EXPLORATION, HINDSIGHT, POLISH, REHEARSAL, REPLAY, REWARD, TASKS, TRAINING};
use super::{Key, Table, Topic, key};

pub const TOPIC: Topic = Topic {
    name: "recipe",
    about: "A recipe says what a controller is, and in [training] how it is meta-trained. It is TOML, and a key that is unknown is \
            refused. `qgd list recipes` lists those that come with qgd; controllers/*.toml of the repository are worked examples.",
    tables: &[
        Table { path: "", about: "", keys: TOP },
        Table { path: "pace", about: "When it decides, and what a move counts.", keys: PACE },
        Table { path: "bounds", about: "Bounds of the controlled values.", keys: BOUNDS },
        Table { path: "guard", about: "When a step is undone.", keys: GUARD },
        Table {
            path: "line_search",
            about: "With this table the controller searches along lines, as published, instead of scheduling.",
            keys: LINE_SEARCH,
        },
        Table { path: "network", about: "Shape of the Q-network.", keys: NETWORK },
        Table { path: "training", about: "How it is meta-trained.", keys: TRAINING },
        Table { path: "training.agent", about: "The learning.", keys: AGENT },
        Table {
            path: "training.exploration",
            about: "How the agent tries what it does not think best: one of four tables.",
            keys: EXPLORATION,
        },
        Table { path: "training.replay", about: "What the memory keeps: one of two tables.", keys: REPLAY },
        Table {
            path: "training.rehearsal",
            about: "How it is driven while it is meta-trained, where that is otherwise than in use.",
            keys: REHEARSAL,
        },
        Table {
            path: "training.hindsight",
            about: "Learning from the best level of each task instead of from returns; not without this table.",
            keys: HINDSIGHT,
        },
        Table {
            path: "training.polish",
            about: "Evolution strategies after Q-learning; none without this table.",
            keys: POLISH,
        },
        Table { path: "training.reward", about: "What a decision is paid.", keys: REWARD },
        Table { path: "training.tasks", about: "The training problems that are drawn.", keys: TASKS },
    ],
    example: "Example: the shortest recipe\n  schema = 1\n  name = \"mine\"\n  description = \"Moves the learning rate.\"\n  controls = \
              \"lr\"\n  moves = [\"halve\", \"accept\", \"grow\"]\n  features = \"scalefree\"",
};

const RANGE: &str = "0 < low <= high";

const TOP: &[Key] = &[
    key("schema", "", "whole number", "", "1", "Version of the grammar."),
    key("name", "", "text", "", "", "Name of the controller and of its pretrained file."),
    key("description", "", "text", "", "", "One sentence, for people."),
    key("controls", "", "word", "", "\"lr\", \"weight-decay\" or \"both\"", "Values that it moves."),
    key(
        "moves",
        "",
        "list of words",
        "",
        "one to three of \"halve\", \"accept\", \"grow\"",
        "Moves that it chooses among.",
    ),
    key("features", "", "word", "", "\"scalefree\", \"hansen6\" or \"scalefree-validation\"", "What it sees."),
    key(
        "halve_evidence",
        "",
        "number",
        "none",
        "in [0, 100], with a scalefree set and without [line_search]",
        "Number of standard errors by which the average loss must be above its lowest before it may halve while probing.",
    ),
];

const PACE: &[Key] = &[
    key("probe_steps", "", "whole number", "64", "at least 0", "Number of first steps at each of which it decides."),
    key(
        "per_doubling",
        "",
        "whole number",
        "8",
        "1 to 1000",
        "Number of decisions per doubling of the step count after that.",
    ),
    key(
        "fixed",
        "",
        "whole number",
        "none",
        "at least 1",
        "Number of steps between two decisions after probing, instead of `per_doubling`.",
    ),
    key(
        "cooldown",
        "",
        "number",
        "0.0",
        "in [0, 1]",
        "Share of a known budget over whose end the learning rate falls linearly to 0, underneath the decisions.",
    ),
    key(
        "weight_decay_power",
        "",
        "whole number",
        "1",
        "1 to 8",
        "Number of times that a move of the weight decay counts.",
    ),
];

const BOUNDS: &[Key] = &[
    key("lr", "", "two numbers", "[1e-8, 100.0]", RANGE, "Bounds of the learning rate."),
    key("weight_decay", "", "two numbers", "[1e-8, 10.0]", RANGE, "Bounds of a weight decay that is not 0."),
];

const GUARD: &[Key] = &[
    key("explosion", "", "number", "2.0", "above 1", "A loss is bad above this many times the highest of late."),
    key(
        "drift",
        "",
        "number",
        "none",
        "above 1",
        "The level of the loss is bad above this many times its lowest, if by more than its noise.",
    ),
    key(
        "restart",
        "",
        "number",
        "0.95",
        "in [0, 1]; 0: never",
        "Share of the first loss that a run must get below, or it begins again.",
    ),
    key(
        "first_update",
        "",
        "number",
        "none",
        "above 0",
        "Longest first step that is allowed, as a share of the norm of the parameters.",
    ),
];

const LINE_SEARCH: &[Key] = &[
    key("memory", "", "whole number", "10", "1 to 32", "M: the first M - 1 steps are plain gradient steps."),
    key("reset_on_accept", "", "true or false", "true", "", "Whether accepting sets both values back to their start."),
    key(
        "direction",
        "",
        "word",
        "\"current\"",
        "\"current\" or \"literal\"",
        "Which weight decay the direction uses: that of now, or that at the last accept.",
    ),
];

const NETWORK: &[Key] = &[
    key("hidden", "", "list of whole numbers", "[64, 64]", "at most 4, each 1 to 1024", "Widths of the hidden layers."),
    key("dueling", "", "true or false", "true", "", "Whether the value and the advantages have heads of their own."),
];
