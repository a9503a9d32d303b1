//! The command of `qgd tune`, with places for parameters: `{name}`, and `{{` and `}}` for braces. It is run without a
//! shell.
//!
//! A parameter that is not active in a trial has no value. An argument that holds it is left out then, and with it the
//! option before it: `--dropout {dropout}`, `--dropout={dropout}` and `--set net.dropout={dropout}` are all not there.
//! Text of several words, like that behind `sh -c`, cannot be left out: the place stays empty there.

use crate::cli::failure::Failure;
use anyhow::anyhow;
use qgd::tuner::{ActiveTrial, Space, Value};
use qgd::words::meant;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Arguments of a command, the program first.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone, PartialEq)]
struct Argument {
    pieces: Vec<Piece>,
    /// What happens to it in a trial where one of its parameters is not active.
    without: Without,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Without {
    /// It is left out.
    Nothing,
    /// It is left out with the argument before it, which is an option.
    NoOption,
    /// It stays, with nothing in the place.
    EmptyPlace,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Parameter(String),
}

impl Template {
    /// Finds the places, all of which must be parameters of `space`, and checks that the program is there.
    pub fn parse(command: &[String], space: &Space) -> Result<Self, Failure> {
        let read = command.iter().map(|argument| pieces(argument, space)).collect::<Result<Vec<_>, _>>()?;
        match read.first().map(Vec::as_slice) {
            None => return Err(Failure::BadInput(anyhow!("there is no command: give it behind `--`"))),
            Some([Piece::Text(program)]) => check_program(program)?,
            // Which program it is depends on the trial.
            Some(pieces) => check_choice(&command[0], pieces, space)?,
        }
        let before = std::iter::once(None).chain(read.iter().enumerate().map(|(i, pieces)| option(i, pieces)));
        let without: Vec<Without> = before.zip(&read).map(|(option, pieces)| without(option, pieces)).collect();
        let arguments = read.into_iter().zip(without).map(|(pieces, without)| Argument { pieces, without });
        Ok(Self { arguments: arguments.collect() })
    }

    /// The arguments with the parameters of a trial.
    pub fn fill(&self, trial: &ActiveTrial<'_>) -> Vec<String> {
        let mut filled: Vec<String> = Vec::new();
        for Argument { pieces, without } in &self.arguments {
            let is_whole = parameters(pieces).all(|name| trial.get(name).is_some());
            if is_whole || *without == Without::EmptyPlace {
                let text = |piece: &Piece| match piece {
                    Piece::Text(text) => text.clone(),
                    Piece::Parameter(name) => trial.get(name).map(Value::to_string).unwrap_or_default(),
                };
                filled.push(pieces.iter().map(text).collect());
            } else if *without == Without::NoOption {
                // An option holds no parameter, so it is the last that was put there.
                filled.pop();
            }
        }
        filled
    }

    /// What a user may not expect of this command: a sentence for each argument that loses more, or less, than what is
    /// not active.
    pub fn surprises(&self, space: &Space) -> Vec<String> {
        self.arguments.iter().filter_map(|argument| argument.surprise(space)).collect()
    }
}

impl Argument {
    fn surprise(&self, space: &Space) -> Option<String> {
        let conditions = |name: &str| &space.parameters()[space.position(name).unwrap_or_default()].when;
        let lost = parameters(&self.pieces).find(|name| !conditions(name).is_empty())?;
        let (text, variable) = (self.text(), variable(lost));
        if self.without == Without::EmptyPlace {
            return Some(format!(
                "the place of {{{lost}}} in `{text}` stays empty in trials where {lost} is not active; \
                 ${{{{{variable}:+--option ${variable}}}}} is empty then with its option"
            ));
        }
        let other = parameters(&self.pieces).find(|name| conditions(name) != conditions(lost))?;
        Some(format!(
            "`{text}` is left out in trials where {lost} is not active, and {other} with it; \
             QGD_PARAMS in the environment has all that is active"
        ))
    }

    /// The argument as it was written.
    fn text(&self) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.replace('{', "{{").replace('}', "}}"),
            Piece::Parameter(name) => format!("{{{name}}}"),
        };
        self.pieces.iter().map(text).collect()
    }
}

/// Name of the environment variable for a parameter.
pub fn variable(parameter: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("QGD_PARAM_{}", parameter.chars().map(letter).collect::<String>())
}

fn parameters(pieces: &[Piece]) -> impl Iterator<Item = &str> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Parameter(name) => Some(name.as_str()),
        Piece::Text(_) => None,
    })
}

/// The argument, where it is an option whose value is the next argument.
fn option(i: usize, pieces: &[Piece]) -> Option<&str> {
    let [Piece::Text(text)] = pieces else { return None };
    let is_option = text.starts_with('-') && !matches!(text.as_str(), "-" | "--") && !text.contains('=');
    // `-1` is a number, and the first argument is the program.
    (i > 0 && is_option && text.parse::<f64>().is_err()).then_some(text)
}

/// What happens to an argument behind `option` where one of its parameters is not active.
fn without(option: Option<&str>, pieces: &[Piece]) -> Without {
    let is_text = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains(char::is_whitespace));
    let is_option = matches!(&pieces[0], Piece::Text(text) if text.starts_with('-'));
    match option {
        _ if is_option => Without::Nothing,
        Some(option) if option.starts_with("--") => Without::NoOption,
        _ if pieces.iter().any(is_text) => Without::EmptyPlace,
        Some(_) => Without::NoOption,
        None => Without::Nothing,
    }
}

fn pieces(argument: &str, space: &Space) -> Result<Vec<Piece>, Failure> {
    let wrong = |what: String| Failure::BadInput(anyhow!("`{argument}`: {what}; write `{{{{` and `}}}}` for braces"));
    let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), argument);
    while let Some(at) = rest.find(['{', '}']) {
        text += &rest[..at];
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix(brace) {
            text += brace;
            rest = behind;
            continue;
        }
        let end = rest.find('}').filter(|_| brace == "{").ok_or_else(|| wrong(format!("a single `{brace}`")))?;
        let name = &rest[..end];
        if space.position(name).is_none() {
            let meant = meant(name, space.parameters().iter().map(|parameter| parameter.name.as_str()));
            return Err(wrong(format!("there is no parameter `{name}`{meant}, the space has {}", space.names())));
        }
        pieces.push(Piece::Text(std::mem::take(&mut text)));
        pieces.push(Piece::Parameter(name.to_owned()));
        rest = &rest[end + 1..];
    }
    pieces.push(Piece::Text(text + rest));
    Ok(pieces)
}

/// Refuses a program that some trials would not have.
fn check_choice(argument: &str, pieces: &[Piece], space: &Space) -> Result<(), Failure> {
    let is_sometimes = |name: &&str| space.parameters().iter().any(|p| p.name == *name && !p.when.is_empty());
    match parameters(pieces).find(is_sometimes) {
        None => Ok(()),
        Some(name) => Err(Failure::BadInput(anyhow!(
            "the program is `{argument}`, but `{name}` is not active in every trial: use a parameter without `when` there"
        ))),
    }
}

fn check_program(program: &str) -> Result<(), Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path);
    let is_program = |path: &Path| path.metadata().is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0);
    let is_there = if program.contains('/') {
        is_program(Path::new(program))
    } else {
        !program.is_empty() && folders.any(|folder| is_program(&folder.join(program)))
    };
    let missing = || {
        Failure::BadInput(anyhow!(
            "there is no program `{program}` that can be executed, neither as a path nor in PATH; scripts need `chmod +x`, or their interpreter before them"
        ))
    };
    is_there.then_some(()).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use qgd::tuner::{Distribution, Parameter, Study, StudyConfig};

    fn space() -> Space {
        let layers = Parameter::new("layers", Distribution::stepped_int(2, 3, 1));
        let units = Parameter::new("units", Distribution::int(8, 16)).when("layers", [3]);
        Space::new([Parameter::new("lr", Distribution::categorical([1e-5])), layers, units]).unwrap()
    }

    fn filled(arguments: &[&str]) -> Vec<String> {
        let command: Vec<String> = ["sh"].iter().chain(arguments).map(ToString::to_string).collect();
        let study = Study::in_memory(space(), StudyConfig::default()).unwrap();
        study.enqueue(&[("layers".to_owned(), 2.into())].into()).unwrap();
        Template::parse(&command, &space()).unwrap().fill(&study.ask().unwrap()).split_off(1)
    }

    #[test]
    fn parameters_are_put_in_their_places_and_double_braces_are_braces() {
        assert_eq!(filled(&["--lr={lr}", "{layers}{layers}"]), ["--lr=1e-5", "22"]);
        assert_eq!(filled(&[r#"{{"lr": {lr}}}"#, "{{}}", "plain", ""]), [r#"{"lr": 1e-5}"#, "{}", "plain", ""]);
    }

    #[test]
    fn what_is_not_active_is_left_out_with_the_option_before_it() {
        let nothing: [&str; 0] = [];
        for gone in [
            &["{units}"][..],
            &["u{units}"],
            &["--units", "{units}"],
            &["-u", "{units}"],
            &["--units={units}"],
            &["-u{units}"],
            &["net.units={units}"],
            &["--set", "net.units={units}"],
            &["--note", "with {units} units"],
        ] {
            assert_eq!(filled(gone), nothing, "{gone:?}");
        }
        for (kept, expected) in [
            (&["--", "{units}", "x"][..], &["--", "x"][..]),
            (&["-", "{units}"], &["-"]),
            (&["--from", "-1", "{units}"], &["--from", "-1"]),
            (&["--fast=1", "{units}"], &["--fast=1"]),
            (&["--lr", "{lr}", "--units", "{units}", "--fast"], &["--lr", "1e-5", "--fast"]),
            (&["--fast", "--units={units}"], &["--fast"]),
            (&["file", "{units}"], &["file"]),
            (&["--range", "{lr}", "{units}"], &["--range", "1e-5"]),
            // Text of several words stays.
            (&["-c", "train --units '{units}'"], &["-c", "train --units ''"]),
            (&["host", "train {units}; echo"], &["host", "train ; echo"]),
        ] {
            assert_eq!(filled(kept), expected, "{kept:?}");
        }
    }

    #[test]
    fn what_one_may_not_expect_is_said() {
        let said = |argument: &str| {
            let template = Template::parse(&["sh".into(), "-c".into(), argument.into()], &space()).unwrap();
            template.surprises(&space()).join("\n")
        };
        let text = said("train --units {units} {{x}}");
        for needle in
            ["{units} in `train --units {units} {{x}}` stays empty", "${{QGD_PARAM_UNITS:+--option $QGD_PARAM_UNITS}}"]
        {
            assert!(text.contains(needle), "{text}");
        }
        assert!(said("{lr},{units}").contains("left out in trials where units is not active, and lr with it"));
        assert_eq!((said("{units}"), said("train {lr}")), (String::new(), String::new()));
    }

    #[test]
    fn a_place_for_nothing_is_refused() {
        let refused =
            |argument: &str| Template::parse(&["sh".into(), argument.into()], &space()).unwrap_err().to_string();
        assert!(
            refused("{learning}").contains("`learning`, the space has lr, layers, units"),
            "{}",
            refused("{learning}")
        );
        for wrong in ["{lr", "lr}", "{", "}", "{}"] {
            assert!(refused(wrong).contains("for braces"), "{}", refused(wrong));
        }
        assert!(Template::parse(&["no-such-program-anywhere".into()], &space()).is_err());
        let sometimes = Template::parse(&["train-{units}".into()], &space()).unwrap_err().to_string();
        assert!(sometimes.contains("`units` is not active in every trial"), "{sometimes}");
    }
}
