//! `qgd ask-tell`: a study for programs in any language, over stdin and stdout, a line of JSON each.

mod protocol;

use super::failure::Failure;
use super::tune::{StudyArgs, read_space};
use anyhow::Context;
use clap::Args;
use std::io::{self, BufRead};
use std::path::PathBuf;

/// Serve a study to a program in any language: lines of JSON on stdin, answers on stdout.
///
/// {"ask":{}} is answered {"trial":0,"params":{...}}. {"report":{"trial":0,"step":3,"value":0.9}} is answered
/// {"prune":false}. {"tell":{"trial":0,"values":[1.2]}} or {"tell":{"trial":0,"state":"fail"}} (or "pruned") is
/// answered {"ok":true}. {"enqueue":{"params":{...}}} has these parameters tried next. {"best":{}} answers the best
/// trial, or null; with several objectives the front. A line that cannot be served is answered {"error":"..."}, and the
/// next one is read.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  echo '{\"ask\":{}}' | qgd ask-tell --space space.toml")]
pub struct AskTellArgs {
    /// Space that is searched: a TOML file.
    #[arg(long)]
    space: PathBuf,
    /// Where the study is kept: sqlite:///FILE, postgresql://USER@HOST/DATABASE (its password in PGPASSWORD) or memory:
    #[arg(long, default_value = "memory:")]
    storage: String,
    #[command(flatten)]
    study: StudyArgs,
}

impl AskTellArgs {
    pub fn run(&self) -> Result<(), Failure> {
        let study = self.study.open(&self.space, read_space(&self.space)?, &self.storage, 1)?;
        for line in io::stdin().lock().split(b'\n') {
            let line = line.context("cannot read stdin")?;
            let line = String::from_utf8_lossy(&line);
            if let Some(answer) = protocol::answer(&study, &line) {
                say!("{answer}");
            }
        }
        Ok(())
    }
}
