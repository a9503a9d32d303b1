//! `qgd init`: a task file for a table.

mod section;

use super::failure::Failure;
use super::outputs::{self, Files};
use super::setting::in_shell;
use anyhow::{Context, anyhow};
use qgd::data::TargetKind;
use qgd::data::survey::{Column, Hints, Survey, Values};
use section::{Role, data_section};
use std::path::{Path, PathBuf};

/// Largest number of different whole numbers in a target that are taken for classes.
const MOST_CLASSES: usize = 20;
/// Largest number of different words in a column of inputs for which each gets an input of its own.
const MOST_WORDS: usize = 100;
/// Smallest number of rows that leaves an example for each of the three splits.
const FEWEST_ROWS: usize = 5;

const EXAMPLES: &str = "Examples:
  A table whose last column is to be predicted:
    qgd init iris.csv && qgd train iris.toml --controller lr
  Another column, as a number and not as classes:
    qgd init wine.csv --target alcohol --kind regression -o alcohol.toml";

/// Write a task file for a table
///
/// It finds out what stands between the cells, whether there is a header, and what is in the columns; says what it has assumed; and
/// writes a file that `qgd train` can use at once. `qgd help task` explains its keys.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct InitArgs {
    /// The table: csv, tsv and their like, gzipped or not
    table: PathBuf,
    /// Column that is to be predicted: a name, or a number from 0, a negative one from the end [default: the last column]
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    target: Option<String>,
    /// Whether the target is a class or a number [default: as it looks]
    #[arg(long, value_name = "KIND", value_parser = ["classification", "regression"])]
    kind: Option<String>,
    /// What stands between two cells; "tab" for a tabulator, " " for any white space [default: found]
    #[arg(long, value_name = "CHARACTER", value_parser = character)]
    delimiter: Option<char>,
    /// The first line names the columns [default: found]
    #[arg(long, conflicts_with = "no_header")]
    header: bool,
    /// The first line is a row like any other
    #[arg(long)]
    no_header: bool,
    /// Where the task file goes [default: the name of the table with .toml, in the working folder]
    #[arg(short, long, value_name = "TASK.toml")]
    output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

fn character(text: &str) -> Result<char, String> {
    let mut characters = text.chars();
    match (text, characters.next(), characters.next()) {
        ("tab" | "\\t", ..) => Ok('\t'),
        (_, Some(one), None) if one.is_ascii() && !matches!(one, '"' | '\n' | '\r') => Ok(one),
        _ => Err("must be one ASCII character, no quote and no line end, or `tab`".to_owned()),
    }
}

/// Everything that a task file says, and why.
struct Draft<'a> {
    survey: &'a Survey,
    /// Place of the target among the columns.
    target: usize,
    kind: TargetKind,
    /// What each column is for.
    roles: Vec<Role>,
}

impl InitArgs {
    pub fn run(&self) -> Result<(), Failure> {
        let output = self.output.clone().unwrap_or_else(|| PathBuf::from(stem(&self.table)).with_extension("toml"));
        if output.exists() && !self.force {
            let output = output.display();
            return Err(Failure::BadInput(anyhow!(
                "{output} is there already; --force replaces it, -o writes another file"
            )));
        }
        let mut files = Files::default();
        files.reads("the table", &self.table);
        files.writes("--output", Some(&output))?;
        let header = if self.header || self.no_header { Some(self.header) } else { None };
        let survey =
            Survey::of(&self.table, Hints { delimiter: self.delimiter, header }).map_err(Failure::bad_input)?;
        let draft = self.draft(&survey)?;
        let path = path_from(&output, &self.table).map_err(Failure::BadInput)?;
        let text = draft.task_file(&self.table, &path);
        outputs::write(&output, text.as_bytes())?;
        say!("{}", draft.in_words(&self.table, self.target.is_none()));
        say!("Written: {0}. Look through it, then: qgd train {0} --controller lr", in_shell(&output));
        Ok(())
    }

    fn draft<'a>(&self, survey: &'a Survey) -> Result<Draft<'a>, Failure> {
        let bad = |message: String| Err(Failure::BadInput(anyhow!("{}: {message}", self.table.display())));
        let target = self.target(survey)?;
        let column = &survey.columns[target];
        let name = section::name_of(survey, target);
        if let Some(line) = column.first_missing {
            let n = column.n_missing;
            return bad(format!(
                "the target {name} has no value in line {line} ({n} in all); take such rows out, or name another --target"
            ));
        }
        if survey.n_rows < FEWEST_ROWS {
            return bad(format!(
                "{} rows are too few to train, validate and test with; at least {FEWEST_ROWS} are needed",
                survey.n_rows
            ));
        }
        if column.different.len() < 2 {
            return bad(format!("the target {name} is the same in every row; name another --target"));
        }
        if let (None, Some((oddity, cell))) = (&self.kind, &column.oddity) {
            let why = oddity.in_words();
            return bad(format!("the target {name}, as in `{cell}`: {why}; or name another --target or its --kind"));
        }
        let kind = match self.kind.as_deref() {
            Some("regression") if column.values == Values::Words => {
                let cell = column.different.keys().next().map_or_else(String::new, |cell| format!("`{cell}`"));
                return bad(format!("--kind regression: the target {name} holds words, as {cell}"));
            }
            Some("regression") => TargetKind::Values,
            Some(_) => TargetKind::Classes,
            None => guessed(column, survey.n_rows),
        };
        if self.kind.is_none() && counts_rows(column, survey.n_rows) {
            return bad(format!("the target {name} only counts the rows; name another --target"));
        }
        if kind == TargetKind::Classes && column.different.len() == survey.n_rows {
            return bad(format!(
                "the target {name} has a class of its own in every row, as ids have; name another --target"
            ));
        }
        if let (TargetKind::Classes, Some((first, second))) = (kind, &column.one_number) {
            return bad(format!(
                "the target {name} holds `{first}` and `{second}`, which are one number but would be two classes; write them alike"
            ));
        }
        let roles: Vec<Role> =
            (0..survey.columns.len()).map(|i| if i == target { Role::Target } else { role(survey, i) }).collect();
        if !roles.iter().any(|role| matches!(role, Role::Number | Role::Word)) {
            return bad("no column is left that could be an input".to_owned());
        }
        Ok(Draft { survey, target, kind, roles })
    }

    /// Place of the target.
    fn target(&self, survey: &Survey) -> Result<usize, Failure> {
        let n = survey.columns.len();
        let Some(wanted) = &self.target else { return Ok(n - 1) };
        let named: Vec<usize> = (0..n).filter(|&i| survey.columns[i].name.as_ref() == Some(wanted)).collect();
        let number = wanted.parse::<i64>().ok();
        let place =
            number.map(|i| if i < 0 { i.saturating_add(n as i64) } else { i }).and_then(|i| usize::try_from(i).ok());
        match (&named[..], place.filter(|i| *i < n)) {
            (&[place], _) | (&[], Some(place)) => Ok(place),
            (&[], None) => {
                let names: Vec<&str> = survey.columns.iter().filter_map(|column| column.name.as_deref()).collect();
                let names = if names.is_empty() { String::new() } else { format!(", named {}", names.join(", ")) };
                Err(Failure::BadInput(anyhow!(
                    "--target {wanted}: there are {n} columns, numbered 0 to {}{names}",
                    n - 1
                )))
            }
            _ => Err(Failure::BadInput(anyhow!(
                "--target {wanted}: {} columns have this name; give the number of one",
                named.len()
            ))),
        }
    }
}

/// Classes or numbers: words are classes, and so are few different whole numbers, unless each row has its own.
fn guessed(target: &Column, n_rows: usize) -> TargetKind {
    let n_different = target.different.len();
    let few = target.values == Values::Whole && n_different <= MOST_CLASSES && n_different < n_rows;
    if few || target.values == Values::Words { TargetKind::Classes } else { TargetKind::Values }
}

/// What a column other than the target is for.
fn role(survey: &Survey, place: usize) -> Role {
    let column = &survey.columns[place];
    let n_different = column.different.len();
    if let Some((oddity, _)) = &column.oddity {
        return Role::Ignored(oddity.in_words());
    }
    match column.values {
        _ if n_different == 0 => Role::Ignored("it is empty"),
        _ if n_different == 1 => Role::Ignored("it is the same in every row"),
        _ if counts_rows(column, survey.n_rows) => Role::Ignored("it only counts the rows"),
        Values::Words if n_different > MOST_WORDS => Role::Ignored("it has too many different words"),
        Values::Words if 2 * n_different > survey.n_rows - column.n_missing => {
            Role::Ignored("nearly every row has a word of its own")
        }
        Values::Words => Role::Word,
        _ => Role::Number,
    }
}

/// Whether a column is called as those are that count the rows, and has another whole number in each.
fn counts_rows(column: &Column, n_rows: usize) -> bool {
    let names = ["", "id", "index", "row", "unnamed: 0"];
    let is_called_so = |name: &String| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    column.values == Values::Whole && column.different.len() == n_rows && column.name.as_ref().is_some_and(is_called_so)
}

impl Draft<'_> {
    fn task_file(&self, table: &Path, path: &str) -> String {
        let n_rows = self.survey.n_rows;
        let n_train = (section::split(n_rows)[0] * n_rows as f64) as usize;
        // Largest power of two of at most 64 that leaves eight batches in the training split, where that is possible.
        let batch_size = (0..=6).map(|power| 1 << power).filter(|size| size * 8 <= n_train).max().unwrap_or(1);
        let steps = (40 * n_train / batch_size).clamp(400, 4000);
        format!(
            "# Written by `qgd init` for {}: {} rows. `qgd help task` explains the keys.\n{}\n\
             [net]\nkind = \"mlp\"\nhidden = [64]\nactivation = \"relu\"\n\n\
             [train]\noptimizer = \"adam\"\nlr = 1e-3\nweight_decay = 1e-3\nbatch_size = {batch_size}\nsteps = {steps}\n",
            shown(table),
            n_rows,
            data_section(self.survey, &self.roles, self.kind, path),
        )
    }

    /// What was assumed.
    fn in_words(&self, table: &Path, is_default: bool) -> String {
        let Survey { delimiter, header, decimal_comma, n_rows, columns } = self.survey;
        let between = match delimiter {
            '\t' => "a tabulator".to_owned(),
            ' ' => "white space".to_owned(),
            other => format!("`{other}`"),
        };
        let header = if *header { "the first line names the columns" } else { "no header" };
        let comma = if *decimal_comma { ", numbers with a decimal comma" } else { "" };
        let mut text = format!(
            "{}: {n_rows} rows of {} columns, {between} between cells, {header}{comma}\n",
            shown(table),
            columns.len()
        );
        let chosen = if is_default { "; the last column, --target names another" } else { "" };
        let target = &columns[self.target];
        let what = match self.kind {
            TargetKind::Classes => {
                format!("{} classes: {}", target.different.len(), some(&target.different.keys().collect::<Vec<_>>()))
            }
            TargetKind::Values => "a number (regression)".to_owned(),
        };
        text += &format!("  target     {}, {what}{chosen}\n", section::name_of(self.survey, self.target));
        let single: Vec<&String> = target.different.iter().filter(|(_, n)| **n == 1).map(|(class, _)| class).collect();
        if self.kind == TargetKind::Classes && !single.is_empty() {
            text +=
                &format!("  careful    classes with a single row, too few to learn and to test: {}\n", some(&single));
        }
        for (word, wanted) in [("numbers", Role::Number), ("words", Role::Word)] {
            let names: Vec<String> =
                self.places(|role| *role == wanted).map(|i| section::name_of(self.survey, i)).collect();
            if !names.is_empty() {
                text += &format!("  {word:<9}  {}: {}\n", names.len(), some(&names));
            }
        }
        for place in self.places(|role| matches!(role, Role::Ignored(_))) {
            let Role::Ignored(why) = self.roles[place] else { continue };
            text += &format!("  left out   {}: {why}\n", section::name_of(self.survey, place));
        }
        let missing = |i: usize| matches!(self.roles[i], Role::Number | Role::Word) && columns[i].n_missing > 0;
        for place in (0..columns.len()).filter(|&i| missing(i)) {
            text += &format!(
                "  missing    {} cells of {}\n",
                columns[place].n_missing,
                section::name_of(self.survey, place)
            );
        }
        text
    }

    fn places(&self, wanted: impl Fn(&Role) -> bool) -> impl Iterator<Item = usize> {
        (0..self.roles.len()).filter(move |&i| wanted(&self.roles[i]))
    }
}

/// The first few of some names.
fn some<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let more = if names.len() > SHOWN { format!(", and {} more", names.len() - SHOWN) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Name of a file on one line.
fn shown(path: &Path) -> String {
    file_name(path).chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}

/// Name of a table without its endings, of which `.gz` is one.
fn stem(table: &Path) -> String {
    let name = file_name(table);
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The path of the table as the task file has to give it: relative where both are in one folder or the task file is in the working
/// folder, else absolute.
fn path_from(task: &Path, table: &Path) -> anyhow::Result<String> {
    let folder = |path: &Path| path.parent().unwrap_or(Path::new("")).to_owned();
    let path = if folder(task) == folder(table) {
        PathBuf::from(table.file_name().unwrap_or_default())
    } else if folder(task).as_os_str().is_empty() || table.is_absolute() {
        table.to_owned()
    } else {
        std::path::absolute(table).with_context(|| format!("where is {}?", table.display()))?
    };
    let text = path.to_str().map(str::to_owned);
    text.with_context(|| {
        format!("{} is not UTF-8, so no task file can name it; give the table another name", path.display())
    })
}
