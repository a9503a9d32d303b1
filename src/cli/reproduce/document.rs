//! The report of an experiment: Markdown, figures beside it, and JSON.

use super::lab::Lab;
#[cfg(feature = "png")]
use crate::cli::failure::Failure;
use crate::cli::outputs::Results;
use qgd::report::Table;
use qgd::statistics::median;
use serde_json::{Value as Json, json};
use std::path::Path;

/// A report under way.
pub struct Document {
    paper: &'static str,
    text: String,
    /// File names and contents.
    figures: Vec<(String, String)>,
    json: Json,
}

impl Document {
    /// A report that has its title, and says how it was made.
    pub fn new(lab: &Lab, title: &str) -> Self {
        let command = lab.command();
        let mut text = format!("# {title}\n\n");
        text +=
            &format!("Written by `{command}` (qgd {}); the same line writes it again.\n", env!("CARGO_PKG_VERSION"));
        let json = json!({
            "paper": lab.paper(),
            "command": command,
            "version": env!("CARGO_PKG_VERSION"),
            "quick": lab.quick(),
            "seeds": lab.seeds(),
        });
        Self { paper: lab.paper(), text, figures: Vec::new(), json }
    }

    pub fn heading(&mut self, heading: &str) {
        self.text += &format!("\n## {heading}\n");
    }

    pub fn paragraph(&mut self, paragraph: &str) {
        self.text += &format!("\n{paragraph}\n");
    }

    pub fn points<S: AsRef<str>>(&mut self, points: impl IntoIterator<Item = S>) {
        self.text += "\n";
        points.into_iter().for_each(|point| self.text += &format!("- {}\n", point.as_ref()));
    }

    pub fn table(&mut self, table: &Table) {
        self.text += &format!("\n{}", table.to_markdown());
    }

    /// Adds a picture, in a file of its own.
    pub fn figure(&mut self, name: &str, caption: &str, svg: String) {
        let file = format!("{}-{name}.svg", self.paper);
        self.text += &format!("\n![{caption}]({file})\n");
        self.figures.push((file, svg));
    }

    /// Adds to the JSON.
    pub fn data(&mut self, name: &str, data: Json) {
        self.json[name] = data;
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes all files into a folder.
    pub fn write(&self, folder: &Path, results: &mut Results) {
        let at = |name: &str| folder.join(name);
        for (file, svg) in &self.figures {
            results.write(Some(&at(file)), || Ok(svg.clone().into()));
        }
        results.write(Some(&at(&format!("{}.json", self.paper))), || Ok(serde_json::to_vec_pretty(&self.json)?));
        results.write(Some(&at(&format!("{}.md", self.paper))), || Ok(self.text.clone().into()));
    }

    /// Writes every figure as PNG into a folder.
    #[cfg(feature = "png")]
    pub fn write_png(&self, folder: &Path, results: &mut Results) {
        for (file, svg) in &self.figures {
            let png = || qgd::report::png(svg).map_err(|error| Failure::Failed(error.into()));
            results.write(Some(&folder.join(file).with_extension("png")), png);
        }
    }
}

/// Number of points that a curve in JSON has at most.
const POINTS: usize = 9;

/// A curve as JSON holds it: at most nine of its values, evenly spaced, the first and the last among them.
pub fn thinned<T: Clone>(curve: &[T]) -> Vec<T> {
    let last = curve.len().saturating_sub(1);
    let n = curve.len().min(POINTS);
    (0..n).map(|i| curve[i * last / (n - 1).max(1)].clone()).collect()
}

/// The median of the seeds, and between which values they lie.
pub fn spread(values: &[f64], decimals: usize) -> String {
    spread_in(values, |value| if value.is_finite() { format!("{value:.decimals$}") } else { "diverged".into() })
}

/// The same, in these words.
pub fn spread_in(values: &[f64], word: impl Fn(f64) -> String) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match values {
        [] => "-".to_owned(),
        [one] => word(*one),
        _ => format!("{} ({} to {})", word(median(values)), word(low), word(high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thinned_curve_keeps_its_ends() {
        let curve: Vec<usize> = (1..=99).collect();
        assert_eq!(thinned(&curve), [1, 13, 25, 37, 50, 62, 74, 86, 99]);
        assert_eq!(thinned(&curve[..6]), [1, 2, 3, 4, 5, 6]);
        assert_eq!([thinned(&curve[..1]).len(), thinned(&curve[..0]).len()], [1, 0]);
    }
}
