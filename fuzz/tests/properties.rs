//! The properties with a fixed number of mutated seeds, the same ones every time. `QGD_FUZZ_CASES` sets another number.
//! With `QGD_FUZZ_SEEDS=FOLDER` the seeds are written there, for the fuzzer to begin with.

use qgd_fuzz as check;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::path::{Path, PathBuf};

/// Number of cases of each kind of input.
fn n_cases() -> usize {
    std::env::var("QGD_FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

/// Files of the repository, and the inputs that went wrong once.
fn files(folder: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let Ok(found) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = found.flatten().map(|entry| entry.path()).collect();
    found.sort();
    let fits = |path: &PathBuf| path.is_file() && endings.iter().any(|ending| path.to_string_lossy().ends_with(ending));
    found.into_iter().filter(fits).map(|path| std::fs::read(path).unwrap()).collect()
}

/// Calls `property` with the seeds themselves, then with mutations of them.
fn try_all(name: &str, mut seeds: Vec<Vec<u8>>, property: fn(&[u8])) {
    seeds.extend(files(&format!("fuzz/seeds/{name}"), &[""]));
    assert!(!seeds.is_empty(), "there is nothing to begin with");
    seeds.iter().for_each(|seed| property(seed));
    if let Some(folder) = std::env::var_os("QGD_FUZZ_SEEDS") {
        let folder = Path::new(&folder).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let write = |(i, seed): (usize, &Vec<u8>)| std::fs::write(folder.join(format!("seed-{i}")), seed).unwrap();
        seeds.iter().enumerate().for_each(write);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seeds.len() as u64);
    for case in 0..n_cases() {
        let mut bytes = seeds[case % seeds.len()].clone();
        let other = &seeds[rng.next_u64() as usize % seeds.len()];
        for _ in 0..1 + rng.next_u64() % 4 {
            mutate(&mut bytes, other, &mut rng);
        }
        property(&bytes);
    }
}

/// Values at the ends of what numbers can hold, as text and as bytes.
const WORDS: [&str; 16] = [
    "-9223372036854775808",
    "9223372036854775807",
    "18446744073709551615",
    "1e308",
    "-1e308",
    "5e-324",
    "1e39",
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "\"\"",
    "[]",
    "\u{feff}",
    "\r",
];

fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    let mut below = |n: usize| if n == 0 { 0 } else { (rng.next_u64() % n as u64) as usize };
    let at = below(bytes.len());
    match below(8) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << below(8),
        1 if !bytes.is_empty() => bytes[at] = below(256) as u8,
        2 => bytes.truncate(at),
        3 => bytes.insert(at, below(256) as u8),
        4 => {
            let end = (at + 1 + below(8)).min(bytes.len());
            bytes.drain(at.min(end)..end);
        }
        5 => {
            let (from, n) = (below(other.len()), below(64));
            let part = &other[from..(from + n).min(other.len())];
            bytes.splice(at..at, part.iter().copied());
        }
        6 => {
            // A number, or the rest of one, becomes another.
            let end = bytes[at..].iter().position(|b| !b.is_ascii_alphanumeric()).map_or(bytes.len(), |n| at + n);
            bytes.splice(at..end, WORDS[below(WORDS.len())].bytes());
        }
        _ => {
            let wild = [0, 1, u64::MAX, i64::MAX as u64, f64::NAN.to_bits(), f64::INFINITY.to_bits(), 1 << 32];
            let wild = wild[below(wild.len())].to_le_bytes();
            let end = (at + 8).min(bytes.len());
            bytes.splice(at..end, wild);
        }
    }
}

/// Seeds with a first byte that chooses.
fn chosen(first: &[u8], seeds: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    seeds.into_iter().map(|seed| [first, &seed].concat()).collect()
}

#[test]
fn pretrained_files() {
    // Whole files, whose checksum finds any mutation, and payloads, whose frame is made anew.
    let files = files("pretrained", &["hu-lr.qgd", "hu-lambda.qgd", "weight-decay.qgd"]);
    let payloads = files.iter().map(|file| file[20..].to_vec()).collect();
    try_all("pretrained", [chosen(&[0], files), chosen(&[2], payloads)].concat(), check::pretrained);
}

#[test]
fn saved_states() {
    try_all("state", check::states(), check::state);
}

#[test]
fn recipes() {
    try_all("recipe", files("controllers", &[".toml"]), check::recipe);
}

#[test]
fn tasks() {
    try_all(
        "task",
        [files("examples/tasks", &[".toml"]), files("examples/development", &[".toml"])].concat(),
        check::task,
    );
}

#[test]
fn spaces() {
    let more = "[params.a]\ntype = \"float\"\nlow = 0.0\nhigh = 0.3\nstep = 0.1\n[params.b]\ntype = \"categorical\"\n\
                choices = [1, \"x\", true]\n[params.c]\ntype = \"int\"\nlow = 1\nhigh = 9\nlog = true\nwhen = { b = [1] }\n";
    let mut seeds = files("examples/tune", &[".toml"]);
    seeds.push(more.into());
    try_all("space", seeds, check::space);
}

#[test]
fn data_files() {
    let csv = b"a,b,c\n1,2.5,x\n3,4,y\n5,6,x\n7,8,y\n9,1,x\n".to_vec();
    let spaced = b"1 2 x\n3 4 y\n5 6 x\n7 8 y\n".to_vec();
    let tsv = "good\tа film\nbad\tno film\ngood\tyes\nbad\tnever\n".as_bytes().to_vec();
    let idx = {
        let labels = [0, 0, 8, 1, 0, 0, 0, 2, 0, 1].to_vec();
        // Three quarters of the bytes are the pictures.
        let pictures = [[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 7].to_vec(), vec![9; 14]].concat();
        [pictures, labels].concat()
    };
    let seeds = [
        chosen(&[0, 2], vec![csv.clone()]),
        chosen(&[0, 6], vec![b"a,b\n1,2\n3,4\n5,6\n7,8\n".to_vec()]),
        chosen(&[0, 1], vec![spaced]),
        chosen(&[1, 0], vec![tsv]),
        chosen(&[2, 0], vec![b"a text of some length, for characters".to_vec()]),
        chosen(&[3, 0], vec![vec![3; 2 * 3073]]),
        chosen(&[4, 0], vec![idx]),
        chosen(&[8, 0], files("examples/data", &[".gz"])),
    ];
    try_all("table", seeds.concat(), check::table);
}

#[test]
fn lines_of_programs() {
    let seeds = [
        r#"{"value": 0.5}"#,
        r#"{"step": 3, "value": NaN}"#,
        r#"{"values": [1, -Infinity], "constraints": [0]}"#,
        r#"{"value": 1, "constraints": [-1.5, 2]}"#,
        "epoch 3: loss 0.5",
    ];
    try_all("output", seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect(), check::output);
}

#[test]
fn commands() {
    let seeds = ["python\ntrain.py\n--lr\n{lr}\n--dropout={dropout}", "sh\n-c\necho {{}} {lr}"];
    try_all("template", seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect(), check::template);
}

#[test]
fn lines_of_ask_tell() {
    let seeds = [
        "{\"ask\":{}}\n{\"report\":{\"trial\":0,\"step\":3,\"value\":0.9}}\n{\"tell\":{\"trial\":0,\"values\":[1.2]}}",
        "{\"enqueue\":{\"params\":{\"x\":0.5}}}\n{\"ask\":{}}\n{\"tell\":{\"trial\":0,\"state\":\"pruned\"}}\n{\"best\":{}}",
    ];
    try_all("ask_tell", seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect(), check::ask_tell);
}
