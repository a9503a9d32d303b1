//! Keys of a recipe.

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

const TRAINING: &[Key] = &[
    key("rounds", "", "whole number", "300", "1 to 1,000,000", "Number of rounds of rollouts and updates."),
    key("episodes_per_round", "", "whole number", "128", "1 to 1,000,000", "Number of tasks trained in a round."),
    key("updates_per_round", "", "whole number", "64", "at least 0", "Number of updates of the Q-network in a round."),
    key("validate_every", "", "whole number", "10", "at least 1", "Number of rounds between two validations."),
    key(
        "validation_tasks",
        "",
        "whole number",
        "48",
        "1 to 10,000",
        "Number of validation tasks, each run from five starts.",
    ),
    key(
        "average",
        "",
        "number",
        "0.02",
        "in (0, 1]",
        "Rate, per round, at which the averaged networks follow those that learn.",
    ),
];

const AGENT: &[Key] = &[
    key("ensemble", "", "whole number", "2", "1 to 16", "Number of networks that learn side by side."),
    key("gamma", "", "number", "1.0", "in (0, 1]", "Discount per decision where the budget is known."),
    key("gamma_unknown", "", "number", "0.97", "in (0, 1]", "Discount per decision where it is unknown."),
    key("n_step", "", "whole number", "5", "at least 1", "Number of rewards that are summed before the bootstrap."),
    key("lr", "", "number", "5e-4", "above 0", "Learning rate of Adam at the start."),
    key("lr_final", "", "number", "5e-5", "above 0", "Learning rate of Adam at the end, linear in between."),
    key("batch_size", "", "whole number", "1024", "1 to 65,536", "Number of transitions per network and update."),
    key("tau", "", "number", "0.005", "in (0, 1]", "Polyak rate of the target network."),
    key(
        "bootstrap",
        "",
        "word",
        "\"lowest\"",
        "\"lowest\" or \"mean\"",
        "Value of an ensemble's target networks that is bootstrapped from.",
    ),
];

const EXPLORATION: &[Key] = &[
    key(
        "epsilon_greedy.epsilon.constant",
        "",
        "number",
        "0.4 (where [training.exploration] is left out)",
        "in [0, 1]",
        "Share of decisions that explore, the same at all times.",
    ),
    key(
        "epsilon_greedy.epsilon.linear.first, epsilon_greedy.epsilon.linear.last",
        "",
        "number",
        "",
        "in [0, 1]",
        "The same, along a straight line from the first value to the last.",
    ),
    key("epsilon_greedy.epsilon.linear.over", "", "number", "", "above 0", "Number of rounds that the line takes."),
    key(
        "epsilon_greedy.epsilon.exponential.first, epsilon_greedy.epsilon.exponential.last",
        "",
        "number",
        "",
        "in [0, 1]",
        "The same, by exponential decay.",
    ),
    key("epsilon_greedy.epsilon.exponential.rate", "", "number", "", "at least 0", "Decay per round."),
    key(
        "epsilon_greedy.epsilon.sigmoid.first, epsilon_greedy.epsilon.sigmoid.last",
        "",
        "number",
        "",
        "in [0, 1]",
        "The same, high for a while and then low.",
    ),
    key("epsilon_greedy.epsilon.sigmoid.midpoint", "", "number", "", "", "Round at which it is halfway."),
    key("epsilon_greedy.epsilon.sigmoid.steepness", "", "number", "", "above 0", "Steepness of the fall there."),
    key(
        "epsilon_greedy.epsilon.dynamic.max",
        "",
        "number",
        "1.0",
        "in [0, 1], not below `min`",
        "The same, with a decay that follows the spread of the Q-values (Vashishtha 2025): value at first.",
    ),
    key("epsilon_greedy.epsilon.dynamic.min", "", "number", "0.01", "in [0, 1]", "Its limit."),
    key(
        "epsilon_greedy.epsilon.dynamic.rate, epsilon_greedy.epsilon.dynamic.variance_scale",
        "",
        "number",
        "0.05",
        "at least 0",
        "Base decay rate, and the weight of the spread.",
    ),
    key(
        "epsilon_greedy.epsilon.dynamic.variance",
        "",
        "word",
        "\"slows\"",
        "\"slows\" or \"speeds\"",
        "What a large spread does to the decay.",
    ),
    key(
        "epsilon_greedy.epsilon.dynamic.shape",
        "",
        "word",
        "\"exponential\"",
        "\"exponential\" or \"sigmoid\"",
        "Curve of the decay.",
    ),
    key(
        "epsilon_greedy.sticky_decisions",
        "",
        "number",
        "4.0",
        "at least 1",
        "Mean number of decisions that a random action lasts.",
    ),
    key(
        "epsilon_greedy.prior",
        "",
        "word",
        "\"drift-free\"",
        "\"drift-free\" or \"uniform\"",
        "Probabilities of random actions.",
    ),
    key(
        "epsilon_greedy.spread",
        "",
        "number",
        "0.0 (3.3 where [training.exploration] is left out)",
        "at least 0",
        "How unequal the share is across the episodes of a round.",
    ),
    key(
        "softmax.temperature",
        "",
        "number",
        "",
        "above 0",
        "Actions by the softmax of their Q-values over this temperature.",
    ),
    key("ucb.bonus", "", "number", "", "at least 0", "Bonus of actions that were seldom taken."),
    key(
        "thompson.prior_std",
        "",
        "number",
        "",
        "above 0",
        "Standard deviation of the draw around each Q-value, at first.",
    ),
];

const REPLAY: &[Key] = &[
    key(
        "uniform.capacity",
        "",
        "whole number",
        "400000 (where [training.replay] is left out)",
        "at least 1",
        "Number of newest transitions that are kept.",
    ),
    key("recent_and_best.recent", "", "whole number", "", "at least 1", "Number of newest episodes that are kept."),
    key(
        "recent_and_best.best",
        "",
        "whole number",
        "",
        "at least 0",
        "Number of best episodes that are kept beside them.",
    ),
];

const REHEARSAL: &[Key] = &[
    key(
        "pace.*",
        "",
        "the keys of [pace]",
        "those of use",
        "",
        "When it decides in training: more decisions teach more.",
    ),
    key(
        "guard.*",
        "",
        "the keys of [guard]",
        "those of use",
        "",
        "When a step is undone in training: nobody learns from a step that is undone.",
    ),
];

const POLISH: &[Key] = &[
    key("rounds", "", "whole number", "150", "1 to 1,000,000", "Number of gradient estimates."),
    key(
        "episodes_per_round",
        "",
        "whole number",
        "128",
        "1 to 1,000,000",
        "Number of tasks in a round, each trained twice.",
    ),
    key("sigma", "", "number", "0.015", "above 0", "Standard deviation of a perturbation, in units of the Q-values."),
    key("lr", "", "number", "0.002", "above 0", "Learning rate of Adam; it falls linearly to a fifth."),
    key("clip", "", "number", "0.5", "above 0", "Bound on the size of one difference."),
];

const REWARD: &[Key] = &[
    key("delta", "", "number", "3e-3", "above 0", "Loss below which improvement no longer counts."),
    key("clip", "", "number", "2.0", "above 0", "Bound on the size of one reward."),
    key(
        "of",
        "",
        "word",
        "\"loss\"",
        "\"loss\", \"validation-loss\", \"validation-error\" or \"validation\" (their geometric mean)",
        "What a task is judged by.",
    ),
    key(
        "inverse_distance.c1",
        "",
        "number",
        "1.0",
        "above 0",
        "With the table inverse_distance, the reward of Hu, Zhang and Shi: factor for halving and growing.",
    ),
    key("inverse_distance.c2", "", "number", "1.2", "above 0", "Factor for accepting."),
    key("inverse_distance.lower_bound", "", "number", "0.0", "finite", "Bound below every loss."),
];

const TASKS: &[Key] = &[
    key("horizon", "", "two whole numbers", "[200, 1600]", "1 <= low <= high", "Number of inner steps, log-uniform."),
    key("known_budget", "", "number", "0.7", "in [0, 1]", "Share of tasks whose controller is told the horizon."),
    key("separable", "", "number", "0.6", "in [0, 1]", "Share of classification tasks without label noise."),
    key(
        "label_noise",
        "",
        "two numbers",
        "[0.02, 0.4]",
        "0 < low <= high <= 1",
        "Share of labels that are random in the others, log-uniform.",
    ),
    key(
        "families",
        "",
        "four or six numbers",
        "[0.1, 0.1, 0.6, 0.2]",
        "at least 0, not all 0",
        "Weights of quadratics, logistic regression, classification and regression by multi-layer perceptrons; and of convolutional and recurrent nets, for --engine tch.",
    ),
    key(
        "optimizers",
        "",
        "four numbers",
        "[0.25, 0.25, 0.4, 0.1]",
        "at least 0, not all 0",
        "Weights of SGD, momentum, Adam, AdamW.",
    ),
    key(
        "layers",
        "",
        "two whole numbers",
        "[1, 2]",
        "1 <= low <= high <= 8",
        "Number of hidden layers of multi-layer perceptrons.",
    ),
    key(
        "widths",
        "",
        "two whole numbers",
        "[8, 64]",
        "1 <= low <= high <= 1024",
        "Number of units of each, log-uniform.",
    ),
    key(
        "clusters",
        "",
        "two whole numbers",
        "[1, 4]",
        "1 <= low <= high <= 64",
        "Number of clusters for each class, where classes are clusters.",
    ),
    key(
        "warped",
        "",
        "number",
        "0.0",
        "in [0, 1]",
        "Share of tasks some of whose inputs have heavy tails, are mostly zero, or are rounded.",
    ),
    key("memorized", "", "number", "0.0", "in [0, 1]", "Share of tasks that can only be learned by heart."),
    key("start", "", "two numbers", "the optimizer's five decades", RANGE, "Start of the learning rate, log-uniform."),
    key("start_decades", "", "number", "5.0", "in (0, 5]", "Number of decades in the middle of them to start in."),
    key(
        "weight_decay",
        "",
        "two numbers",
        "off in 60 %, else [1e-6, 1e-2]",
        RANGE,
        "Start of the weight decay, log-uniform.",
    ),
    key(
        "examples",
        "",
        "two whole numbers",
        "256 to 12,000",
        "16 <= low <= high <= 100,000",
        "Number of training examples, log-uniform; 512 more are held out.",
    ),
];
