//! The tables of keys are those that are really read.

use super::{Key, TOPICS, Table, asked_for, recipe, space};
use qgd::meta::{TrainingConfig, TrainingRecipe};
use qgd::tuner::{SpaceError, SpaceFile};
use qgd::{Controls, Recipe};
use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// A deserializer that gives every type what it asks for, and notes the paths of all keys on the way. Of an enum it chooses the variant
/// with number `choice`.
#[derive(Clone, Copy)]
struct Probe<'a> {
    found: &'a RefCell<BTreeMap<String, BTreeSet<&'static str>>>,
    path: &'a str,
    choice: usize,
}

impl Probe<'_> {
    fn note(&self, variants: &[&'static str]) {
        self.found.borrow_mut().entry(self.path.to_owned()).or_default().extend(variants);
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note(&[]);
        // Half of the primitive types take a whole number; a text or a truth asks for itself below.
        visitor.visit_u8(1)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note(&[]);
        visitor.visit_bool(true)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note(&[]);
        visitor.visit_str("text")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note(&[]);
        visitor.visit_seq(Items(self, 1))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.note(&[]);
        visitor.visit_seq(Items(self, len))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // The table `training`, which is looked at by itself.
        visitor.visit_map(Fields(self, [].iter()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Fields(self, fields.iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(Chosen(self, variants))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char bytes byte_buf unit unit_struct tuple_struct identifier ignored_any
    }
}

struct Items<'a>(Probe<'a>, usize);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.1 == 0 {
            return Ok(None);
        }
        self.1 -= 1;
        seed.deserialize(self.0).map(Some)
    }
}

struct Fields<'a>(Probe<'a>, std::slice::Iter<'static, &'static str>);

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.1.as_slice().first() else { return Ok(None) };
        let name: StrDeserializer<'_, Error> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let name = self.1.next().copied().unwrap_or_default();
        let path = if self.0.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.0.path) };
        seed.deserialize(Probe { path: &path, ..self.0 })
    }
}

struct Chosen<'a>(Probe<'a>, &'static [&'static str]);

impl<'de, 'a> EnumAccess<'de> for Chosen<'a> {
    type Error = Error;
    type Variant = Variant<'a>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Variant<'a>), Error> {
        let name = self.1[self.0.choice % self.1.len()];
        let chosen: StrDeserializer<'_, Error> = name.into_deserializer();
        Ok((seed.deserialize(chosen)?, Variant(self.0, name, self.1)))
    }
}

struct Variant<'a>(Probe<'a>, &'static str, &'static [&'static str]);

impl Variant<'_> {
    fn path(&self) -> String {
        format!("{}.{}", self.0.path, self.1)
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        self.0.note(self.2);
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        // Another choice inside, so that all pairs of an outer and an inner variant come up.
        seed.deserialize(Probe { path: &self.path(), choice: self.0.choice / 4, ..self.0 })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items(self.0, len))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Fields(Probe { path: &self.path(), ..self.0 }, fields.iter()))
    }
}

/// Paths of all keys of a type below `path`, each with the words that it may be.
fn keys_of<'de, T: Deserialize<'de>>(path: &str) -> BTreeMap<String, BTreeSet<&'static str>> {
    let found = RefCell::default();
    for choice in 0..32 {
        // What comes of it does not matter: a value may be refused by its type after all its keys have been seen.
        T::deserialize(Probe { found: &found, path, choice })
            .map_or_else(|error| panic!("{path}, {choice}: {error}"), drop);
    }
    found.into_inner()
}

/// Every key of a topic with its path.
fn rows(tables: &'static [Table]) -> Vec<(String, &'static Key)> {
    let path = |table: &Table, name: &str| {
        if table.path.is_empty() { name.to_owned() } else { format!("{}.{name}", table.path) }
    };
    let of = |table: &'static Table| {
        table.keys.iter().flat_map(move |key| key.name.split(", ").map(move |name| (path(table, name), key)))
    };
    tables.iter().flat_map(of).collect()
}

const MINIMAL: &str = "schema = 1\nname = 'r'\ndescription = 'r'\ncontrols = 'lr'\nmoves = ['halve', 'accept', 'grow']\nfeatures = 'scalefree'\n";

#[test]
fn the_keys_of_a_recipe_are_those_of_its_types_with_every_word_that_they_may_be() {
    let mut real = keys_of::<Recipe>("");
    real.extend(keys_of::<TrainingConfig>("training"));
    let rows = rows(recipe::TOPIC.tables);
    for (path, words) in &real {
        let again = ["pace", "guard"].iter().find_map(|table| {
            path.strip_prefix(&format!("training.rehearsal.{table}.")).map(|key| format!("{table}.{key}"))
        });
        let path = again.as_ref().unwrap_or(path);
        let Some((_, key)) = rows.iter().find(|(known, _)| known == path) else { panic!("no row for {path}") };
        for word in words {
            let quoted = format!("\"{word}\"");
            assert!(key.allowed.contains(&quoted), "{path} may be {quoted}, but its row says: {}", key.allowed);
        }
    }
    for (path, _) in &rows {
        let prefix = path.strip_suffix('*').unwrap_or(path);
        let is_real =
            |known: &String| if prefix.len() < path.len() { known.starts_with(prefix) } else { known == path };
        assert!(real.keys().any(is_real), "{path} is no key");
    }
}

/// Whether a default in a table is a value of TOML, and not words.
fn literal(key: &Key) -> Option<&'static str> {
    let text = format!("key = {}", key.default);
    (!key.default.is_empty() && text.parse::<toml::Table>().is_ok()).then_some(key.default)
}

#[test]
fn the_defaults_of_a_recipe_are_those_in_use() {
    let parse = |text: &str| TrainingRecipe::parse(text, "test").unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut n_checked = 0;
    for (path, key) in rows(recipe::TOPIC.tables) {
        let Some(default) = literal(key) else { continue };
        let (table, name) = path.rsplit_once('.').unwrap_or(("", &path));
        // A line search trains by plain gradient descent, and its tasks must be long enough.
        let more = if table == "line_search" { "[training.tasks]\noptimizers = [1.0, 0.0, 0.0, 0.0]\n" } else { "" };
        let without = format!("{MINIMAL}{more}[{table}]\n");
        let with = parse(&format!("{without}{name} = {default}\n"));
        // 5 decades are all of them.
        if path == "training.tasks.start_decades" {
            assert_eq!(with.training.tasks.start_decades, Some(5.0));
            continue;
        }
        assert_eq!(with, parse(&without), "{path} = {default}");
        n_checked += 1;
    }
    assert!(n_checked > 50, "{n_checked}");
    assert_eq!(parse(MINIMAL).controller.controls, Controls::Lr);
}

/// Names of a table's keys that this format or kind has.
fn names(keys: &[Key], kind: &str) -> BTreeSet<String> {
    let has = |key: &&Key| key.only.is_empty() || key.only.split(", ").any(|only| only == kind);
    keys.iter().filter(has).map(|key| key.name.to_owned()).collect()
}

#[cfg(feature = "torch")]
mod with_torch {
    use super::super::{suite, task};
    use super::*;
    use qgd::task::{SuiteSpec, TaskError, TaskSpec};

    /// Keys that a task file may have where `text` is one with an unknown key.
    fn known(text: &str) -> BTreeSet<String> {
        match TaskSpec::parse(text, "t.toml".as_ref()) {
            Err(TaskError::UnknownKey { allowed, .. }) => allowed.split(", ").map(str::to_owned).collect(),
            other => panic!("{text}: {other:?}"),
        }
    }

    const FORMATS: [(&str, &str); 5] = [
        ("csv", "target = 0"),
        ("idx", "images = 'i'\nlabels = 'l'"),
        ("cifar", "files = ['f']"),
        ("tsv", ""),
        ("chars", "context = 3"),
    ];
    const NETS: [(&str, &str); 6] = [
        ("mlp", ""),
        ("cnn", "channels = [2]"),
        ("gru", "hidden = [2]"),
        ("lstm", "hidden = [2]"),
        ("transformer", ""),
        ("resnet", "channels = [2]"),
    ];

    /// A task file with `more` in one of its tables.
    fn task_file(format: (&str, &str), net: (&str, &str), more: [&str; 3]) -> String {
        let [data, in_net, train] = more;
        format!(
            "[data]\nformat = '{}'\npath = 'p'\n{}\n{data}\n[net]\nkind = '{}'\n{}\n{in_net}\n[train]\nsteps = 1\n{train}\n",
            format.0, format.1, net.0, net.1
        )
    }

    fn table(path: &str) -> &'static [Key] {
        task::TOPIC.tables.iter().find(|table| table.path == path).map_or(&[], |table| table.keys)
    }

    #[test]
    fn the_keys_of_a_task_are_those_that_are_read_for_each_format_and_net() {
        let data = FORMATS
            .map(|format| (known(&task_file(format, NETS[0], ["zzz = 1", "", ""])), names(table("data"), format.0)));
        let nets =
            NETS.map(|net| (known(&task_file(FORMATS[0], net, ["", "zzz = 1", ""])), names(table("net"), net.0)));
        let train = (known(&task_file(FORMATS[0], NETS[0], ["", "", "zzz = 1"])), names(table("train"), ""));
        for (real, told) in data.into_iter().chain(nets).chain([train]) {
            assert_eq!(real, told);
        }
    }

    #[test]
    fn the_defaults_of_a_task_are_those_in_use() {
        let parse =
            |text: &str| TaskSpec::parse(text, "t.toml".as_ref()).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut n_checked = 0;
        for (place, path) in ["data", "net", "train"].into_iter().enumerate() {
            for key in table(path) {
                let Some(default) = literal(key) else { continue };
                let has = |kind: &str| key.only.is_empty() || key.only.split(", ").any(|only| only == kind);
                let format = FORMATS.into_iter().find(|format| path != "data" || has(format.0)).unwrap();
                let net = NETS.into_iter().find(|net| path != "net" || has(net.0)).unwrap();
                let line = format!("{} = {default}", key.name);
                let mut more = [""; 3];
                let without = parse(&task_file(format, net, more));
                more[place] = &line;
                assert_eq!(parse(&task_file(format, net, more)), without, "{line}");
                n_checked += 1;
            }
        }
        assert!(n_checked >= 15, "{n_checked}");
    }

    #[test]
    fn the_keys_and_defaults_of_a_suite_are_those_that_are_read() {
        let parse = |text: &str| SuiteSpec::parse(text, "s.toml".as_ref());
        let known = |text: &str| match parse(text) {
            Err(TaskError::UnknownKey { allowed, .. }) => {
                allowed.split(", ").map(str::to_owned).collect::<BTreeSet<_>>()
            }
            other => panic!("{text}: {other:?}"),
        };
        let (shared, own) = (names(suite::SHARED, ""), names(suite::TASK, ""));
        let mut top = known("zzz = 1\n[[task]]\nfile = 'f'\n");
        assert!(top.remove("task"));
        assert_eq!(top, shared);
        assert_eq!(known("[[task]]\nfile = 'f'\nzzz = 1\n"), own.union(&shared).cloned().collect());
        let plain = parse("[[task]]\nfile = 'f'\n").unwrap();
        for key in suite::SHARED {
            let text = format!("{} = {}\n[[task]]\nfile = 'f'\n", key.name, key.default);
            assert_eq!(parse(&text).unwrap(), plain, "{text}");
        }
        assert_eq!(parse(&format!("[[task]]\nfile = 'f'\nquick = {}\n", suite::TASK[1].default)).unwrap(), plain);
    }
}

#[test]
fn the_keys_and_defaults_of_a_space_are_those_that_are_read() {
    let known = |text: &str| match SpaceFile::parse(text) {
        Err(SpaceError::UnknownKey { allowed, .. }) => allowed.split(", ").map(str::to_owned).collect::<BTreeSet<_>>(),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(known("zzz = 1\n[params.x]\ntype = 'int'\nlow = 1\nhigh = 2\n"), names(space::TOP, ""));
    for (kind, needed) in
        [("float", "low = 1.0\nhigh = 2.0"), ("int", "low = 1\nhigh = 2"), ("categorical", "choices = [1, 2]")]
    {
        let text = format!("[params.x]\ntype = '{kind}'\n{needed}\n");
        assert_eq!(known(&format!("{text}zzz = 1\n")), names(space::PARAMETER, kind), "{kind}");
        let plain = SpaceFile::parse(&text).unwrap();
        assert_eq!(SpaceFile::parse(&format!("direction = 'minimize'\n{text}")).unwrap(), plain);
        if kind != "categorical" {
            assert_eq!(SpaceFile::parse(&format!("{text}log = false\n")).unwrap(), plain);
        }
    }
    let stepped = SpaceFile::parse("[params.x]\ntype = 'int'\nlow = 1\nhigh = 2\nstep = 1\n").unwrap();
    assert_eq!(stepped, SpaceFile::parse("[params.x]\ntype = 'int'\nlow = 1\nhigh = 2\n").unwrap());
}

#[test]
fn only_help_and_a_topic_ask_for_a_topic() {
    let asked = |arguments: &[&str]| asked_for(arguments.iter().map(std::ffi::OsString::from)).map(|topic| topic.name);
    assert_eq!(asked(&["help", "task"]), Some("task"));
    for other in [&["help"][..], &["help", "train"], &["task"], &["help", "task", "x"], &["train", "task"], &[]] {
        assert_eq!(asked(other), None, "{other:?}");
    }
}

#[test]
fn no_line_is_longer_than_a_terminal_is_wide() {
    for topic in TOPICS {
        for line in topic.in_words().lines() {
            assert!(line.chars().count() <= super::WIDTH, "{line}");
        }
    }
}
