use super::*;
use crate::task::TaskSpec;
use crate::text::NotText;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;

mod files;
mod tables;

const NET_AND_TRAIN: &str = "[net]\nkind = \"mlp\"\n[train]\nsteps = 1\n";

/// A folder with files in it, and a task that reads them.
struct Folder(TempDir);

impl Folder {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        Self(folder)
    }

    fn load(&self, data: &str) -> Result<Dataset, DataError> {
        self.load_seeded(data, 0)
    }

    fn load_seeded(&self, data: &str, seed: u64) -> Result<Dataset, DataError> {
        let text = format!("[data]\n{data}\n{NET_AND_TRAIN}");
        let task = TaskSpec::parse(&text, &self.0.path().join("task.toml")).unwrap();
        load(&task.data, task.directory(), None, seed)
    }

    fn refusal(&self, data: &str) -> String {
        self.load(data).expect_err("refused").to_string()
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let header = [0, 0, 8, sizes.len() as u8];
    let sizes = sizes.iter().flat_map(|size| size.to_be_bytes());
    header.into_iter().chain(sizes).chain(values.iter().copied()).collect()
}

fn floats(split: &Split) -> &[f32] {
    match &split.inputs {
        Inputs::Float { values, .. } => values,
        Inputs::Tokens { .. } => panic!("no floats"),
    }
}

fn tokens(split: &Split) -> &[i64] {
    match &split.inputs {
        Inputs::Tokens { ids, .. } => ids,
        Inputs::Float { .. } => panic!("no tokens"),
    }
}

fn classes(split: &Split) -> &[i64] {
    match &split.targets {
        Targets::Classes { ids, .. } => ids,
        Targets::Values { .. } => panic!("no classes"),
    }
}

fn values(split: &Split) -> &[f32] {
    match &split.targets {
        Targets::Values { values, .. } => values,
        Targets::Classes { .. } => panic!("no values"),
    }
}

/// Everything in the training split, as it stands in the file.
const PLAIN: &str = "standardize = false\nsplit = [1.0, 0.0, 0.0]";

fn csv(rest: &str) -> String {
    format!("format = \"csv\"\npath = \"t.csv\"\n{rest}\n{PLAIN}")
}

fn sorted<T: PartialOrd + Copy>(values: &[T]) -> Vec<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap());
    sorted
}

// Tables

#[test]
fn a_table_is_read_with_its_target_by_name_index_or_negative_index() {
    let folder = Folder::with(&[("t.csv", b"\"a\";\"the sugar\";\"b\"\n1;2;3\n\n4;5.5;6\r\n")]);
    for target in ["\"the sugar\"", "1", "-2"] {
        let data = format!("delimiter = \";\"\nheader = true\nkind = \"regression\"\ntarget = {target}");
        let found = folder.load(&csv(&data)).unwrap();
        assert_eq!((found.n_outputs, found.kind), (1, TargetKind::Values));
        assert_eq!(sorted(floats(&found.train)), [1.0, 3.0, 4.0, 6.0]);
        assert_eq!(sorted(values(&found.train)), [2.0, 5.5]);
    }
}

#[test]
fn a_space_as_delimiter_is_any_run_of_white_space() {
    let folder = Folder::with(&[("t.csv", b"x  y label\n  1 \t 2   b\n3 4 a  \n")]);
    let found = folder.load(&csv("delimiter = \" \"\nheader = true\ntarget = \"label\"")).unwrap();
    assert_eq!(sorted(floats(&found.train)), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!((sorted(classes(&found.train)), found.n_outputs), (vec![0, 1], 2));
}

#[test]
fn classes_are_numbered_in_the_order_of_their_names_and_stay_with_their_row() {
    let folder = Folder::with(&[("t.csv", b"z,26\na,1\nm,13\n")]);
    let found = folder.load(&csv("target = 0")).unwrap();
    for (value, class) in floats(&found.train).iter().zip(classes(&found.train)) {
        assert_eq!(
            *class,
            if *value < 2.0 {
                0
            } else if *value < 14.0 {
                1
            } else {
                2
            }
        );
    }
}

#[test]
fn a_gzipped_table_is_the_same_table() {
    let plain: &[u8] = b"1,0\n2,1\n";
    let folder = Folder::with(&[("t.csv", plain), ("t.csv.gz", &gzip(plain))]);
    let data = csv("target = 1");
    assert_eq!(folder.load(&data).unwrap(), folder.load(&data.replace("t.csv", "t.csv.gz")).unwrap());
}

#[test]
fn a_cell_that_is_no_number_is_named_with_its_line_and_column() {
    let folder = Folder::with(&[("t.csv", b"a,b,c\n1,2,3\n1,oops,3\n")]);
    let error = folder.refusal(&csv("header = true\ntarget = \"c\""));
    assert!(error.contains("line 3, column 2") && error.contains("`oops`") && error.contains("t.csv"), "{error}");
    for cell in ["", "nan", "inf", "1e99", "1,2"] {
        let folder = Folder::with(&[("t.csv", format!("1;2\n{cell};0\n").as_bytes())]);
        let error = folder.refusal(&csv("delimiter = \";\"\ntarget = 1"));
        assert!(error.contains("line 2, column 1"), "{cell}: {error}");
    }
}

#[test]
fn a_target_that_is_no_number_is_an_error_in_regression() {
    let folder = Folder::with(&[("t.csv", b"1,2\n1,high\n")]);
    let error = folder.refusal(&csv("kind = \"regression\"\ntarget = 1"));
    assert!(error.contains("line 2, column 2") && error.contains("`high`"), "{error}");
}

#[test]
fn a_column_that_does_not_exist_is_named_with_those_that_do() {
    let folder = Folder::with(&[("t.csv", b"a,b\n1,2\n")]);
    let error = folder.refusal(&csv("header = true\ntarget = \"sugar\""));
    assert!(error.contains("`sugar`") && error.contains("a, b"), "{error}");
    for index in ["2", "-3", "9223372036854775807", "-9223372036854775808"] {
        let error = folder.refusal(&csv(&format!("header = true\ntarget = {index}")));
        assert!(error.contains(index) && error.contains("2 columns"), "{error}");
    }
}

#[test]
fn a_row_of_another_width_is_named_with_its_line() {
    let folder = Folder::with(&[("t.csv", b"1,2,3\n1,2,3\n1,2\n")]);
    let error = folder.refusal(&csv("target = 0"));
    assert!(error.contains("line 3") && error.contains("2 columns") && error.contains("has 3"), "{error}");
    let folder = Folder::with(&[("t.csv", b"1\n2\n")]);
    assert!(matches!(folder.load(&csv("target = 0")), Err(DataError::OneColumn { line: 1, delimiter: ',', .. })));
}

#[test]
fn a_table_without_rows_is_an_error() {
    for content in [&b""[..], b"a,b\n", b"\n\n"] {
        let folder = Folder::with(&[("t.csv", content)]);
        assert!(folder.load(&csv("header = true\ntarget = 0")).is_err(), "{content:?}");
    }
}

#[test]
fn a_missing_file_is_named_with_the_places_that_were_searched() {
    let folder = Folder::with(&[]);
    let task = TaskSpec::parse(
        &format!("[data]\nformat = \"csv\"\npath = \"not/here.csv\"\ntarget = 0\n{NET_AND_TRAIN}"),
        &folder.0.path().join("task.toml"),
    );
    let task = task.unwrap();
    let error = load(&task.data, task.directory(), Some(Path::new("/elsewhere")), 0).unwrap_err().to_string();
    assert!(error.contains("not/here.csv") && error.contains("/elsewhere/not/here.csv"), "{error}");
}

#[test]
fn a_file_is_found_in_the_data_folder_too() {
    let folder = Folder::with(&[("t.csv", b"1,2\n3,4\n")]);
    let task = TaskSpec::parse(&format!("[data]\n{}\n{NET_AND_TRAIN}", csv("target = 0")), Path::new("/a/b.toml"));
    let task = task.unwrap();
    assert_eq!(load(&task.data, task.directory(), Some(folder.0.path()), 0).unwrap().train.len(), 2);
}

#[test]
fn gzip_garbage_and_text_that_is_no_text_are_errors() {
    let folder = Folder::with(&[("t.csv.gz", b"this is no gzip"), ("t.csv", b"1,2\n\xff\xfe,3\n")]);
    let gzipped = csv("target = 0").replace("t.csv", "t.csv.gz");
    assert!(matches!(folder.load(&gzipped), Err(DataError::Read { path, .. }) if path.ends_with("t.csv.gz")));
    assert!(matches!(
        folder.load(&csv("target = 0")),
        Err(DataError::NotText { source: NotText::Utf8 { position: 4, .. }, .. })
    ));
    let cut = gzip(b"1,2\n3,4\n");
    let folder = Folder::with(&[("t.csv.gz", &cut[..cut.len() - 6])]);
    assert!(matches!(folder.load(&gzipped), Err(DataError::Read { .. })));
}

// Preparation

fn numbers(n: usize) -> Vec<u8> {
    (0..n).map(|row| format!("{row},7,{}\n", row * row)).collect::<String>().into_bytes()
}

#[test]
fn the_splits_share_no_example_and_miss_none() {
    let folder = Folder::with(&[("t.csv", &numbers(50))]);
    let spec = csv("kind = \"regression\"\ntarget = 2").replace("[1.0, 0.0, 0.0]", "[0.8, 0.1, 0.1]");
    let found = folder.load(&spec).unwrap();
    assert_eq!((found.train.len(), found.validation.len(), found.test.len()), (40, 5, 5));
    let all: Vec<f32> =
        [&found.train, &found.validation, &found.test].into_iter().flat_map(|split| values(split).to_vec()).collect();
    assert_eq!(sorted(&all), (0..50).map(|row| (row * row) as f32).collect::<Vec<_>>());
}

#[test]
fn the_seed_decides_the_split() {
    let folder = Folder::with(&[("t.csv", &numbers(50))]);
    let spec = csv("kind = \"regression\"\ntarget = 2");
    assert_eq!(folder.load_seeded(&spec, 3).unwrap(), folder.load_seeded(&spec, 3).unwrap());
    assert_ne!(folder.load_seeded(&spec, 3).unwrap(), folder.load_seeded(&spec, 4).unwrap());
}

#[test]
fn the_limit_is_taken_after_the_shuffle() {
    let folder = Folder::with(&[("t.csv", &numbers(50))]);
    let spec = |limit: &str| csv(&format!("kind = \"regression\"\ntarget = 2\n{limit}"));
    let all = folder.load(&spec("")).unwrap();
    let few = folder.load(&spec("limit = 8")).unwrap();
    assert_eq!(values(&few.train), &values(&all.train)[..8]);
    assert_eq!(folder.load(&spec("limit = 500")).unwrap(), all);
}

#[test]
fn inputs_and_regression_targets_are_standardized_by_the_training_split() {
    let folder = Folder::with(&[("t.csv", &numbers(50))]);
    let spec = "format = \"csv\"\npath = \"t.csv\"\nkind = \"regression\"\ntarget = 2";
    let found = folder.load(spec).unwrap();
    let (mean, deviation) = mean_and_deviation(values(&found.train));
    assert!(mean.abs() < 1e-6 && (deviation - 1.0).abs() < 1e-6, "{mean} {deviation}");
    let first: Vec<f32> = floats(&found.train).iter().copied().step_by(2).collect();
    let (mean, deviation) = mean_and_deviation(&first);
    assert!(mean.abs() < 1e-6 && (deviation - 1.0).abs() < 1e-6, "{mean} {deviation}");
    assert!(floats(&found.train).iter().skip(1).step_by(2).all(|constant| constant.abs() < 1e-6));
    // The others use the moments of the training split, not their own.
    assert!(mean_and_deviation(values(&found.test)).0.abs() > 1e-3);
}

fn mean_and_deviation(values: &[f32]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
    (mean, (values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / n).sqrt())
}

#[test]
fn a_split_without_examples_is_refused() {
    let folder = Folder::with(&[("t.csv", &numbers(5))]);
    let spec = "format = \"csv\"\npath = \"t.csv\"\ntarget = 2";
    assert!(folder.refusal(spec).contains("the validation split is empty"));
}

#[test]
fn a_batch_larger_than_the_data_is_refused() {
    let error = Batches::new(0, 10, 11).unwrap_err().to_string();
    assert!(error.contains("11") && error.contains("10 examples"), "{error}");
    assert!(Batches::new(0, 0, 0).is_err());
}

#[test]
fn batches_reach_every_example_and_go_on_after_a_restore() {
    let mut batches = Batches::new(5, 20, 10).unwrap();
    let mut seen = [0; 20];
    for index in (0..20).flat_map(|_| batches.draw().unwrap()) {
        seen[index as usize] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    let saved = serde_json::to_string(&batches).unwrap();
    let mut restored: Batches = serde_json::from_str(&saved).unwrap();
    assert_eq!((0..5).map(|_| restored.draw()).collect::<Vec<_>>(), (0..5).map(|_| batches.draw()).collect::<Vec<_>>());
    assert_eq!(Batches::new(5, 20, 0).unwrap().draw(), None);
}

// IDX

const IDX: &str = "format = \"idx\"\npath = \".\"\nimages = \"x.gz\"\nlabels = \"y\"\nsplit = [1.0, 0.0, 0.0]";

fn idx_folder(images: &[u8], labels: &[u8]) -> Folder {
    Folder::with(&[("x.gz", &gzip(images)), ("y", labels)])
}

#[test]
fn idx_pictures_have_one_channel_and_values_up_to_one() {
    let folder = idx_folder(&idx(&[2, 1, 3], &[0, 51, 255, 102, 0, 0]), &idx(&[2], &[1, 0]));
    let found = folder.load(&format!("{IDX}\nstandardize = false")).unwrap();
    let Inputs::Float { shape, values } = &found.train.inputs else { panic!("floats") };
    assert_eq!(shape, &[1, 1, 3]);
    assert_eq!(sorted(values), [0.0, 0.0, 0.0, 0.2, 0.4, 1.0]);
    assert_eq!((sorted(classes(&found.train)), found.n_outputs), (vec![0, 1], 2));
}

#[test]
fn a_truncated_idx_file_is_an_error_with_both_lengths() {
    let good = idx(&[2, 1, 3], &[0; 6]);
    for cut in [5, 10, 16, 21] {
        let error = idx_folder(&good[..cut], &idx(&[2], &[1, 0])).refusal(IDX);
        assert!(error.contains("truncated") && error.contains(&format!("{cut}")), "{cut}: {error}");
    }
    let longer: Vec<u8> = good.iter().copied().chain([0]).collect();
    assert!(matches!(
        idx_folder(&longer, &idx(&[2], &[1, 0])).load(IDX),
        Err(DataError::WrongLength { found: 23, .. })
    ));
}

#[test]
fn a_hostile_idx_header_allocates_nothing() {
    let error = idx_folder(&idx(&[u32::MAX, u32::MAX, u32::MAX], &[0; 6]), &idx(&[2], &[1, 0])).refusal(IDX);
    assert!(error.contains("79228162458924105385300197391"), "{error}");
}

#[test]
fn a_file_that_is_no_idx_file_is_an_error() {
    let labels = idx(&[2], &[1, 0]);
    for content in [&b""[..], b"PK\x03\x04 zipped", &labels, &[0, 0, 13, 3, 0, 0, 0, 0]] {
        assert!(matches!(idx_folder(content, &labels).load(IDX), Err(DataError::NotIdx { expected: 3, .. })));
    }
}

#[test]
fn pictures_and_labels_must_be_as_many() {
    let folder = idx_folder(&idx(&[2, 1, 3], &[0; 6]), &idx(&[3], &[1, 0, 1]));
    assert!(folder.refusal(IDX).contains("3 labels for 2 pictures"));
}

#[test]
fn a_label_out_of_range_is_named_with_its_example() {
    let folder = idx_folder(&idx(&[3, 1, 1], &[0; 3]), &idx(&[3], &[1, 0, 5]));
    let error = folder.refusal(&format!("{IDX}\nclasses = 5"));
    assert!(error.contains("example 2") && error.contains("label 5") && error.contains("0 to 4"), "{error}");
    // If the number of classes is not declared, there cannot be more classes than examples.
    assert!(folder.refusal(IDX).contains("0 to 2"));
    assert_eq!(folder.load(&format!("{IDX}\nclasses = 7")).unwrap().n_outputs, 7);
}

// CIFAR

const CIFAR: &str = "format = \"cifar\"\npath = \".\"\nfiles = [\"a.bin\", \"b.bin.gz\"]\nsplit = [1.0, 0.0, 0.0]";

fn record(label: u8, red: u8) -> Vec<u8> {
    let mut record = vec![0; 3073];
    record[0] = label;
    record[1..1025].fill(red);
    record
}

#[test]
fn cifar_records_are_read_channel_by_channel_from_all_files() {
    let folder = Folder::with(&[("a.bin", &record(0, 255)), ("b.bin.gz", &gzip(&record(9, 0)))]);
    let found = folder.load(&format!("{CIFAR}\nstandardize = false")).unwrap();
    let Inputs::Float { shape, values } = &found.train.inputs else { panic!("floats") };
    assert_eq!((shape.as_slice(), found.n_outputs), (&[3, 32, 32][..], 10));
    for (label, picture) in classes(&found.train).iter().zip(values.chunks_exact(3072)) {
        let red = if *label == 0 { 1.0 } else { 0.0 };
        assert!(picture[..1024].iter().all(|value| (value - red).abs() < 1e-9));
        assert!(picture[1024..].iter().all(|value| value.abs() < 1e-9));
    }
}

#[test]
fn a_cifar_file_of_another_size_or_with_a_wrong_label_is_refused() {
    let good = record(1, 0);
    let folder = Folder::with(&[("a.bin", &good[..3072]), ("b.bin.gz", &gzip(&good))]);
    assert!(matches!(folder.load(CIFAR), Err(DataError::NotCifar { found: 3072, record: 3073, .. })));
    let folder = Folder::with(&[("a.bin", &record(10, 0)), ("b.bin.gz", &gzip(&good))]);
    assert!(matches!(folder.load(CIFAR), Err(DataError::LabelOutOfRange { label: 10, max: 9, .. })));
    let folder = Folder::with(&[("a.bin", &good)]);
    assert!(matches!(folder.load(CIFAR), Err(DataError::NotFound { path, .. }) if path.ends_with("b.bin.gz")));
}

// Texts

const TSV: &str = "format = \"tsv\"\npath = \"t.tsv.gz\"\nsplit = [1.0, 0.0, 0.0]";

#[test]
fn words_are_numbered_by_frequency_after_padding_and_unknown() {
    let text = gzip(b"1\t9\tid\tGood, GOOD film -- don't miss it!\n0\t8\tid\tthe good film\n");
    let folder = Folder::with(&[("t.tsv.gz", &text)]);
    // good 3, film 2, don't 1, miss 1, it 1, the 1
    let found = folder.load(&format!("{TSV}\nlength = 7\nvocabulary = 6")).unwrap();
    let rows: Vec<&[i64]> = tokens(&found.train).chunks_exact(7).collect();
    assert!(rows.contains(&&[2, 2, 3, 4, 5, 1, 0][..]), "{rows:?}");
    assert!(rows.contains(&&[1, 2, 3, 0, 0, 0, 0][..]), "{rows:?}");
    assert_eq!((found.n_tokens, found.n_outputs), (6, 2));
    let cut = folder.load(&format!("{TSV}\nlength = 2")).unwrap();
    assert_eq!(tokens(&cut.train).len(), 4);
}

#[test]
fn a_line_without_label_or_tab_is_named() {
    for (content, wrong) in [
        (&b"1\tgood\nbad film\n"[..], "line 2: 1 columns"),
        (b"1\tgood\npos\tfilm\n", "line 2: the label `pos`"),
        (b"-1\tgood\n", "line 1: the label `-1`"),
        (b"99999999999\tgood\n", "line 1: the label `99999999999`"),
    ] {
        let error = Folder::with(&[("t.tsv.gz", &gzip(content))]).refusal(TSV);
        assert!(error.contains(wrong), "{error}");
    }
}

#[test]
fn characters_predict_the_next_one() {
    let folder = Folder::with(&[("t.txt", b"hello world")]);
    let data = "format = \"chars\"\npath = \"t.txt\"\ncontext = 5\nsplit = [1.0, 0.0, 0.0]";
    let found = folder.load(data).unwrap();
    // " dehlorw": h 3, e 2, l 4, o 5, r 6, w 7, d 1
    let (inputs, targets) = (tokens(&found.train), classes(&found.train));
    assert_eq!((inputs.len(), found.train.len(), found.n_outputs, found.n_tokens), (10, 2, 8, 8));
    let first = inputs.chunks_exact(5).position(|row| row == [3, 2, 4, 4, 5]).unwrap();
    assert_eq!(&targets[first * 5..first * 5 + 5], [2, 4, 4, 5, 0]);
    let short = Folder::with(&[("t.txt", b"hello")]);
    assert!(matches!(short.load(data), Err(DataError::TooFew { .. })));
}

// Real data

/// The folder of real data. If there is none, says so and returns `None`.
fn real_data() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("QGD_DATA").map_or(default, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var("QGD_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name == "data"));
    assert!(!required, "QGD_REQUIRE asks for the data, but there is none at {}", folder.display());
    eprintln!("skipped: no data at {} (set QGD_DATA)", folder.display());
    None
}

fn example(task: &str, change: impl Fn(&mut DataSpec)) -> Option<Dataset> {
    let folder = real_data()?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tasks").join(task);
    let mut task = TaskSpec::load(&file).unwrap();
    change(&mut task.data);
    Some(load(&task.data, task.directory(), Some(&folder), 0).unwrap_or_else(|error| panic!("{error}")))
}

fn everything(spec: &mut DataSpec) {
    (spec.split, spec.standardize, spec.limit) = ([1.0, 0.0, 0.0], false, None);
}

fn counts(split: &Split, n_classes: usize) -> Vec<usize> {
    let mut counts = vec![0; n_classes];
    classes(split).iter().for_each(|class| counts[*class as usize] += 1);
    counts
}

#[test]
fn the_digits_of_the_demo_are_all_there() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tasks/digits.toml");
    let mut task = TaskSpec::load(&file).unwrap();
    everything(&mut task.data);
    let found = load(&task.data, task.directory(), None, 0).unwrap();
    assert_eq!((found.train.len(), found.n_outputs), (1797, 10));
    assert_eq!(counts(&found.train, 10), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert!(floats(&found.train).iter().all(|value| (0.0..=16.0).contains(value)));
}

#[test]
fn the_wines_are_all_there() {
    let quality = |spec: &mut DataSpec| {
        everything(spec);
        spec.kind = Some(TargetKind::Classes);
        let target = Column::Name("quality".to_owned());
        spec.format =
            Format::Csv(TableSpec { delimiter: ';', header: true, says_header: true, target, ..TableSpec::default() });
    };
    let Some(found) = example("wine.toml", quality) else { return };
    assert_eq!(counts(&found.train, 6), [10, 53, 681, 638, 199, 18]);
    let Some(found) = example("wine.toml", |_| {}) else { return };
    assert_eq!((found.train.len(), found.validation.len(), found.test.len()), (1119, 160, 320));
}

#[test]
fn the_letters_are_all_there() {
    let Some(found) = example("letter.toml", everything) else { return };
    let counts = counts(&found.train, 26);
    assert_eq!((found.train.len(), found.n_outputs), (20_000, 26));
    assert_eq!((counts.iter().min(), counts.iter().max()), (Some(&734), Some(&813)));
}

#[test]
fn mnist_is_all_there() {
    let Some(found) = example("mnist-cnn.toml", everything) else { return };
    assert_eq!((found.train.len(), floats(&found.train).len()), (60_000, 60_000 * 784));
    assert_eq!(counts(&found.train, 10), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
}

#[test]
fn the_cifar_pictures_are_all_there_and_standardized_per_channel() {
    let Some(found) = example("cifar-cnn.toml", |_| {}) else { return };
    assert_eq!((found.train.len(), found.validation.len(), found.test.len()), (3200, 400, 400));
    for channel in 0..3 {
        let values: Vec<f32> =
            floats(&found.train).chunks_exact(1024).skip(channel).step_by(3).flatten().copied().collect();
        let (mean, deviation) = mean_and_deviation(&values);
        assert!(mean.abs() < 1e-5 && (deviation - 1.0).abs() < 1e-5, "{mean} {deviation}");
    }
}

#[test]
fn the_reviews_are_all_there() {
    let Some(found) = example("imdb-lstm.toml", everything) else { return };
    assert_eq!(counts(&found.train, 2), [12_500, 12_500]);
    assert_eq!((found.n_tokens, tokens(&found.train).len()), (10_000, 25_000 * 200));
}

#[test]
fn the_plays_are_all_there() {
    let Some(found) = example("chars-gru.toml", everything) else { return };
    assert_eq!((found.train.len(), found.n_outputs, found.n_tokens), (1_115_393 / 32, 65, 65));
}
