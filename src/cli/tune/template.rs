//! The command of `qgd tune`, with places for parameters: `{name}`, and `{{` and `}}` for braces. It is run without a
//! shell.

use crate::cli::failure::Failure;
use anyhow::anyhow;
use qgd::tuner::{ActiveTrial, Space, Value};
use std::path::Path;

/// Arguments of a command, the program first.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    arguments: Vec<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Parameter(String),
}

impl Template {
    /// Finds the places, all of which must be parameters of `space`, and checks that the program is there.
    pub fn parse(command: &[String], space: &Space) -> Result<Self, Failure> {
        let arguments = command.iter().map(|argument| pieces(argument, space)).collect::<Result<Vec<_>, _>>()?;
        match arguments.first().map(Vec::as_slice) {
            None => Err(Failure::BadInput(anyhow!("there is no command: give it behind `--`"))),
            Some([Piece::Text(program)]) => check_program(program).map(|()| Self { arguments }),
            // Which program it is depends on the trial.
            Some(_) => Ok(Self { arguments }),
        }
    }

    /// The arguments with the parameters of a trial; the place of one that is not active stays empty.
    pub fn fill(&self, trial: &ActiveTrial<'_>) -> Vec<String> {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Parameter(name) => trial.get(name).map(Value::to_string).unwrap_or_default(),
        };
        self.arguments.iter().map(|pieces| pieces.iter().map(text).collect()).collect()
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
            return Err(wrong(format!("there is no parameter `{name}`, the space has {}", space.names())));
        }
        pieces.push(Piece::Text(std::mem::take(&mut text)));
        pieces.push(Piece::Parameter(name.to_owned()));
        rest = &rest[end + 1..];
    }
    pieces.push(Piece::Text(text + rest));
    Ok(pieces)
}

fn check_program(program: &str) -> Result<(), Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path);
    let is_there = if program.contains('/') {
        Path::new(program).is_file()
    } else {
        !program.is_empty() && folders.any(|folder| folder.join(program).is_file())
    };
    let missing = || Failure::BadInput(anyhow!("there is no program `{program}`, neither as a path nor in PATH"));
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
        assert_eq!(filled(&["--lr={lr}", "{layers}{layers}", "{units}"]), ["--lr=1e-5", "22", ""]);
        assert_eq!(filled(&[r#"{{"lr": {lr}}}"#, "{{}}", "plain", ""]), [r#"{"lr": 1e-5}"#, "{}", "plain", ""]);
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
    }
}
