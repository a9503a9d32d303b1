//! The page: one file with everything in it, the figures as JSON and the program that draws them.
//!
//! Nothing that comes from a file is ever read as HTML: it is a text in the JSON, in which no `<` is left, and the
//! program makes texts of it. A policy in the head of the page forbids it to load or send anything.

use super::controller::Controller;
use super::evaluation::Evaluation;
use super::runs::Runs;
use super::study::Study;
use super::tint::Tint;
use qgd::report::Color;
use qgd::words::{counted, plain};
use serde::Serialize;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
/// The parts of the program, in the order in which they need each other.
const SCRIPTS: [&str; 7] = [
    include_str!("page/elements.js"),
    include_str!("page/chart.js"),
    include_str!("page/runs.js"),
    include_str!("page/study.js"),
    include_str!("page/controller.js"),
    include_str!("page/evaluation.js"),
    include_str!("page/main.js"),
];

/// Colors of *halve*, *accept* and *×1.25*, which colorblind people can tell apart (Okabe and Ito 2008).
const MOVES: [Color; 3] = [Color(213, 94, 0), Color::GRAY, Color(0, 158, 115)];

/// Everything on a page.
#[derive(Debug, Serialize)]
pub struct Page {
    title: String,
    version: &'static str,
    /// Colors of *halve*, *accept* and *×1.25*.
    moves: [Tint; 3],
    /// Colors of what is looked at, of what is there to compare with, and of what went wrong.
    tints: [Tint; 3],
    sections: Vec<Section>,
}

/// One part of a page.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Section {
    Runs(Runs),
    Study(Study),
    Controller(Controller),
    Evaluation(Evaluation),
}

impl Page {
    pub fn new(sections: Vec<Section>) -> Self {
        let names: Vec<String> = sections.iter().map(Section::name).collect();
        let title = match &names[..] {
            [first, second, third, _, ..] => format!("{first}, {second}, {third}, …"),
            few => few.join(", "),
        };
        let tints = [Color::BLUE, Color::GRAY, Color::RED].map(Tint::of);
        Self { title, version: env!("CARGO_PKG_VERSION"), moves: MOVES.map(Tint::of), tints, sections }
    }

    /// What is on it, in a few words.
    pub fn contents(&self) -> String {
        let n_runs: usize =
            self.sections.iter().map(|it| if let Section::Runs(runs) = it { runs.len() } else { 0 }).sum();
        let count = |is: fn(&Section) -> bool| self.sections.iter().filter(|section| is(section)).count();
        let n_studies = count(|section| matches!(section, Section::Study(_)));
        let n_controllers = count(|section| matches!(section, Section::Controller(_)));
        let n_evaluations = count(|section| matches!(section, Section::Evaluation(_)));
        let studies = if n_studies == 1 { "1 study".to_owned() } else { format!("{n_studies} studies") };
        let all = [
            (n_runs, counted(n_runs, "run")),
            (n_studies, studies),
            (n_controllers, counted(n_controllers, "controller")),
            (n_evaluations, counted(n_evaluations, "evaluation")),
        ];
        all.into_iter().filter(|(n, _)| *n > 0).map(|(_, words)| words).collect::<Vec<_>>().join(", ")
    }

    /// The whole file.
    pub fn html(&self) -> serde_json::Result<String> {
        let script = SCRIPTS.join("\n");
        let parts = [("TITLE", &in_html(&plain(&self.title))), ("DATA", &in_script(self)?), ("SCRIPT", &script)];
        let page = TEMPLATE.replace("{{STYLE}}", STYLE);
        Ok(filled(&page, &parts.map(|(name, part)| (name, part.as_str()))))
    }
}

impl Section {
    fn name(&self) -> String {
        match self {
            Self::Runs(runs) => runs.names().collect::<Vec<_>>().join(", "),
            Self::Study(study) => study.name().to_owned(),
            Self::Controller(controller) => controller.name().to_owned(),
            Self::Evaluation(evaluation) => format!("evaluation of {}", evaluation.name()),
        }
    }
}

/// The template with its places filled, each once and in the order in which they stand there: what one holds is not
/// looked at again.
fn filled(template: &str, parts: &[(&str, &str)]) -> String {
    let (mut page, mut rest) = (String::new(), template);
    for (name, part) in parts {
        let (before, after) = rest.split_once(&format!("{{{{{name}}}}}")).unwrap_or((rest, ""));
        page.extend([before, part]);
        rest = after;
    }
    page + rest
}

fn in_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The value as JSON that nothing in it can end: a `<` can only be in a text, where it may be spelled.
fn in_script(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string(value)?.replace('<', "\\u003c"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_script_that_it_stands_in() {
        let hostile = ["</script><script>alert(1)</script>", "<!--", "]]>", "a\"b\\\u{2028}\0", "{{SCRIPT}}"];
        let text = in_script(&hostile).unwrap();
        assert!(!text.contains('<'), "{text}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), hostile);
        assert_eq!(in_html("</title>\"&"), "&lt;/title&gt;&quot;&amp;");
    }

    #[test]
    fn a_place_in_what_was_filled_in_stays_as_it_is() {
        assert_eq!(filled("<{{A}}|{{B}}>", &[("A", "{{B}}"), ("B", "{{A}}")]), "<{{B}}|{{A}}>");
        for place in ["{{STYLE}}", "{{TITLE}}", "{{DATA}}", "{{SCRIPT}}"] {
            assert_eq!(TEMPLATE.matches(place).count(), 1, "{place}");
        }
    }

    #[test]
    fn nothing_in_the_program_ends_it_or_asks_for_a_network() {
        for part in SCRIPTS {
            for word in ["</script", "fetch(", "XMLHttpRequest", "import(", "innerHTML", "eval(", "document.write"] {
                assert!(!part.contains(word), "{word}");
            }
        }
        assert!(TEMPLATE.contains("default-src 'none'"));
        let named = [TEMPLATE, STYLE, &SCRIPTS.concat()].concat().replace("http://www.w3.org/2000/svg", "");
        assert!(!named.contains("http:") && !named.contains("https:") && !named.contains("url(\""), "another server");
    }
}
