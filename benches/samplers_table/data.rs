//! The data sets: wine and letter to compare on, the others to learn from.

use crate::Result;
use flate2::read::GzDecoder;
use qgd::meta::Target;
use qgd::rng::stream;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

/// A data set by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataSet {
    /// The residual sugar of 1599 red wines.
    Wine,
    /// 20,000 letters by 16 numbers.
    Letter,
    Digits,
    BreastCancer,
    Iris,
    Diabetes,
    /// The first pictures of MNIST, shrunk to 7 by 7.
    Mnist,
    /// What a random tanh net says of random numbers, with noise.
    Teacher(u8),
}

/// One of the three parts of a data set.
pub struct Part {
    pub inputs: Vec<f32>,
    pub target: Target,
    pub n: usize,
}

/// A data set, split and standardized by its training part.
pub struct Split {
    pub n_in: usize,
    /// Classes; 0 in regression.
    pub n_classes: usize,
    /// Training, validation, test.
    pub parts: [Part; 3],
}

/// Rows as they are in a file.
struct Rows {
    inputs: Vec<Vec<f32>>,
    answers: Answers,
}

enum Answers {
    Classes(Vec<u16>),
    Values(Vec<f32>),
}

const NAMES: [&str; 13] = [
    "wine",
    "letter",
    "digits",
    "breast-cancer",
    "iris",
    "diabetes",
    "mnist",
    "teacher-1",
    "teacher-2",
    "teacher-3",
    "teacher-4",
    "teacher-5",
    "teacher-6",
];

impl DataSet {
    pub fn all() -> [Self; 13] {
        use DataSet::*;
        let [a, b, c, d, e, f] = [1, 2, 3, 4, 5, 6].map(Teacher);
        [Wine, Letter, Digits, BreastCancer, Iris, Diabetes, Mnist, a, b, c, d, e, f]
    }

    pub fn name(self) -> &'static str {
        Self::all().iter().position(|&set| set == self).map_or("", |i| NAMES[i])
    }

    /// Whether `deep-q` may learn from it.
    pub fn is_other(self) -> bool {
        !matches!(self, Self::Wine | Self::Letter)
    }

    /// Whether every combination is tabulated. On the whole ones that `deep-q` may learn from, defaults of the samplers
    /// were chosen.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Wine | Self::BreastCancer | Self::Diabetes | Self::Teacher(5))
    }

    /// Reads, shuffles, splits and standardizes it.
    pub fn load(self, folder: &Path) -> Result<Split> {
        let built_in = folder.join("sklearn_builtin");
        let rows = match self {
            Self::Wine => numbers(&folder.join("wine_quality_red/winequality-red.csv"), 1, Some(3))?.regression(),
            Self::Letter => letters(&folder.join("letter_recognition/letter-recognition.data"))?,
            Self::Digits => numbers(&built_in.join("digits.csv.gz"), 0, None)?.classification(),
            Self::BreastCancer => numbers(&built_in.join("breast_cancer.csv"), 1, None)?.classification(),
            Self::Iris => numbers(&built_in.join("iris.csv"), 1, None)?.classification(),
            Self::Diabetes => {
                let targets = numbers(&built_in.join("diabetes_target.csv.gz"), 0, None)?;
                Rows { answers: targets.answers, ..numbers(&built_in.join("diabetes_data_raw.csv.gz"), 0, None)? }
                    .regression()
            }
            Self::Mnist => mnist(&folder.join("mnist"))?,
            Self::Teacher(number) => teacher(number),
        };
        Ok(rows.split(&mut stream(0, &format!("samplers table/{}", self.name()))))
    }
}

impl Rows {
    fn regression(self) -> Self {
        self
    }

    fn classification(self) -> Self {
        let answers = match self.answers {
            Answers::Values(values) => Answers::Classes(values.into_iter().map(|value| value as u16).collect()),
            classes => classes,
        };
        Self { answers, ..self }
    }

    /// 0.7 / 0.1 / 0.2 in random order.
    fn split(self, rng: &mut ChaCha8Rng) -> Split {
        let n = self.inputs.len();
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|i| order.swap(i, rng.random_range(0..=i)));
        let ends = [0, (0.7 * n as f64) as usize, (0.8 * n as f64) as usize, n];
        let train = &order[..ends[1]];
        let n_in = self.inputs[0].len();
        let columns: Vec<[f64; 2]> = (0..n_in).map(|i| moments(train.iter().map(|&row| self.inputs[row][i]))).collect();
        let answer = match &self.answers {
            Answers::Values(values) => moments(train.iter().map(|&row| values[row])),
            Answers::Classes(_) => [0.0, 1.0],
        };
        let part = |k: usize| {
            let rows = &order[ends[k]..ends[k + 1]];
            let scaled = |&row: &usize| self.inputs[row].iter().zip(&columns).map(|(&x, &c)| scale(x, c));
            let target = match &self.answers {
                Answers::Classes(classes) => Target::Classes(rows.iter().map(|&row| classes[row]).collect()),
                Answers::Values(values) => Target::Values(rows.iter().map(|&row| scale(values[row], answer)).collect()),
            };
            Part { inputs: rows.iter().flat_map(scaled).collect(), target, n: rows.len() }
        };
        let n_classes = match &self.answers {
            Answers::Classes(classes) => classes.iter().map(|&class| usize::from(class) + 1).max().unwrap_or(0),
            Answers::Values(_) => 0,
        };
        Split { n_in, n_classes, parts: [part(0), part(1), part(2)] }
    }
}

fn moments(values: impl Iterator<Item = f32> + Clone) -> [f64; 2] {
    let n = values.clone().count().max(1) as f64;
    let mean = values.clone().map(f64::from).sum::<f64>() / n;
    let variance = values.map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / n;
    // A column that is constant in training stays as it is elsewhere.
    [mean, if variance > 0.0 { variance.sqrt() } else { 1.0 }]
}

fn scale(value: f32, [mean, deviation]: [f64; 2]) -> f32 {
    ((f64::from(value) - mean) / deviation) as f32
}

fn text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(String::from_utf8(unpacked(path, bytes)?)?)
}

fn unpacked(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
    if path.extension().is_none_or(|ending| ending != "gz") {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    GzDecoder::new(&bytes[..]).read_to_end(&mut plain)?;
    Ok(plain)
}

/// A table of numbers below `n_headings` lines; the answer is column `target`, or the last one.
fn numbers(path: &Path, n_headings: usize, target: Option<usize>) -> Result<Rows> {
    let (mut inputs, mut values) = (Vec::new(), Vec::new());
    for line in text(path)?.lines().skip(n_headings) {
        let cells = line.split([',', ';', ' ']).filter(|cell| !cell.is_empty());
        let mut row: Vec<f32> = cells.map(str::parse).collect::<std::result::Result<_, _>>()?;
        // A column of targets alone has no inputs.
        values.push(row.remove(target.unwrap_or(row.len() - 1)));
        inputs.push(row);
    }
    Ok(Rows { inputs, answers: Answers::Values(values) })
}

fn letters(path: &Path) -> Result<Rows> {
    let text = text(path)?;
    let rows: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(',')).collect();
    let names: Vec<&str> = rows.iter().map(|row| row.0).collect::<BTreeSet<_>>().into_iter().collect();
    let classes = rows.iter().map(|row| names.partition_point(|name| *name < row.0) as u16).collect();
    let numbers = |row: &(&str, &str)| row.1.split(',').map(str::parse).collect::<std::result::Result<_, _>>();
    let inputs = rows.iter().map(numbers).collect::<std::result::Result<_, _>>()?;
    Ok(Rows { inputs, answers: Answers::Classes(classes) })
}

fn mnist(folder: &Path) -> Result<Rows> {
    const N: usize = 4000;
    let read = |name: &str| -> Result<Vec<u8>> {
        let path = folder.join(name);
        unpacked(&path, std::fs::read(&path)?)
    };
    let (pixels, labels) = (read("train-images-idx3-ubyte.gz")?, read("train-labels-idx1-ubyte.gz")?);
    let pixel = |picture: usize, y: usize, x: usize| f32::from(pixels[16 + 784 * picture + 28 * y + x]);
    let shrunk = |picture: usize| -> Vec<f32> {
        let mean = |y: usize, x: usize| -> f32 {
            (0..16).map(|i| pixel(picture, 4 * y + i / 4, 4 * x + i % 4)).sum::<f32>() / 16.0
        };
        (0..49).map(|i| mean(i / 7, i % 7)).collect()
    };
    let classes = labels[8..8 + N].iter().map(|&label| u16::from(label)).collect();
    Ok(Rows { inputs: (0..N).map(shrunk).collect(), answers: Answers::Classes(classes) })
}

/// Odd ones are regression, even ones classification; sizes, widths and noise differ.
fn teacher(number: u8) -> Rows {
    let mut rng = stream(u64::from(number), "samplers table/teacher");
    let n = [600, 1200, 2500, 5000][rng.random_range(0..4)];
    let (n_in, width) = (rng.random_range(6..24), rng.random_range(3..20));
    let n_out = if number % 2 == 1 { 1 } else { rng.random_range(3..16) };
    let noise = rng.random_range(0.1f32..0.6);
    let mut even = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random_range(-1.7f32..1.7)).collect() };
    let (inner, outer) = (even(n_in * width), even(width * n_out));
    let inputs: Vec<Vec<f32>> = (0..n).map(|_| even(n_in)).collect();
    let mut answer = |x: &Vec<f32>| -> Vec<f32> {
        let unit = |j: usize| (x.iter().zip(&inner[j * n_in..]).map(|(x, w)| x * w).sum::<f32>() / 2.0).tanh();
        let hidden: Vec<f32> = (0..width).map(unit).collect();
        let out = |k: usize| hidden.iter().zip(&outer[k * width..]).map(|(h, w)| h * w).sum::<f32>();
        (0..n_out).map(|k| out(k) + noise * even(1)[0] * (width as f32).sqrt()).collect()
    };
    let answers: Vec<Vec<f32>> = inputs.iter().map(&mut answer).collect();
    let highest =
        |row: &Vec<f32>| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i as u16);
    let answers = if n_out == 1 {
        Answers::Values(answers.into_iter().flatten().collect())
    } else {
        Answers::Classes(answers.iter().map(highest).collect())
    };
    Rows { inputs, answers }
}
