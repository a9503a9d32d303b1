use super::*;
use crate::data::{Column, Format, TableSpec, TargetKind};
use std::path::PathBuf;

const MLP: &str = "[net]\nkind = \"mlp\"\n";
const TRAIN: &str = "[train]\nsteps = 10\n";
const CSV: &str = "[data]\nformat = \"csv\"\npath = \"x.csv\"\ntarget = -1\n";

fn parse(text: &str) -> Result<TaskSpec, TaskError> {
    TaskSpec::parse(text, Path::new("folder/some.toml"))
}

fn refusal(data: &str, net: &str, train: &str) -> String {
    parse(&format!("{data}{net}{train}")).expect_err("refused").to_string()
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tasks")
}

#[test]
fn defaults_are_those_of_the_tables() {
    let task = parse(&format!("{CSV}{MLP}{TRAIN}")).unwrap();
    assert_eq!((task.name().as_str(), task.directory()), ("some", Path::new("folder")));
    assert_eq!(task.data.split.map(f64::to_bits), [0.8, 0.1, 0.1].map(f64::to_bits));
    assert!(task.data.standardize && task.data.kind.is_none() && task.data.limit.is_none());
    let Format::Csv(table) = task.data.format else { panic!("csv") };
    assert_eq!((table.delimiter, table.header, table.target.clone()), (',', false, Column::Index(-1)));
    assert_eq!(table, TableSpec { target: Column::Index(-1), ..TableSpec::default() });
    assert_eq!((task.net.hidden.len(), task.net.activation), (0, Activation::Relu));
    assert_eq!(task.train.conditioning, crate::torch::Conditioning::None);
    assert_eq!((task.train.optimizer, task.train.batch_size, task.train.steps), (OptimizerKind::Adam, 64, 10));
}

#[test]
fn every_example_task_is_read() {
    let mut names: Vec<_> = std::fs::read_dir(examples())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .filter(|path| !path.ends_with("suite.toml") && !path.ends_with("long.toml"))
        .map(|path| TaskSpec::load(&path).unwrap_or_else(|error| panic!("{error}")).name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "chars-gru",
            "chars-transformer",
            "cifar-1000",
            "cifar-cnn",
            "cifar-resnet",
            "demo",
            "digits",
            "imdb-gru",
            "imdb-lstm",
            "imdb-transformer",
            "letter",
            "mnist-1000",
            "mnist-cnn",
            "wine"
        ]
    );
}

#[test]
fn the_wine_task_says_what_its_file_says() {
    let task = TaskSpec::load(&examples().join("wine.toml")).unwrap();
    let target = Column::Name("residual sugar".to_owned());
    assert_eq!(
        task.data.format,
        Format::Csv(TableSpec { delimiter: ';', header: true, says_header: true, target, ..TableSpec::default() })
    );
    assert_eq!((task.data.kind, task.data.split), (Some(TargetKind::Values), [0.7, 0.1, 0.2]));
    assert_eq!((task.net.hidden, task.net.activation), (vec![32, 32], Activation::Tanh));
}

#[test]
fn an_unknown_key_is_refused_with_its_path_and_the_known_ones() {
    let error = refusal(CSV, MLP, "[train]\nsteps = 10\nlearning_rate = 1.0\n");
    assert!(error.contains("folder/some.toml") && error.contains("`train.learning_rate`"), "{error}");
    assert!(error.contains("weight_decay"), "{error}");
    let error = refusal(CSV, "[net]\nkind = \"mlp\"\nchannels = [3]\n", TRAIN);
    assert!(error.contains("`net.channels`"), "{error}");
    for (net, key) in [
        ("kind = \"transformer\"\nhidden = [8]", "`net.hidden`"),
        ("kind = \"transformer\"\nactivation = \"relu\"", "`net.activation`"),
        ("kind = \"resnet\"\nchannels = [3]\nhidden = [8]", "`net.hidden`"),
        ("kind = \"resnet\"\nchannels = [3]\nactivation = \"relu\"", "`net.activation`"),
        ("kind = \"resnet\"\nchannels = [3]\nbatch_norm = true", "`net.batch_norm`"),
        ("kind = \"gru\"\nhidden = [8]\nheads = 2", "`net.heads`"),
    ] {
        let error = refusal(CSV, &format!("[net]\n{net}\n"), TRAIN);
        assert!(error.contains("unknown key") && error.contains(key) && error.contains("dropout"), "{error}");
    }
    let error = refusal(CSV, MLP, &format!("{TRAIN}[trian]\nsteps = 1\n"));
    assert!(error.contains("`trian`") && error.contains("data, net, train"), "{error}");
}

#[test]
fn a_missing_section_or_key_is_named() {
    assert!(refusal(CSV, MLP, "").contains("`train` is missing"));
    assert!(refusal(CSV, MLP, "[train]\nlr = 1.0\n").contains("`train.steps` is missing"));
    assert!(refusal("[data]\nformat = \"idx\"\npath = \".\"\n", MLP, TRAIN).contains("`data.images` is missing"));
}

#[test]
fn every_value_outside_its_range_is_refused_with_the_range() {
    let cnn = |channels: &str| format!("[net]\nkind = \"cnn\"\nchannels = {channels}\n");
    let gru = |rest: &str| format!("[net]\nkind = \"gru\"\n{rest}\n");
    let transformer = |rest: &str| format!("[net]\nkind = \"transformer\"\n{rest}\n");
    let resnet = |channels: &str, rest: &str| format!("[net]\nkind = \"resnet\"\nchannels = {channels}\n{rest}\n");
    let train = |rest: &str| format!("[train]\nsteps = 10\n{rest}\n");
    let csv = |rest: &str| format!("{CSV}{rest}\n");
    let cases = [
        (csv("split = [0.5, 0.1, 0.1]"), MLP.to_owned(), train(""), "data.split"),
        (csv("split = [0.5, 0.5]"), MLP.to_owned(), train(""), "data.split"),
        (csv("split = [0.0, 0.5, 0.5]"), MLP.to_owned(), train(""), "data.split"),
        (CSV.replace("x.csv", ""), MLP.to_owned(), train(""), "`data.path` is \"\""),
        (csv("limit = 0"), MLP.to_owned(), train(""), "data.limit"),
        (csv("classes = 0"), MLP.to_owned(), train(""), "data.classes"),
        (csv("max_memory_gb = 0"), MLP.to_owned(), train(""), "data.max_memory_gb"),
        (csv("max_memory_gb = nan"), MLP.to_owned(), train(""), "data.max_memory_gb"),
        (csv("decimal = \";\""), MLP.to_owned(), train(""), "data.decimal"),
        (csv("decimal = \",\""), MLP.to_owned(), train(""), "data.decimal"),
        (csv("missing = \"drop\""), MLP.to_owned(), train(""), "data.missing"),
        (csv("features = [\"x\"]"), MLP.to_owned(), train(""), "data.features"),
        (csv("ignore = [\"x\"]"), MLP.to_owned(), train(""), "data.ignore"),
        (csv("categorical = \"x\""), MLP.to_owned(), train(""), "data.categorical"),
        (csv("class_weights = \"even\""), MLP.to_owned(), train(""), "data.class_weights"),
        (csv("class_weights = { a = 0 }"), MLP.to_owned(), train(""), "data.class_weights.a"),
        (csv("class_weights = \"balanced\"\nkind = \"regression\""), MLP.to_owned(), train(""), "class_weights"),
        (csv(""), format!("[net]\nkind = \"mlp\"\nhidden = {:?}\n", [1; 1001]), train(""), "net.hidden"),
        (csv("kind = \"ranking\""), MLP.to_owned(), train(""), "data.kind"),
        (csv("delimiter = \"ab\""), MLP.to_owned(), train(""), "data.delimiter"),
        (csv("delimiter = \"é\""), MLP.to_owned(), train(""), "data.delimiter"),
        (CSV.replace("-1", "\"sugar\""), MLP.to_owned(), train(""), "data.target"),
        (CSV.replace("csv\"\np", "xls\"\np"), MLP.to_owned(), train(""), "data.format"),
        ("[data]\nformat=\"chars\"\npath=\"x\"\ncontext=0\n".to_owned(), gru("hidden=[3]"), train(""), "data.context"),
        ("[data]\nformat=\"tsv\"\npath=\"x\"\nvocabulary=2\n".to_owned(), gru("hidden=[3]"), train(""), "vocabulary"),
        ("[data]\nformat=\"cifar\"\npath=\"x\"\nfiles=[]\n".to_owned(), cnn("[3]"), train(""), "data.files"),
        (csv(""), "[net]\nkind = \"mlp\"\nhidden = [0]\n".to_owned(), train(""), "net.hidden"),
        (csv(""), "[net]\nkind = \"mlp\"\nhidden = [-4]\n".to_owned(), train(""), "net.hidden"),
        (csv(""), "[net]\nkind = \"mlp\"\nhidden = [100000]\n".to_owned(), train(""), "net.hidden"),
        (csv(""), "[net]\nkind = \"mlp\"\ndropout = 1.0\n".to_owned(), train(""), "net.dropout"),
        (csv(""), "[net]\nkind = \"mlp\"\nl1 = -1\n".to_owned(), train(""), "net.l1"),
        (csv(""), "[net]\nkind = \"tree\"\n".to_owned(), train(""), "net.kind"),
        (csv(""), cnn("[]"), train(""), "net.channels"),
        (csv(""), gru("hidden = []"), train(""), "net.hidden"),
        (csv(""), gru("hidden = [3]\nhead = \"first\""), train(""), "net.head"),
        (csv(""), gru("hidden = [3]\nembedding = 0"), train(""), "net.embedding"),
        (csv(""), transformer("embedding = 0"), train(""), "net.embedding"),
        (csv(""), transformer("embedding = 65537"), train(""), "net.embedding"),
        (csv(""), transformer("layers = 0"), train(""), "net.layers"),
        (csv(""), transformer("layers = 1001"), train(""), "net.layers"),
        (csv(""), transformer("layers = [2]"), train(""), "net.layers"),
        (csv(""), transformer("heads = 0"), train(""), "net.heads"),
        (csv(""), transformer("heads = 5"), train(""), "a divisor of net.embedding, which is 32"),
        (csv(""), transformer("head = \"first\""), train(""), "net.head"),
        (csv(""), resnet("[]", ""), train(""), "net.channels"),
        (csv(""), resnet("[0]", ""), train(""), "net.channels"),
        (csv(""), resnet("[3]", "blocks = 0"), train(""), "net.blocks"),
        (csv(""), resnet("[3]", "blocks = 1001"), train(""), "net.blocks"),
        (csv(""), MLP.to_owned(), train("lr = -1e-3"), "train.lr"),
        (csv(""), MLP.to_owned(), train("lr = inf"), "train.lr"),
        (csv(""), MLP.to_owned(), train("lr = \"fast\""), "train.lr"),
        (csv(""), MLP.to_owned(), train("weight_decay = -0.1"), "train.weight_decay"),
        (csv(""), MLP.to_owned(), train("batch_size = -1"), "train.batch_size"),
        (csv(""), MLP.to_owned(), train("optimizer = \"lamb\""), "train.optimizer"),
        (csv(""), MLP.to_owned(), train("conditioning = \"orthogonal:degree=2\""), "train.conditioning"),
        (csv(""), MLP.to_owned(), train("conditioning = 0.5"), "train.conditioning"),
        (csv(""), MLP.to_owned(), train("optimizer = \"muon\"\nconditioning = \"orthogonal\""), "muon"),
        (csv(""), MLP.to_owned(), "[train]\nsteps = 0\n".to_owned(), "train.steps"),
    ];
    for (data, net, train, key) in cases {
        let error = refusal(&data, &net, &train);
        assert!(error.contains(key) && error.contains("must be"), "{key}: {error}");
    }
}

#[test]
fn a_value_set_by_hand_is_checked_too() {
    let mut task = parse(&format!("{CSV}{MLP}{TRAIN}")).unwrap();
    task.train.lr = -1.0;
    assert!(matches!(task.check(), Err(TaskError::OutOfRange { source, .. }) if source.key == "train.lr"));
}

#[test]
fn regression_is_for_tables_only() {
    let data = "[data]\nformat = \"cifar\"\npath = \".\"\nfiles = [\"a\"]\nkind = \"regression\"\n";
    assert!(refusal(data, MLP, TRAIN).contains("data.kind"));
}

#[test]
fn no_toml_is_an_error_that_names_the_file() {
    assert!(matches!(parse("[data"), Err(TaskError::Syntax { file, .. }) if file.ends_with("some.toml")));
    assert!(matches!(TaskSpec::load(Path::new("nowhere.toml")), Err(TaskError::NoSuchFile(_))));
}

#[test]
fn optimizers_have_names_both_ways() {
    for (name, kind) in OptimizerKind::NAMES {
        assert_eq!((name.parse::<OptimizerKind>().unwrap(), kind.name()), (kind, name));
    }
    assert!("lamb".parse::<OptimizerKind>().unwrap_err().allowed.contains("rmsprop"));
}
