//! The `[data]` section of a task file for a table. This is the only place that knows its keys.

use qgd::data::TargetKind;
use qgd::data::survey::Survey;
use toml::Value;

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is predicted.
    Target,
    /// It is an input as it is.
    Number,
    /// Each of its words becomes an input.
    Word,
    /// It is no input, for this reason.
    Ignored(&'static str),
}

/// Name of a column for people: that of the header, or its number.
pub fn name_of(survey: &Survey, place: usize) -> String {
    let name = survey.columns[place].name.as_ref();
    name.map_or_else(|| format!("column {place}"), |name| format!("`{name}`"))
}

/// A column as the file names it: by its name where there is one and only one of that name, else by its number.
fn column(survey: &Survey, place: usize) -> Value {
    let name = survey.columns[place].name.as_ref();
    let only = |name: &&String| survey.columns.iter().filter(|column| column.name.as_ref() == Some(*name)).count() == 1;
    match name.filter(only) {
        Some(name) => Value::String(name.clone()),
        None => Value::Integer(place as i64),
    }
}

/// Shares of the three splits: of few rows more than a tenth is needed to validate and to test.
pub fn split(n_rows: usize) -> [f64; 3] {
    if n_rows < 100 { [0.6, 0.2, 0.2] } else { [0.8, 0.1, 0.1] }
}

/// The section. Keys that are not needed are left out.
pub fn data_section(survey: &Survey, roles: &[Role], kind: TargetKind, path: &str) -> String {
    let text = |text: &str| Value::String(text.to_owned()).to_string();
    let places = |wanted: fn(&Role) -> bool| (0..roles.len()).filter(move |&i| wanted(&roles[i]));
    let list = |wanted| Value::Array(places(wanted).map(|i| column(survey, i)).collect());
    let target = places(|role| *role == Role::Target).next().unwrap_or(0);
    let mut lines = vec!["[data]".to_owned(), "format = \"csv\"".to_owned(), format!("path = {}", text(path))];
    if survey.delimiter != ',' {
        lines.push(format!("delimiter = {}", text(&survey.delimiter.to_string())));
    }
    // Over names, a header that is left out would be doubted.
    if survey.header || roles.contains(&Role::Word) {
        lines.push(format!("header = {}", survey.header));
    }
    if survey.decimal_comma {
        lines.push("decimal = \",\"".to_owned());
    }
    lines.push(format!("target = {}", column(survey, target)));
    lines.push(format!("kind = \"{}\"", if kind == TargetKind::Classes { "classification" } else { "regression" }));
    if roles.contains(&Role::Word) {
        lines.push(format!("categorical = {}", list(|role| *role == Role::Word)));
    }
    if roles.iter().any(|role| matches!(role, Role::Ignored(_))) {
        lines.push(format!("ignore = {}", list(|role| matches!(role, Role::Ignored(_)))));
    }
    let is_input = |i: usize| matches!(roles[i], Role::Number | Role::Word);
    if (0..roles.len()).any(|i| is_input(i) && survey.columns[i].n_missing > 0) {
        lines.push("missing = \"indicator\"".to_owned());
    }
    lines.push("standardize = true".to_owned());
    lines.push(format!("split = {:?}", split(survey.n_rows)));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use qgd::data::survey::{Column, Values};
    use std::collections::BTreeMap;

    fn survey(names: [Option<&str>; 4]) -> Survey {
        let column = |name: Option<&str>| Column {
            name: name.map(str::to_owned),
            values: Values::Numbers,
            n_missing: 0,
            first_missing: None,
            different: BTreeMap::new(),
            oddity: None,
            one_number: None,
        };
        let header = names[0].is_some();
        Survey { delimiter: ',', header, decimal_comma: false, n_rows: 1000, columns: names.map(column).into() }
    }

    const PLAIN: [Role; 4] = [Role::Number, Role::Number, Role::Number, Role::Target];

    #[test]
    fn a_plain_table_needs_no_special_keys() {
        let found = data_section(&survey([None; 4]), &PLAIN, TargetKind::Classes, "t.csv");
        let expected = "[data]\nformat = \"csv\"\npath = \"t.csv\"\ntarget = 3\nkind = \"classification\"\nstandardize = true\n\
                        split = [0.8, 0.1, 0.1]\n";
        assert_eq!(found, expected);
        assert!(
            qgd::task::TaskSpec::parse(&format!("{found}[net]\nkind = 'mlp'\n[train]\nsteps = 1\n"), "t".as_ref())
                .is_ok()
        );
    }

    #[test]
    fn every_key_says_what_is_odd_about_the_table() {
        let mut odd = survey([Some("size \"cm\""), Some("color"), Some("id"), Some("price")]);
        (odd.delimiter, odd.decimal_comma, odd.columns[0].n_missing) = ('\t', true, 2);
        let roles = [Role::Number, Role::Word, Role::Ignored("it only counts the rows"), Role::Target];
        let found = data_section(&odd, &roles, TargetKind::Values, "a \"b\"\\c.csv");
        let read: toml::Table = found.parse().unwrap();
        let data = read["data"].as_table().unwrap();
        let is = |key: &str, expected: Value| assert_eq!(data.get(key), Some(&expected), "{found}");
        is("path", "a \"b\"\\c.csv".into());
        is("delimiter", "\t".into());
        is("header", true.into());
        is("decimal", ",".into());
        is("target", "price".into());
        is("kind", "regression".into());
        is("categorical", vec!["color"].into());
        is("ignore", vec!["id"].into());
        is("missing", "indicator".into());
    }

    #[test]
    fn a_name_that_two_columns_have_is_given_by_number() {
        let twice = survey([Some(""), Some("y"), Some("z"), Some("")]);
        assert!(data_section(&twice, &PLAIN, TargetKind::Values, "t.csv").contains("target = 3\n"));
    }
}
