//! A slow reader of event files that shares no line with the writer: it checks every checksum bit by bit, and decodes
//! messages field by field. Where Python has `tensorboard`, its own reader must find the same.

use crate::sandbox::{Sandbox, shipped};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything that stands below a folder, by run.
pub struct Events(Map<String, Value>);

impl Events {
    /// Reads all runs below a folder of the sandbox, also by TensorBoard where it is installed, unless QGD_REQUIRE names
    /// it: then it must be.
    pub fn read(sandbox: &Sandbox, folder: &str) -> Self {
        let folder = sandbox.path(folder);
        let mut runs = Map::new();
        collect(&folder, &folder, &mut runs);
        if let Some(theirs) = by_tensorboard(&folder) {
            assert_eq!(Value::from(runs.clone()), theirs, "ours, and what TensorBoard reads");
        }
        Self(runs)
    }

    pub fn runs(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    pub fn tags(&self, run: &str) -> Vec<&str> {
        self.0[run]["scalars"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    /// The points of a curve: step and value.
    pub fn scalars(&self, run: &str, tag: &str) -> Vec<(i64, f32)> {
        let points = self.0[run]["scalars"].get(tag).and_then(Value::as_array).cloned().unwrap_or_default();
        points.iter().map(|point| (point[0].as_i64().unwrap(), number(&point[1]) as f32)).collect()
    }

    pub fn texts(&self, run: &str, tag: &str) -> Vec<(i64, String)> {
        let texts = self.0[run]["texts"].get(tag).and_then(Value::as_array).cloned().unwrap_or_default();
        texts.iter().map(|text| (text[0].as_i64().unwrap(), text[1].as_str().unwrap().to_owned())).collect()
    }

    /// Name, parameters and status of a session.
    pub fn session(&self, run: &str) -> &Value {
        &self.0[run]["session"]
    }
}

/// A number of JSON, or a word for one that JSON does not have, in Rust's or in Python's words.
pub fn number(json: &Value) -> f64 {
    match json.as_str() {
        Some("inf" | "Infinity") => f64::INFINITY,
        Some("-inf" | "-Infinity") => f64::NEG_INFINITY,
        Some(_) => f64::NAN,
        None => json.as_f64().unwrap_or(f64::NAN),
    }
}

fn by_tensorboard(folder: &Path) -> Option<Value> {
    let python = || Command::new("python3");
    let found = python().args(["-c", "import tensorboard"]).output().is_ok_and(|output| output.status.success());
    let required = std::env::var("QGD_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name == "tensorboard"));
    assert!(found || !required, "QGD_REQUIRE asks for tensorboard, but python3 cannot import it");
    if !found {
        eprintln!("skipped: python3 cannot import tensorboard");
        return None;
    }
    let output = python().arg(shipped("tests/fixtures/tensorboard_reader.py")).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn collect(root: &Path, folder: &Path, runs: &mut Map<String, Value>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.into_iter().partition(|entry| entry.is_dir());
    if !files.is_empty() {
        let name = folder.strip_prefix(root).unwrap().to_str().unwrap();
        let mut run = json!({ "scalars": {}, "texts": {}, "session": null });
        files.iter().for_each(|file| read_file(&std::fs::read(file).unwrap(), &mut run));
        runs.insert(if name.is_empty() { "." } else { name }.to_owned(), run);
    }
    folders.iter().for_each(|folder| collect(root, folder, runs));
}

/// CRC-32C, one bit after the other, and masked.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        for i in 0..8 {
            let bit = (crc ^ u32::from(byte >> i)) & 1;
            crc = (crc >> 1) ^ (bit * 0x82f6_3b78);
        }
    }
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Adds the events of a file, up to a record that is not whole.
fn read_file(mut bytes: &[u8], run: &mut Value) {
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    let mut n_events = 0;
    while bytes.len() >= 12 {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(word(&bytes[8..12]), checksum(&bytes[..8]), "the checksum of a length");
        let Some(data) = bytes.get(12..12 + length) else { return };
        let Some(sum) = bytes.get(12 + length..16 + length) else { return };
        assert_eq!(word(sum), checksum(data), "the checksum of an event");
        read_event(&fields(data), n_events == 0, run);
        bytes = &bytes[16 + length..];
        n_events += 1;
    }
}

/// Value of a field of a message.
enum Field<'a> {
    Whole(u64),
    Double(f64),
    Float(f32),
    Bytes(&'a [u8]),
}

impl Field<'_> {
    fn bytes(&self) -> &[u8] {
        if let Self::Bytes(bytes) = self { bytes } else { panic!("a field without bytes") }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

/// The fields of a message with their numbers.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let n = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let value = bytes[..n].iter().rev().fold(0u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
        *bytes = &bytes[n..];
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let n = match tag & 7 {
            0 => {
                found.push((tag >> 3, Field::Whole(varint(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            kind => panic!("no kind of field: {kind}"),
        };
        let (value, rest) = bytes.split_at(n);
        found.push((
            tag >> 3,
            match tag & 7 {
                1 => Field::Double(f64::from_le_bytes(value.try_into().unwrap())),
                5 => Field::Float(f32::from_le_bytes(value.try_into().unwrap())),
                _ => Field::Bytes(value),
            },
        ));
        bytes = rest;
    }
    found
}

fn one<'a, 'b>(fields: &'a [(u64, Field<'b>)], number: u64) -> Option<&'a Field<'b>> {
    fields.iter().find(|(found, _)| *found == number).map(|(_, field)| field)
}

fn read_event(event: &[(u64, Field<'_>)], is_first: bool, run: &mut Value) {
    let Some(Field::Double(wall_s)) = one(event, 1) else { panic!("an event without a time") };
    assert!(*wall_s > 1.5e9 && *wall_s < 1e11, "{wall_s} s since 1970");
    let Some(Field::Whole(step)) = one(event, 2) else { panic!("an event without a step") };
    let step = *step as i64;
    assert_eq!(
        is_first,
        one(event, 3).is_some_and(|version| version.text() == "brain.Event:2"),
        "the version is first"
    );
    if let Some(log) = one(event, 7) {
        assert!(matches!(one(&fields(log.bytes()), 1), Some(Field::Whole(1))), "a start");
        forget_from(step, run);
    }
    let Some(summary) = one(event, 5) else { return };
    for (_, value) in fields(summary.bytes()) {
        read_value(step, &fields(value.bytes()), run);
    }
}

/// A run that begins again at `step` voids what was said of it and of later ones.
fn forget_from(step: i64, run: &mut Value) {
    for kind in ["scalars", "texts"] {
        for points in run[kind].as_object_mut().unwrap().values_mut() {
            points.as_array_mut().unwrap().retain(|point| point[0].as_i64().unwrap() < step);
        }
    }
}

fn read_value(step: i64, value: &[(u64, Field<'_>)], run: &mut Value) {
    let tag = one(value, 1).unwrap().text();
    let mut add = |kind: &str, point: Value| {
        let points = run[kind].as_object_mut().unwrap().entry(tag.clone()).or_insert(json!([]));
        points.as_array_mut().unwrap().push(json!([step, point]));
    };
    if let Some(Field::Float(number)) = one(value, 2) {
        let words = if number.is_nan() { "nan".to_owned() } else { number.to_string() };
        return add("scalars", if number.is_finite() { json!(f64::from(*number)) } else { json!(words) });
    }
    let metadata = fields(one(value, 9).unwrap().bytes());
    let plugin = fields(one(&metadata, 1).unwrap().bytes());
    match one(&plugin, 1).unwrap().text().as_str() {
        "text" => add("texts", json!(one(&fields(one(value, 8).unwrap().bytes()), 8).unwrap().text())),
        "hparams" => read_session(&tag, &fields(one(&plugin, 2).unwrap().bytes()), run),
        other => panic!("no plugin that is known: {other}"),
    }
}

fn read_session(tag: &str, content: &[(u64, Field<'_>)], run: &mut Value) {
    match tag {
        // What is said first of a run stands.
        "_hparams_/session_start_info" if run["session"].is_null() => {
            let begin = fields(one(content, 3).unwrap().bytes());
            let params: Map<String, Value> =
                begin.iter().filter(|(number, _)| *number == 1).map(|(_, entry)| param(entry)).collect();
            run["session"] = json!({ "name": one(&begin, 4).unwrap().text(), "params": params });
        }
        "_hparams_/session_start_info" => {}
        "_hparams_/session_end_info" => {
            let end = fields(one(content, 4).unwrap().bytes());
            let Some(Field::Whole(status)) = one(&end, 1) else { panic!("an end without a status") };
            run["session"]["status"] = json!(status);
        }
        other => panic!("nothing of a session: {other}"),
    }
}

fn param(entry: &Field<'_>) -> (String, Value) {
    let entry = fields(entry.bytes());
    let value = fields(one(&entry, 2).unwrap().bytes());
    let value = match &value[0] {
        (2, Field::Double(number)) => json!(number),
        (3, text) => json!(text.text()),
        (4, Field::Whole(is)) => json!(*is == 1),
        (number, _) => panic!("no kind of value: {number}"),
    };
    (one(&entry, 1).unwrap().text(), value)
}
