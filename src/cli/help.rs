//! `qgd help task`, `suite`, `space` and `recipe`: the keys of our files. (`qgd help COMMAND` is clap's.)
//!
//! The tables stand here, because the files are read by hand-written code as well as by serde. Tests hold them against what is
//! really read: a key that is missing here, or that is no key any more, fails them, and so does a default that is not the one in use.

mod recipe;
mod space;
mod suite;
mod task;
#[cfg(test)]
mod tests;
mod training;

use std::ffi::OsString;

/// All topics.
const TOPICS: [&Topic; 4] = [&task::TOPIC, &suite::TOPIC, &space::TOPIC, &recipe::TOPIC];

/// Number of columns of the text.
const WIDTH: usize = 100;

/// A kind of file.
pub struct Topic {
    name: &'static str,
    about: &'static str,
    tables: &'static [Table],
    example: &'static str,
}

/// A table of the file, in the sense of TOML.
struct Table {
    /// Path of the table, with dots; empty for the top of the file.
    path: &'static str,
    about: &'static str,
    keys: &'static [Key],
}

/// A key of a table.
struct Key {
    /// Name; several of the same kind and range have a comma between them.
    name: &'static str,
    /// Formats or kinds that alone have it; empty where all do.
    only: &'static str,
    /// Type of its values.
    kind: &'static str,
    /// Value that it has where it is left out; empty where it must be there.
    default: &'static str,
    /// Values that are allowed; empty where all values of the type are.
    allowed: &'static str,
    meaning: &'static str,
}

/// A key from its six fields, for short tables.
const fn key(
    name: &'static str,
    only: &'static str,
    kind: &'static str,
    default: &'static str,
    allowed: &'static str,
    meaning: &'static str,
) -> Key {
    Key { name, only, kind, default, allowed, meaning }
}

/// The topic that the arguments of the program ask for: `help TOPIC`.
pub fn asked_for(arguments: impl Iterator<Item = OsString>) -> Option<&'static Topic> {
    let arguments: Vec<OsString> = arguments.take(3).collect();
    let [help, topic] = &arguments[..] else { return None };
    TOPICS.into_iter().find(|known| help == "help" && topic == known.name)
}

impl Topic {
    /// The whole text.
    pub fn in_words(&self) -> String {
        let mut text = wrapped(self.about, 0);
        for table in self.tables {
            text += &table.in_words();
        }
        format!("{text}\n{}\n", self.example)
    }
}

impl Table {
    fn in_words(&self) -> String {
        let mut text = if self.path.is_empty() { "\n".to_owned() } else { format!("\n[{}]\n", self.path) };
        if !self.about.is_empty() {
            text += &wrapped(self.about, 0);
        }
        self.keys.iter().for_each(|key| text += &key.in_words());
        text
    }
}

impl Key {
    fn in_words(&self) -> String {
        let Self { name, only, kind, default, allowed, meaning } = self;
        let only = if only.is_empty() { String::new() } else { format!("   ({only})") };
        let default = if default.is_empty() { "required".to_owned() } else { format!("default {default}") };
        let allowed = if allowed.is_empty() { String::new() } else { format!("; {allowed}") };
        format!(
            "{}{}",
            wrapped(&format!("{name} = {kind}{only}"), 2),
            wrapped(&format!("{meaning} {default}{allowed}."), 6)
        )
    }
}

/// Text in lines of at most [`WIDTH`] columns, each after `indent` spaces.
fn wrapped(text: &str, indent: usize) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += &format!("{:indent$}{line}\n", "");
            line.clear();
        }
        line = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
    }
    format!("{lines}{:indent$}{line}\n", "")
}
