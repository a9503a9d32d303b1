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
        "File, or folder for idx and cifar; relative to the folder of the task file, or else to --data-dir. gzip is decompressed.",
    ),
    key(
        "kind",
        "",
        "word",
        "classification; a target that looks like numbers is then refused",
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
        "Shares of the training, validation and test split. A share of 0 leaves the split out.",
    ),
    key(
        "classes",
        "",
        "whole number",
        "as found in the data (cifar: 10)",
        "1 to 10,000,000",
        "Number of classes: every label must be below it.",
    ),
    key(
        "class_weights",
        "",
        "word or table",
        "none",
        "\"balanced\", or a table with a weight from 1e-6 to 1e6 for every class",
        "How much the loss of an example counts in training, by its class; balanced: rare classes count more.",
    ),
    key(
        "max_memory_gb",
        "",
        "number",
        "half of the machine's memory",
        "1e-6 to 1e6",
        "Largest memory in GB that the data, and then one training step, may take.",
    ),
    key(
        "delimiter",
        "csv",
        "one character",
        "\",\"",
        "an ASCII character, no quote; a space stands for any white space",
        "What stands between two cells.",
    ),
    key(
        "header",
        "csv",
        "true or false",
        "false; where nothing is said, a first line that looks like names is refused",
        "",
        "Whether the first line names the columns. (A line `sep=;` above it, as Excel writes it, is passed over.)",
    ),
    key(
        "target",
        "csv",
        "text or whole number",
        "",
        "a name only with a header; numbers from 0, negative ones from the end",
        "Column that is to be predicted.",
    ),
    key(
        "decimal",
        "csv",
        "one character",
        "\".\"",
        "\".\" or \",\"",
        "What stands between the whole and the broken part of a number.",
    ),
    key("features", "csv", "list of columns", "all but the target and those to ignore", "", "Columns that are inputs."),
    key("ignore", "csv", "list of columns", "[]", "", "Columns that are not read at all."),
    key(
        "categorical",
        "csv",
        "list of columns",
        "[]",
        "",
        "Input columns whose cells are names: each name of the training split becomes a column of 0 and 1.",
    ),
    key(
        "missing",
        "csv",
        "word",
        "\"refuse\"",
        "\"refuse\", \"mean\" or \"indicator\"",
        "What is done about cells without a value (empty ones, `?`, and what pandas takes for none: NA, NaN, None, <NA>, #N/A, null, \
         ...): refused; the mean of the column; that, and a column that says where.",
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
        "\"mlp\", \"cnn\", \"gru\", \"lstm\", \"transformer\" or \"resnet\"",
        "Linear layers; blocks of convolution and pooling before them; a recurrent net over texts; attention over texts; residual \
         blocks of convolutions with batch norm.",
    ),
    key(
        "hidden",
        "mlp, cnn, gru, lstm",
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
        "Share of the learned features that is dropped before each linear layer that reads them; in a transformer, of the embeddings \
         and of what each attention and each mlp adds.",
    ),
    key("l1", "", "number", "0.0", "at least 0", "Factor on the sum of |w|, which is added to the training loss."),
    key(
        "channels",
        "cnn, resnet",
        "list of whole numbers",
        "",
        "each 1 to 65,536, at least one",
        "Number of channels of each block of a cnn, of each stage of a resnet. Each stage but the first halves height and width.",
    ),
    key("blocks", "resnet", "whole number", "2", "1 to 1000", "Number of residual blocks of each stage."),
    key("batch_norm", "cnn", "true or false", "false", "", "Whether batch norm follows each convolution."),
    key(
        "embedding",
        "gru, lstm, transformer",
        "whole number",
        "32",
        "1 to 65,536",
        "Size of the embedding; of a transformer the width of all its layers.",
    ),
    key(
        "head",
        "gru, lstm, transformer",
        "word",
        "\"each\"",
        "\"each\", \"last\" or \"mean\"",
        "Whether there is an output at every position, or one for the whole text, read at its end or on the mean over its words. \
         The end is the last word for a transformer, the last position for the others, be it padding. With \"each\" and \"last\" \
         a transformer sees itself and what comes before, as GPT; with \"mean\" all words, as BERT.",
    ),
    key("layers", "transformer", "whole number", "2", "1 to 1000", "Number of blocks of attention and mlp."),
    key("heads", "transformer", "whole number", "4", "a divisor of embedding", "Number of heads of each attention."),
];

const TRAIN: &[Key] = &[
    key("steps", "", "whole number", "", "at least 1", "Number of optimizer steps."),
    key(
        "optimizer",
        "",
        "word",
        "\"adam\"",
        "\"sgd\", \"momentum\" (0.9), \"nesterov\" (0.9), \"adam\", \"adamw\", \"rmsprop\", \"nadam\", \"lion\", \"muon\", \
         \"schedulefree-sgd\" or \"schedulefree-adamw\" (`qgd list optimizers`)",
        "Optimizer.",
    ),
    key(
        "conditioning",
        "",
        "text",
        "\"none\"",
        "\"none\" or \"orthogonal\", where behind a colon may stand degree=0 to 1 (default 1.0), steps=1 to 20 (5), every=1 to 1000 \
         (1) and head=true or false (true), with commas between them; \"none\" with the optimizers muon and schedulefree",
        "What becomes of the change that the optimizer proposes for a weight matrix. \"orthogonal\" makes its singular values alike, by \
         so many Newton-Schulz steps, and keeps its norm, so that a learning rate means what it meant; with a degree of 0.5 half of \
         it. Vectors and embeddings, and without the head the last matrix, are left to the optimizer. It costs time, on small batches \
         several times that of the step.",
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
