//! Where the data of the shipped tasks are published: the table behind `qgd data`, and behind what is said where a file is missing.

use super::{DataSpec, Format};
use std::path::{Path, PathBuf};

/// A published data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Name of the data set in `qgd data`.
    pub name: &'static str,
    /// What it is and who made it.
    pub about: &'static str,
    /// What it may be used for, or what its authors ask for.
    pub license: &'static str,
    /// Page on which it is published.
    pub page: &'static str,
    /// Shell commands that fetch it, run in the data folder.
    pub commands: &'static [&'static str],
    /// Shipped file that the commands need beside them: its path in the repository.
    pub script: Option<&'static str>,
    /// Files of the data set that tasks read.
    pub files: &'static [PublishedFile],
}

/// A file of a published data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedFile {
    /// Path in the data folder.
    pub path: &'static str,
    /// Number of bytes, after decompression.
    pub n_bytes: u64,
    /// SHA-256 of the bytes after decompression, in hexadecimal digits.
    pub sha256: &'static str,
}

macro_rules! files {
    ($($path:literal $n_bytes:literal $sha256:literal)*) => {
        &[$(PublishedFile { path: $path, n_bytes: $n_bytes, sha256: $sha256 }),*]
    };
}

/// Data sets that shipped tasks read and that do not ship themselves.
pub const PUBLISHED: [Published; 7] = [
    Published {
        name: "letter",
        about: "20,000 letters by 16 measured features (Frey and Slate 1991)",
        license: "CC BY 4.0",
        page: "https://archive.ics.uci.edu/dataset/59/letter+recognition",
        commands: &[
            "mkdir -p letter_recognition",
            "curl -fL -o letter_recognition/letter-recognition.data https://archive.ics.uci.edu/ml/machine-learning-databases/letter-recognition/letter-recognition.data",
        ],
        script: None,
        files: files! {
            "letter_recognition/letter-recognition.data" 712_565 "2b89f3602cf768d3c8355267d2f13f2417809e101fc2b5ceee10db19a60de6e2"
        },
    },
    Published {
        name: "wine",
        about: "1599 red wines by 12 measurements (Cortez et al. 2009)",
        license: "CC BY 4.0",
        page: "https://archive.ics.uci.edu/dataset/186/wine+quality",
        commands: &[
            "mkdir -p wine_quality_red",
            "curl -fL -o wine_quality_red/winequality-red.csv https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/winequality-red.csv",
        ],
        script: None,
        files: files! {
            "wine_quality_red/winequality-red.csv" 84_199 "4a402cf041b025d4566d954c3b9ba8635a3a8a01e039005d97d6a710278cf05e"
        },
    },
    Published {
        name: "mnist",
        about: "60,000 pictures of handwritten digits (LeCun et al. 1998)",
        license: "none is stated; its authors ask to be cited",
        page: "http://yann.lecun.com/exdb/mnist",
        commands: &[
            "mkdir -p mnist",
            "curl -fL --remote-name-all --output-dir mnist 'https://ossci-datasets.s3.amazonaws.com/mnist/train-{images-idx3,labels-idx1}-ubyte.gz'",
        ],
        script: None,
        files: files! {
            "mnist/train-images-idx3-ubyte.gz" 47_040_016 "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
            "mnist/train-labels-idx1-ubyte.gz" 60_008 "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        },
    },
    Published {
        name: "cifar",
        about: "the first 4000 of 50,000 color pictures of ten kinds of things (Krizhevsky 2009)",
        license: "none is stated; its author asks to be cited",
        page: "https://www.cs.toronto.edu/~kriz/cifar.html",
        commands: &[
            "mkdir -p cifar10_lossless_5k/cifar-10-batches-bin",
            "curl -fL https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz | tar -xzO cifar-10-batches-bin/data_batch_1.bin | head -c 12292000 | gzip -n >cifar10_lossless_5k/cifar-10-batches-bin/data_batch_1.bin.gz",
        ],
        script: None,
        files: files! {
            "cifar10_lossless_5k/cifar-10-batches-bin/data_batch_1.bin.gz" 12_292_000 "0993cf8b8e43bc207603aef9787006995746513f5e3fa5a52e06d1b069926330"
        },
    },
    Published {
        name: "shakespeare",
        about: "1.1 million characters of Shakespeare, as Karpathy put them together (2015)",
        license: "the texts are in the public domain",
        page: "https://github.com/karpathy/char-rnn/tree/master/data/tinyshakespeare",
        commands: &[
            "mkdir -p tinyshakespeare",
            "curl -fL -o tinyshakespeare/input.txt https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        ],
        script: None,
        files: files! {
            "tinyshakespeare/input.txt" 1_115_394 "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
        },
    },
    Published {
        name: "imdb",
        about: "25,000 film reviews, good or bad (Maas et al. 2011), one line each: class, rating, number, text",
        license: "none is stated; its authors ask to be cited",
        page: "https://ai.stanford.edu/~amaas/data/sentiment",
        commands: &[
            "mkdir -p imdb",
            "curl -fL https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz | tar -xz aclImdb/train/neg aclImdb/train/pos",
            r#"for c in neg pos; do (cd aclImdb/train/$c && ls | sort -n | xargs awk -v c=$c 'BEGIN { OFS = "\t" } { split(FILENAME, n, /[_.]/); print (c == "pos"), n[2], n[1], $0 }'); done | gzip -n >imdb/train.tsv.gz"#,
        ],
        script: None,
        files: files! {
            "imdb/train.tsv.gz" 33_387_859 "b4caf51c3aa260e88874849783f3cb97ac972c8ffc815f8c97a86e1a7b246718"
        },
    },
    Published {
        name: "development",
        about: "tables that come with scikit-learn, a census, and waves, texts and digits that make.py draws",
        license: "CC BY 4.0 (UCI); diabetes: Efron et al. 2004",
        page: "https://scikit-learn.org/stable/datasets/toy_dataset.html",
        commands: &[
            "mkdir -p sklearn_builtin adult",
            "curl -fL --remote-name-all --output-dir sklearn_builtin 'https://raw.githubusercontent.com/scikit-learn/scikit-learn/1.5.2/sklearn/datasets/data/{breast_cancer.csv,wine_data.csv,iris.csv,diabetes_data_raw.csv.gz,diabetes_target.csv.gz}'",
            "curl -fL -o adult/adult.data https://raw.githubusercontent.com/shap/shap/df974a1966294b9c7acebb1373fd6dc5445d1d3d/data/adult.data",
            "python3 make.py . .",
        ],
        script: Some("examples/development/make.py"),
        files: files! {
            "cancer.csv" 120_893 "ce0d3153c7a04cade14d697ec8737e1b8b7942282073fd0ee785c4ada95148e6"
            "cancer-smoothness.csv" 119_755 "836ed573628cd84d00e176f5719390f2493a7e6e466392481e3ea0a20fd241d3"
            "cancer-texture.csv" 119_755 "949d8f8a10a4d20dd36c39a68b9e1372dfaa41a6837a845172fd8072debe1e9f"
            "diabetes.csv" 25_637 "0f9c4201ae763c3582a40d4be85f12dff18f5ca8dea51da6152c4b526f5d93ba"
            "diabetes-sixths.csv" 24_016 "233093eb764e808c51ea3637eba82e64dc4bd0e13efdce955171efe64f4c61a4"
            "wine-alcohol.csv" 11_728 "dbba2cc8585b1c67f8ded08a4f23015e26c2efa0823c7e40fa3b82f4580372a0"
            "wine-eighths.csv" 10_973 "cc3cdee0c6bdf7f17bc28225bc9468f3e41924535b486f41d84eb358fab3639f"
            "iris-petal.csv" 2_400 "d8494e77bad36df0ff9a915eff4c1923a6de0cc7c614f303aa3341111cb319d1"
            "adult.csv" 7_351_907 "ab77462a8928ea351fc475e5dd347f08c7029e29c3a243c2ab9f7ec1a5ac9c17"
            "waveform.csv" 4_444_095 "07d17dde29d3da1d9d810bb38194731cff71f430703c72fbcceb6714dfd598c8"
            "friedman.csv" 1_867_144 "145706c72f62e854d7e1d237275642903710f8d499a03cce576abf37b1cdd8ea"
            "source.txt" 1_200_000 "dedda46cc29c2d5d74f1bb38d747ff528ddf6a60f34a832088a4f1634dc30235"
            "grammar.txt" 1_600_041 "70b3cb7882ecb63dc53a788bf1e0304bc1643753408fd0eed1f769aff56188dc"
            "strokes/images" 2_400_016 "d66519e435b9750a46a7d7e7733e2441db4a0dbcebf84a3e3a94498a2b06ac06"
            "strokes/labels" 6_008 "31c17a3e456699cad3d9d727018f24f2317a3aad78c98475e83fb2b5b62c887b"
            "strokes-more/images" 8_000_016 "b90f9a055ea1eaa9e8a544115aa5c2a7a8944af89cd34a209c9fbed08b523d3d"
            "strokes-more/labels" 20_008 "939fa8bfbaf6c6df96c708beb41d4a710e8ec1ac314344629e337eb9367f6809"
        },
    },
];

/// Paths of the files of a data set, as the task file gives them.
pub fn files(spec: &DataSpec) -> Vec<PathBuf> {
    match &spec.format {
        Format::Csv { .. } | Format::Tsv { .. } | Format::Chars { .. } => vec![spec.path.clone()],
        Format::Idx { images, labels } => vec![spec.path.join(images), spec.path.join(labels)],
        Format::Cifar { files } => files.iter().map(|file| spec.path.join(file)).collect(),
    }
}

/// The published data set that `path` belongs to: a file of it, or its folder.
pub fn of_path(path: &Path) -> Option<&'static Published> {
    let belongs = |file: &PublishedFile| path.ends_with(file.path) || Path::new(file.path).starts_with(path);
    PUBLISHED.iter().find(|published| !path.as_os_str().is_empty() && published.files.iter().any(belongs))
}

/// The end of a message about a missing file: where it is published, if it is known.
pub(super) fn hint(path: &Path) -> String {
    of_path(path).map_or_else(String::new, |published| {
        let name = published.name;
        format!(
            "; `qgd data {name}` says where it is published and where it goes, `qgd data {name} --fetch` fetches it"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped::{FILES, Kind, bytes};
    use crate::task::TaskSpec;

    #[test]
    fn every_file_of_every_shipped_task_ships_or_is_in_the_table() {
        let mut used = Vec::new();
        for task in FILES.iter().filter(|file| file.kind == Kind::Task) {
            let spec = TaskSpec::load(&task.virtual_path()).unwrap();
            for path in files(&spec.data) {
                let ships = bytes(&spec.directory().join(&path)).is_some();
                let published = of_path(&path).is_some();
                assert!(ships != published, "{}: {}", task.name, path.display());
                used.push(path);
            }
        }
        for file in PUBLISHED.iter().flat_map(|published| published.files) {
            assert!(used.iter().any(|path| path == Path::new(file.path)), "no task reads {}", file.path);
            let digits = file.sha256.len() == 64 && file.sha256.bytes().all(|digit| digit.is_ascii_hexdigit());
            assert!(digits && file.n_bytes > 0, "{}", file.path);
        }
        for script in PUBLISHED.iter().filter_map(|published| published.script) {
            assert!(bytes(&Path::new(crate::shipped::ROOT).join(script)).is_some(), "{script} does not ship");
        }
    }

    #[test]
    fn a_missing_file_of_a_published_data_set_says_where_it_is_published() {
        for (name, data_set) in
            [("letter", "letter"), ("mnist-cnn", "mnist"), ("cifar-cnn", "cifar"), ("iris-petal", "development")]
        {
            let task = TaskSpec::load(Path::new(name)).unwrap();
            let error = super::super::load(&task.data, task.directory(), Some(Path::new("nowhere")), 0).unwrap_err();
            let says = error.to_string();
            assert!(says.contains(&format!("`qgd data {data_set}` says where it is published")), "{name}: {says}");
        }
        assert_eq!(hint(Path::new("mine.csv")), "");
        assert_eq!(hint(Path::new("")), "");
    }
}
