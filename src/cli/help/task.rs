//! Keys of a task file.

use super::{Key, Table, Topic, key};

pub const TOPIC: Topic = Topic {
    name: "task",
    about: "A task file is one training problem: data, net, training. It is TOML, a key that is unknown is refused, and words in \
            brackets behind a key name the formats or nets that alone have it. `qgd init DATA.csv` writes one for a table; `qgd list \
            tasks` lists those that come with qgd.",
    tables: &[
        Table { path: "data", about: "", keys: DATA },
        Table { path: "net", about: "", keys: NET },
        Table { path: "train", about: "", keys: TRAIN },
    ],
    example: "Example:\n  [data]\n  format = \"csv\"\n  path = \"iris.csv\"\n  header = true\n  target = \"species\"\n  [net]\n  \
              kind = \"mlp\"\n  hidden = [64]\n  [train]\n  steps = 400",
};

const DATA: &[Key] = &[
    key(
        "format",
        "",
        "word",
        "",
        "\"csv\", \"idx\", \"cifar\", \"tsv\" or \"chars\"",
        "What the files are: a table, pictures as MNIST has them, pictures as CIFAR-10 has them, lines of label and text, a plain text.",
    ),
    key(
        "path",
        "",
        "text",
        "",
        "",
        "File, or folder for idx and cifar; relative to the folder of the task file, or else to --data-dir. A name that ends in .gz is decompressed.",
    ),
    key(
        "kind",
        "",
        "word",
        "\"classification\"",
        "\"classification\" or, for csv, \"regression\"",
        "Whether the targets are classes or numbers.",
    ),
    key(
        "standardize",
        "",
        "true or false",
        "true",
        "",
        "Whether inputs, and targets in regression, get mean 0 and deviation 1 over the training split.",
    ),
    key("limit", "", "whole number", "none", "at least 1", "Number of examples that are used, chosen at random."),
    key(
        "split",
        "",
        "three numbers",
        "[0.8, 0.1, 0.1]",
        "each in [0, 1], their sum 1, the first above 0",
        "Shares of the training, validation and test split.",
    ),
    key(
        "classes",
        "",
        "whole number",
        "as found in the data (cifar: 10)",
        "at least 1",
        "Number of classes: every label must be below it.",
    ),
    key(
        "delimiter",
        "csv",
        "one character",
        "\",\"",
        "an ASCII character, no quote; a space stands for any white space",
        "What stands between two cells.",
    ),
    key("header", "csv", "true or false", "false", "", "Whether the first line names the columns."),
    key(
        "target",
        "csv",
        "text or whole number",
        "",
        "a name only with a header; numbers from 0, negative ones from the end",
        "Column that is to be predicted.",
    ),
    key("images", "idx", "text", "", "", "File of the pictures, in the folder `path`."),
    key("labels", "idx", "text", "", "", "File of the labels, in the folder `path`."),
    key("files", "cifar", "list of texts", "", "at least one", "Files in the folder `path`, read one after the other."),
    key(
        "vocabulary",
        "tsv",
        "whole number",
        "10000",
        "3 to 10,000,000",
        "Number of word numbers in use, of which 0 is padding and 1 an unknown word.",
    ),
    key(
        "length",
        "tsv",
        "whole number",
        "200",
        "1 to 100,000",
        "Number of words of an example: texts are cut or padded to it.",
    ),
    key("context", "chars", "whole number", "", "1 to 100,000", "Number of characters of an example."),
];

const NET: &[Key] = &[
    key(
        "kind",
        "",
        "word",
        "",
        "\"mlp\", \"cnn\", \"gru\" or \"lstm\"",
        "Linear layers; blocks of convolution and pooling before them; a recurrent net over texts.",
    ),
    key(
        "hidden",
        "",
        "list of whole numbers",
        "[] (gru, lstm: required, one size)",
        "each 1 to 65,536",
        "Sizes of the hidden layers after the input, the convolutions or the embedding.",
    ),
    key(
        "activation",
        "mlp, cnn",
        "word",
        "\"relu\"",
        "\"relu\", \"tanh\", \"sigmoid\" or \"gelu\"",
        "What stands between two layers.",
    ),
    key(
        "dropout",
        "",
        "number",
        "0.0",
        "in [0, 1)",
        "Share of the learned features that is dropped before each linear layer that reads them.",
    ),
    key("l1", "", "number", "0.0", "at least 0", "Factor on the sum of |w|, which is added to the training loss."),
    key(
        "channels",
        "cnn",
        "list of whole numbers",
        "",
        "each 1 to 65,536, at least one",
        "Number of channels of each block.",
    ),
    key("batch_norm", "cnn", "true or false", "false", "", "Whether batch norm follows each convolution."),
    key("embedding", "gru, lstm", "whole number", "32", "1 to 65,536", "Size of the embedding."),
    key(
        "head",
        "gru, lstm",
        "word",
        "\"each\"",
        "\"each\" or \"last\"",
        "Whether there is an output at every position, or one for the whole sequence.",
    ),
];

const TRAIN: &[Key] = &[
    key("steps", "", "whole number", "", "at least 1", "Number of optimizer steps."),
    key(
        "optimizer",
        "",
        "word",
        "\"adam\"",
        "\"sgd\", \"momentum\" (0.9), \"adam\", \"adamw\" or \"rmsprop\"",
        "Optimizer.",
    ),
    key("lr", "", "number", "1e-3", "above 0", "Learning rate at the start; a controller or a schedule moves it."),
    key("weight_decay", "", "number", "0.0", "at least 0", "Weight decay, as PyTorch defines it for the optimizer."),
    key(
        "batch_size",
        "",
        "whole number",
        "64",
        "at least 0",
        "Number of examples per step, drawn with replacement; 0 is the whole training split.",
    ),
];
