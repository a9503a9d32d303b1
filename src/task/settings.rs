//! A task as the keys of its file and their values: what a saved net or a run under way is compared by, in the words that its
//! user wrote.

use super::names::{ACTIVATIONS, KINDS, MISSING, name_of};
use super::{Head, NetKind, NetSpec, TaskSpec, TrainSpec};
use crate::data::{ClassWeights, Column, DataSpec, Format, TableSpec, TargetKind};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// Keys with their sections, as `train.lr`, and the text of their values.
pub type Settings = BTreeMap<String, String>;

impl TaskSpec {
    /// Every key that a result depends on, also where the file leaves it out and its default counts.
    ///
    /// ```
    /// # fn main() -> Result<(), qgd::task::TaskError> {
    /// let settings = qgd::task::TaskSpec::load("digits".as_ref())?.settings();
    /// assert_eq!((settings["data.format"].as_str(), settings["data.target"].as_str()), ("\"csv\"", "-1"));
    /// # Ok(()) }
    /// ```
    pub fn settings(&self) -> Settings {
        let mut all = Settings::new();
        self.data.put(&mut |key, value| _ = all.insert(format!("data.{key}"), value));
        self.net.put(&mut |key, value| _ = all.insert(format!("net.{key}"), value));
        self.train.put(&mut |key, value| _ = all.insert(format!("train.{key}"), value));
        all
    }
}

/// Keys that decide which others there are.
const FIRST: [&str; 2] = ["data.format", "net.kind"];

/// The first key whose values differ, with that of `there` and that of `here`.
pub fn first_difference<'a>(there: &'a Settings, here: &'a Settings) -> Option<(&'a str, &'a str, &'a str)> {
    let value = |settings: &'a Settings, key| settings.get(key).map_or("left out", String::as_str);
    let mut keys: Vec<&String> = there.keys().chain(here.keys()).collect();
    keys.sort_by_key(|key| (!FIRST.contains(&key.as_str()), *key));
    let mut values = keys.into_iter().map(|key| (key.as_str(), value(there, key), value(here, key)));
    values.find(|(_, there, here)| there != here)
}

/// Takes a key and the text of its value.
type Put<'a> = &'a mut dyn FnMut(&str, String);

/// The text of a value: numbers, truths, texts and lists of them look in Rust as they do in TOML.
fn text(value: impl Debug) -> String {
    format!("{value:?}")
}

fn column(column: &Column) -> String {
    match column {
        Column::Name(name) => text(name),
        Column::Index(place) => text(place),
    }
}

fn columns(list: &[Column]) -> String {
    format!("[{}]", list.iter().map(column).collect::<Vec<_>>().join(", "))
}

impl DataSpec {
    fn put(&self, put: Put<'_>) {
        self.format.put(put);
        put("path", text(&self.path));
        put("kind", text(name_of(&KINDS, self.kind.unwrap_or(TargetKind::Classes))));
        put("standardize", text(self.standardize));
        put("split", text(self.split));
        if let Some(limit) = self.limit {
            put("limit", text(limit));
        }
        if let Some(classes) = self.classes {
            put("classes", text(classes));
        }
        match &self.class_weights {
            None => (),
            Some(ClassWeights::Balanced) => put("class_weights", text("balanced")),
            Some(ClassWeights::Named(weights)) => {
                weights.iter().for_each(|(class, weight)| put(&format!("class_weights.{class}"), text(weight)));
            }
        }
    }
}

impl Format {
    fn put(&self, put: Put<'_>) {
        let format = match self {
            Self::Csv(table) => {
                table.put(put);
                "csv"
            }
            Self::Idx { images, labels } => {
                put("images", text(images));
                put("labels", text(labels));
                "idx"
            }
            Self::Cifar { files } => {
                put("files", text(files));
                "cifar"
            }
            Self::Tsv { vocabulary, length } => {
                put("vocabulary", text(vocabulary));
                put("length", text(length));
                "tsv"
            }
            Self::Chars { context } => {
                put("context", text(context));
                "chars"
            }
        };
        put("format", text(format));
    }
}

impl TableSpec {
    fn put(&self, put: Put<'_>) {
        put("delimiter", text(self.delimiter.to_string()));
        put("header", text(self.header));
        put("decimal", text(self.decimal.to_string()));
        put("target", column(&self.target));
        if let Some(features) = &self.features {
            put("features", columns(features));
        }
        put("ignore", columns(&self.ignore));
        put("categorical", columns(&self.categorical));
        put("missing", text(name_of(&MISSING, self.missing)));
    }
}

impl NetSpec {
    fn put(&self, put: Put<'_>) {
        if self.kind.has_hidden() {
            put("hidden", text(&self.hidden));
        }
        if self.kind.has_activation() {
            put("activation", text(name_of(&ACTIVATIONS, self.activation)));
        }
        put("dropout", text(self.dropout));
        put("l1", text(self.l1));
        let kind = self.kind.put(put);
        put("kind", text(kind));
    }
}

impl NetKind {
    /// Puts the keys that only this kind has, and answers its name.
    fn put(&self, put: Put<'_>) -> &'static str {
        let mut on_texts = |embedding: usize, head: Head| {
            put("embedding", text(embedding));
            put("head", text(head.name()));
        };
        match self {
            Self::Mlp => "mlp",
            Self::Cnn { channels, batch_norm } => {
                put("channels", text(channels));
                put("batch_norm", text(batch_norm));
                "cnn"
            }
            Self::Gru { embedding, head } => {
                on_texts(*embedding, *head);
                "gru"
            }
            Self::Lstm { embedding, head } => {
                on_texts(*embedding, *head);
                "lstm"
            }
            Self::Transformer { embedding, layers, heads, head } => {
                on_texts(*embedding, *head);
                put("layers", text(layers));
                put("heads", text(heads));
                "transformer"
            }
            Self::Resnet { channels, blocks } => {
                put("channels", text(channels));
                put("blocks", text(blocks));
                "resnet"
            }
        }
    }
}

impl TrainSpec {
    fn put(&self, put: Put<'_>) {
        put("optimizer", text(self.optimizer.name()));
        put("conditioning", text(self.conditioning.to_string()));
        put("lr", text(self.lr));
        put("weight_decay", text(self.weight_decay));
        put("batch_size", text(self.batch_size));
        put("steps", text(self.steps));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped::{FILES, Kind};

    /// The keys of a task file, with its sections.
    fn written(text: &str) -> Vec<String> {
        let file: toml::Table = text.parse().unwrap();
        let keys = |(section, table): (&String, &toml::Value)| -> Vec<String> {
            table.as_table().unwrap().keys().map(|key| format!("{section}.{key}")).collect()
        };
        file.iter().flat_map(keys).collect()
    }

    #[test]
    fn settings_are_what_the_file_says_and_read_as_the_task_that_they_came_from() {
        let odd = "[data]\nformat = \"csv\"\npath = \"a \\\"b\\\".csv\"\nheader = true\ndelimiter = \"\\t\"\ntarget = \"y\"\n\
                   features = [\"x\", 2]\nignore = [0]\ncategorical = [2]\nmissing = \"mean\"\nlimit = 5\nclasses = 3\n\
                   kind = \"classification\"\n[net]\nkind = \"mlp\"\nactivation = \"gelu\"\n[train]\nsteps = 3\nlr = 1e-30\n\
                   conditioning = \"orthogonal:degree=0.5,every=2\"\n";
        let shipped = FILES.iter().filter(|file| file.kind == Kind::Task).map(|file| file.text);
        for text in shipped.chain([odd]) {
            let task = TaskSpec::parse(text, "t.toml".as_ref()).unwrap();
            let settings = task.settings();
            for key in written(text).iter().filter(|key| *key != "data.max_memory_gb") {
                assert!(settings.contains_key(key), "{key}: {settings:?}");
            }
            let lines = |section: &str| -> String {
                let of = settings.iter().filter_map(|(key, value)| Some((key.strip_prefix(section)?, value)));
                of.map(|(key, value)| format!("{key} = {value}\n")).collect()
            };
            let again = format!("[data]\n{}[net]\n{}[train]\n{}", lines("data."), lines("net."), lines("train."));
            let again = TaskSpec::parse(&again, "t.toml".as_ref()).unwrap_or_else(|error| panic!("{error}\n{again}"));
            assert_eq!(again.settings(), settings);
            assert_eq!((again.net, again.train), (task.net, task.train));
        }
    }

    #[test]
    fn a_difference_names_the_key_of_the_file_with_both_values() {
        let settings = |pairs: &[(&str, &str)]| -> Settings {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let there = settings(&[("a", "1"), ("b", "2")]);
        assert_eq!(first_difference(&there, &there), None);
        assert_eq!(first_difference(&there, &settings(&[("a", "1"), ("b", "3")])), Some(("b", "2", "3")));
        assert_eq!(first_difference(&there, &settings(&[("b", "2")])), Some(("a", "1", "left out")));
        assert_eq!(first_difference(&settings(&[("b", "2")]), &there), Some(("a", "left out", "1")));
    }
}
