//! Recipes of version 0.1: kebab-case keys, the training beside the controller instead of below `[training]`. Read for
//! one more version.

use super::{Recipe, RecipeError};
use toml::{Table, Value};

/// Keys that were taken out of the grammar, each with the value that now holds for all controllers.
const RETIRED: [(&str, f64); 12] = [
    ("guard.floor", 0.1),
    ("guard.peak_decay", 0.95),
    ("guard.recovery_steps", 8.0),
    ("guard.loss_floor", 0.0),
    ("training.rehearsal.guard.floor", 0.1),
    ("training.rehearsal.guard.peak_decay", 0.95),
    ("training.rehearsal.guard.recovery_steps", 8.0),
    ("training.rehearsal.guard.loss_floor", 0.0),
    ("training.agent.huber", 1.0),
    ("training.agent.max_grad_norm", 10.0),
    ("training.agent.double", 1.0),
    ("training.polish.components", 16.0),
];

/// Tables that only version 0.1 had.
const OLD: [&str; 7] = ["decisions", "rehearsal", "rehearsal_guard", "meta", "agent", "exploration", "replay"];
/// Keys that only the grammar of today has.
const NEW: [&str; 3] = ["pace", "training", "halve_evidence"];

/// Brings a recipe into the grammar of today. A recipe of today stays as it is; one of both is refused, because one of two
/// settings would be lost.
pub(super) fn modernized(table: Table, origin: &str) -> Result<Table, RecipeError> {
    let mut new = snake_case(table.clone(), origin)?;
    let old = OLD.into_iter().find(|key| new.contains_key(*key));
    if old.is_some() || new != table {
        tracing::warn!(
            "the recipe {origin} is written in the grammar of version 0.1, which is read for one more version"
        );
    }
    let has_first_update = new.get("guard").and_then(|guard| guard.get("first_update")).is_some();
    let today = NEW.into_iter().find(|key| new.contains_key(*key));
    if let Some((old, new)) = old.zip(today.or(has_first_update.then_some("guard.first_update"))) {
        return Err(RecipeError::Mixed { origin: origin.to_owned(), old, new });
    }
    refuse_parts(&mut new, origin)?;
    move_pace(&mut new);
    move_training(&mut new, origin)?;
    retire(&mut new, origin)?;
    new.insert("schema".to_owned(), Value::Integer(Recipe::SCHEMA.into()));
    Ok(new)
}

fn snake_case(table: Table, origin: &str) -> Result<Table, RecipeError> {
    let mut new = Table::new();
    for (key, value) in table {
        let value = match value {
            Value::Table(inner) => Value::Table(snake_case(inner, origin)?),
            other => other,
        };
        let key = key.replace('-', "_");
        if new.insert(key.clone(), value).is_some() {
            return Err(RecipeError::Twice { origin: origin.to_owned(), key });
        }
    }
    Ok(new)
}

/// Puts `value` at `key` into the table `name` of the recipe, and makes that table where it is missing. Where `name` is
/// no table, it does nothing: that is an error in every grammar, and is reported when the recipe is read.
fn insert(recipe: &mut Table, name: &str, key: &str, value: Value) {
    let entry = recipe.entry(name).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(table) = entry {
        table.insert(key.to_owned(), value);
    }
}

fn take_table(table: &mut Table, name: &str) -> Option<Table> {
    match table.remove(name) {
        Some(Value::Table(inner)) => Some(inner),
        Some(other) => {
            table.insert(name.to_owned(), other);
            None
        }
        None => None,
    }
}

/// Refuses `network.from`, which named the parts of an ensemble: no training makes one any more. Anything but a list of
/// names is an error in every grammar, and is reported when the recipe is read.
fn refuse_parts(recipe: &mut Table, origin: &str) -> Result<(), RecipeError> {
    let Some(network) = recipe.get_mut("network").and_then(Value::as_table_mut) else { return Ok(()) };
    let Some(Value::Array(parts)) = network.get("from") else { return Ok(()) };
    if parts.iter().any(|part| part.as_str().is_none()) {
        return Ok(());
    }
    if parts.is_empty() {
        network.remove("from");
        return Ok(());
    }
    let names: Vec<String> = parts.iter().filter_map(Value::as_str).map(|name| format!("'{name}'")).collect();
    Err(RecipeError::Parts { origin: origin.to_owned(), parts: names.join(" ") })
}

/// `decisions` was the pace, one key of the guard and one of the chooser; `rehearsal` likewise.
fn move_pace(recipe: &mut Table) {
    let mut first_update = None;
    if let Some(mut decisions) = take_table(recipe, "decisions") {
        first_update = decisions.remove("first_update");
        if let Some(evidence) = decisions.remove("halve_evidence") {
            recipe.insert("halve_evidence".to_owned(), evidence);
        }
        recipe.insert("pace".to_owned(), Value::Table(decisions));
    }
    let guard_of_use = recipe.get("guard").and_then(Value::as_table).cloned().unwrap_or_default();
    if let Some(first_update) = first_update.clone() {
        insert(recipe, "guard", "first_update", first_update);
    }
    let (pace, guard) = (take_table(recipe, "rehearsal"), take_table(recipe, "rehearsal_guard"));
    if pace.is_none() && guard.is_none() {
        return;
    }
    let mut rehearsal = Table::new();
    if let Some(mut pace) = pace {
        first_update = pace.remove("first_update");
        pace.remove("halve_evidence");
        rehearsal.insert("pace".to_owned(), Value::Table(pace));
    }
    let mut guard = guard.unwrap_or(guard_of_use);
    guard.extend(first_update.map(|first_update| ("first_update".to_owned(), first_update)));
    rehearsal.insert("guard".to_owned(), Value::Table(guard));
    insert(recipe, "training", "rehearsal", Value::Table(rehearsal));
}

/// Moves `meta`, `agent`, `exploration` and `replay`, which stood beside the controller, below `training`.
fn move_training(recipe: &mut Table, origin: &str) -> Result<(), RecipeError> {
    for (key, value) in take_table(recipe, "meta").unwrap_or_default() {
        if OLD.contains(&key.as_str()) {
            return Err(RecipeError::Twice { origin: origin.to_owned(), key: format!("meta.{key}") });
        }
        insert(recipe, "training", &key, value);
    }
    for name in ["agent", "exploration", "replay"] {
        if let Some(part) = take_table(recipe, name) {
            insert(recipe, "training", name, Value::Table(part));
        }
    }
    Ok(())
}

/// Takes out the keys that are gone. An error where one says something else than what holds now.
fn retire(recipe: &mut Table, origin: &str) -> Result<(), RecipeError> {
    for (key, always) in RETIRED {
        let mut path: Vec<&str> = key.split('.').collect();
        let Some(name) = path.pop() else { continue };
        let mut table = Some(&mut *recipe);
        for part in path {
            table = table.and_then(|table| table.get_mut(part)).and_then(Value::as_table_mut);
        }
        let Some(found) = table.and_then(|table| table.remove(name)) else { continue };
        let same = match &found {
            Value::Float(found) => found.to_bits() == always.to_bits(),
            Value::Integer(found) => (*found as f64).to_bits() == always.to_bits(),
            Value::Boolean(found) => *found == (always > 0.0),
            _ => false,
        };
        if !same {
            let (origin, key) = (origin.to_owned(), key.to_owned());
            let (found, always) = (found.to_string(), always.to_string());
            return Err(RecipeError::Retired { origin, key, found, always });
        }
    }
    Ok(())
}
