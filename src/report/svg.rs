//! Charts as SVG, side by side under one heading.
//!
//! The colors follow the reader's light or dark scheme, lines are told apart without colors too, by their dashes and marks,
//! a screen reader finds a title and a description, and a diverged point is a cross.

use super::chart::{Axis, Chart, Line, Spot};
use super::palette::Color;
use super::table::{number, wrapped};
use std::fmt::Write;

/// Places around the lines of a panel: axes with their names, and the title.
const LEFT: f64 = 74.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
/// Height of the heading with one line below it, and of each line more.
const HEADING: f64 = 62.0;
const SUBHEADING: f64 = 16.0;
const LEGEND_ROW: f64 = 20.0;
/// Width of a name in the legend without its text, and of a character, about.
const LEGEND_STROKE: f64 = 74.0;
const CHARACTER: f64 = 6.6;
/// How lines are told apart without their colors: dashes, and outlines of marks around a point.
const DASHES: [&str; 8] = ["", "7 4", "2 3", "10 3 2 3", "5 2", "1 4", "12 4", "8 2 2 2 2 2"];
const MARKS: [&str; 5] = [
    "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
    "m-3.2 -3.2h6.4v6.4h-6.4z",
    "m0 -4.2l4.2 7h-8.4z",
    "m0 -4.5l4.5 4.5l-4.5 4.5l-4.5 -4.5z",
    "m0 4.2l4.2 -7h-8.4z",
];
const FONT: &str = "system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const LIGHT: &str =
    ".paper{fill:#fff}text{fill:#57606a}.heading,.title{fill:#1f2328}.grid{stroke:#eaeef2}.frame{stroke:#d0d7de}";
/// What begins the rules for dark paper, which are the last ones of the style.
pub(super) const IF_DARK: &str = "@media(prefers-color-scheme:dark)";
const DARK: &str =
    ".paper{fill:#0d1117}text{fill:#9da7b3}.heading,.title{fill:#f0f6fc}.grid{stroke:#262c36}.frame{stroke:#444c56}";

/// Size of a panel and of what is around it.
struct Layout {
    per_row: usize,
    panel: (f64, f64),
}

/// Draws `charts` side by side, with one legend: lines of the same name mean the same in all charts.
pub fn svg(heading: &str, subheading: &str, charts: &[Chart]) -> String {
    svg_in_rows(heading, subheading, charts, charts.len())
}

/// Draws `charts` in rows of `per_row`, one row below the other, with one legend.
pub fn svg_in_rows(heading: &str, subheading: &str, charts: &[Chart], per_row: usize) -> String {
    let layout = Layout::new(per_row.clamp(1, charts.len().max(1)));
    let names = names(charts);
    let width = layout.panel.0 * layout.per_row as f64;
    let below = wrapped(subheading, "", ((width - LEFT - RIGHT) / CHARACTER) as usize);
    let top = HEADING + SUBHEADING * below.lines().skip(1).count() as f64;
    let bottom = top + layout.panel.1 * charts.len().div_ceil(layout.per_row).max(1) as f64;
    let mut body = String::new();
    text(&mut body, (LEFT, 28.0), "heading", "start", heading);
    for (i, line) in below.lines().enumerate() {
        text(&mut body, (LEFT, 48.0 + SUBHEADING * i as f64), "", "start", line);
    }
    for (i, chart) in charts.iter().enumerate() {
        let (column, row) = ((i % layout.per_row) as f64, (i / layout.per_row) as f64);
        panel(&mut body, chart, &names, (layout.panel.0 * column, top + layout.panel.1 * row), &layout);
    }
    let height = bottom + legend(&mut body, charts, &names, width, bottom) + LEGEND_ROW;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title desc\">\n<title id=\"title\">{}</title>\n<desc id=\"desc\">{}</desc>\n\
         <style>{}</style>\n<rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\n{body}</svg>\n",
        escape(heading),
        escape(&described(subheading, charts)),
        style(charts),
    )
}

impl Layout {
    /// Panels get smaller where three or more stand side by side.
    fn new(per_row: usize) -> Self {
        let panel = match per_row {
            1 => (600.0, 360.0),
            2 => (440.0, 300.0),
            _ => (340.0, 250.0),
        };
        Self { per_row, panel }
    }
}

/// The style of the whole picture: `color` is that of a line, its marks and its band, on light and on dark paper.
fn style(charts: &[Chart]) -> String {
    let mut colors: Vec<Color> = Vec::new();
    for line in charts.iter().flat_map(|chart| &chart.lines) {
        if !colors.contains(&line.color) {
            colors.push(line.color);
        }
    }
    let rule = |color: &Color, shown: Color| format!(".c{}{{color:#{}}}", color.hex(), shown.hex());
    let light: String = colors.iter().map(|color| rule(color, *color)).collect();
    let dark: String = colors.iter().map(|color| rule(color, color.on_dark())).collect();
    format!(
        "text{{font-family:{FONT};font-size:12px}}.heading{{font-size:18px;font-weight:600}}\
         .title{{font-size:13px;font-weight:600}}.frame,.line{{fill:none}}{LIGHT}{light}\
         {IF_DARK}{{{DARK}{dark}}}"
    )
}

/// The picture in words: what is along the axes, and where each line begins, ends and is lowest.
fn described(subheading: &str, charts: &[Chart]) -> String {
    let mut parts = vec![subheading.to_owned()];
    for chart in charts {
        let Chart { title, x, y, lines } = chart;
        let lines: Vec<String> = lines.iter().map(in_words).collect();
        let title = if title.is_empty() { String::new() } else { format!("{title}: ") };
        let scale = if y.scale == super::Scale::Log { ", logarithmic," } else { "" };
        parts.push(format!("{title}{}{scale} over {}. {}.", y.label, x.label, lines.join("; ")));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn in_words(line: &Line) -> String {
    let mut points = line.points.iter().filter(|point| !point.1.is_nan());
    let at = |&(x, y): &(f64, f64)| format!("{} at {}", number(y), number(x));
    let lowest = points.clone().min_by(|a, b| a.1.total_cmp(&b.1));
    match (points.next(), lowest) {
        (Some(first), Some(lowest)) => {
            let last = points.next_back().unwrap_or(first);
            format!("{}: from {} to {}, lowest {}", line.name, at(first), at(last), at(lowest))
        }
        _ => format!("{}: nothing", line.name),
    }
}

/// The first line of every name.
fn names(charts: &[Chart]) -> Vec<&Line> {
    let mut names: Vec<&Line> = Vec::new();
    for line in charts.iter().flat_map(|chart| &chart.lines) {
        if !names.iter().any(|known| known.name == line.name) {
            names.push(line);
        }
    }
    names
}

/// Draws a chart whose upper left corner is at `corner`.
fn panel(out: &mut String, chart: &Chart, names: &[&Line], corner: (f64, f64), layout: &Layout) {
    let (width, height) = (layout.panel.0 - LEFT - RIGHT, layout.panel.1 - TOP - BOTTOM);
    let at = |(x, y): (f64, f64)| (corner.0 + LEFT + x * width, corner.1 + TOP + (1.0 - y) * height);
    let ((left, top), (right, bottom)) = (at((0.0, 1.0)), at((1.0, 0.0)));
    let (x_ruler, y_ruler) = chart.rulers();
    text(out, (left, top - 12.0), "title", "start", &chart.title);
    for (place, label) in y_ruler.ticks(6) {
        let (_, y) = at((0.0, place));
        grid(out, (left, y), (right, y));
        text(out, (left - 8.0, y + 4.0), "", "end", &label);
    }
    for (place, label) in x_ruler.ticks(6) {
        let (x, _) = at((place, 0.0));
        grid(out, (x, bottom), (x, top));
        text(out, (x, bottom + 18.0), "", "middle", &label);
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "<path class=\"frame\" d=\"M{left:.1} {top:.1}V{bottom:.1}H{right:.1}\"/>");
    text(out, ((left + right) / 2.0, bottom + 36.0), "", "middle", &chart.x.label);
    upright(out, (corner.0 + 18.0, (top + bottom) / 2.0), &chart.y);
    for line in chart.lines.iter().rev() {
        band(out, line, chart.outline(line).into_iter().map(at));
    }
    for line in chart.lines.iter().rev() {
        let number = names.iter().position(|known| known.name == line.name).unwrap_or(0);
        for piece in chart.pieces(line) {
            let spots: Vec<Spot> = piece.iter().map(|spot| placed(*spot, at)).collect();
            polyline(out, line, number, &spots);
        }
    }
}

fn placed(spot: Spot, at: impl Fn((f64, f64)) -> (f64, f64)) -> Spot {
    let (x, y) = at((spot.x, spot.y));
    Spot { x, y, ..spot }
}

fn band(out: &mut String, line: &Line, outline: impl Iterator<Item = (f64, f64)>) {
    let spots: Vec<Spot> = outline.map(|(x, y)| Spot { x, y, diverged: false }).collect();
    if spots.len() > 2 {
        let (color, path) = (line.color.hex(), path(&spots));
        let _ = writeln!(
            out,
            "<polygon class=\"c{color}\" fill=\"currentColor\" fill-opacity=\"0.16\" points=\"{path}\"/>"
        );
    }
}

/// Draws a piece of the line that has this number in the legend.
fn polyline(out: &mut String, line: &Line, number: usize, spots: &[Spot]) {
    let (color, path) = (line.color.hex(), path(spots));
    let dash = match DASHES[number % DASHES.len()] {
        "" => String::new(),
        dash => format!(" stroke-dasharray=\"{dash}\""),
    };
    let _ = writeln!(
        out,
        "<polyline class=\"line c{color}\" stroke=\"currentColor\" stroke-width=\"2\" stroke-linejoin=\"round\"{dash} points=\"{path}\"/>"
    );
    for (i, spot) in spots.iter().enumerate() {
        let Spot { x, y, diverged } = *spot;
        // Of a line without marks, only the place where it diverges is marked.
        let begins = i == 0 || !spots[i - 1].diverged;
        if diverged && (line.marked || begins) {
            cross(out, (x, y), line.color);
        } else if !diverged && (line.marked || spots.len() == 1) {
            mark(out, (x, y), line.color, number);
        }
    }
}

fn mark(out: &mut String, (x, y): (f64, f64), color: Color, number: usize) {
    let (color, outline) = (color.hex(), MARKS[number % MARKS.len()]);
    let _ = writeln!(out, "<path class=\"c{color}\" fill=\"currentColor\" d=\"M{x:.1} {y:.1}{outline}\"/>");
}

/// Corners of a line, without those that lie less than a pixel from the one before.
fn path(spots: &[Spot]) -> String {
    let mut kept: Vec<&Spot> = Vec::new();
    for (i, spot) in spots.iter().enumerate() {
        let far = |last: &&Spot| (spot.x - last.x).abs().max((spot.y - last.y).abs()) >= 1.0;
        if kept.last().is_none_or(far) || i + 1 == spots.len() {
            kept.push(spot);
        }
    }
    kept.iter().map(|Spot { x, y, .. }| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

fn cross(out: &mut String, (x, y): (f64, f64), color: Color) {
    let color = color.hex();
    let _ = writeln!(
        out,
        "<path class=\"c{color}\" stroke=\"currentColor\" stroke-width=\"2.5\" d=\"M{x:.1} {y:.1}m-5 -5l10 10m0 -10l-10 10\"/>"
    );
}

/// Draws the legend, which is as high as this returns: the names in order, and what bands and crosses are.
fn legend(out: &mut String, charts: &[Chart], names: &[&Line], width: f64, top: f64) -> f64 {
    let lines = || charts.iter().flat_map(|chart| &chart.lines);
    let has_bands = lines().any(|line| line.band.len() > 1 && line.band.iter().any(|(_, [low, high])| low < high));
    let has_crosses = lines().any(|line| line.points.iter().any(|point| point.1 == f64::INFINITY));
    let notes = [has_bands.then_some("band: lowest to highest seed"), has_crosses.then_some("×  a seed diverged")];
    let texts = names.iter().map(|line| line.name.as_str()).chain(notes.into_iter().flatten());
    let longest = texts.clone().map(|text| text.chars().count()).max().unwrap_or(0);
    let column = LEGEND_STROKE + CHARACTER * longest as f64;
    let per_row = ((width - LEFT) / column).floor().max(1.0) as usize;
    for (i, content) in texts.clone().enumerate() {
        let (x, y) = (LEFT + column * (i % per_row) as f64, top + LEGEND_ROW * (1 + i / per_row) as f64);
        let Some(line) = names.get(i) else {
            text(out, (x, y), "", "start", content);
            continue;
        };
        let ends = [x, x + 44.0].map(|x| Spot { x, y: y - 4.0, diverged: false });
        polyline(out, &Line { marked: false, ..(*line).clone() }, i, &ends);
        if line.marked {
            mark(out, (x + 22.0, y - 4.0), line.color, i);
        }
        text(out, (x + 52.0, y), "", "start", content);
    }
    LEGEND_ROW * texts.count().div_ceil(per_row) as f64
}

fn grid(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(out, "<path class=\"grid\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>", from.0, from.1, to.0, to.1);
}

fn text(out: &mut String, (x, y): (f64, f64), class: &str, anchor: &str, content: &str) {
    let (class, content) =
        (if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") }, escape(content));
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\"{class} text-anchor=\"{anchor}\">{content}</text>");
}

/// The name of a vertical axis, along it.
fn upright(out: &mut String, (x, y): (f64, f64), axis: &Axis) {
    let label = escape(&axis.label);
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 {x:.1} {y:.1})\">{label}</text>"
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(lines: Vec<Line>) -> Chart {
        Chart { title: "a < b".into(), x: Axis::linear("step"), y: Axis::log("training loss"), lines }
    }

    fn up(name: &str) -> Line {
        Line::new(name, Color::RED, vec![(1.0, 1.0), (2.0, 4.0)])
    }

    #[test]
    fn names_with_markup_do_not_break_the_picture() {
        let picture = svg("h", "", &[chart(vec![up("<b> & co")])]);
        assert!(picture.contains("&lt;b&gt; &amp; co") && !picture.contains("<b>"));
        assert!(picture.ends_with("</svg>\n") && picture.contains("#d1495b"));
    }

    #[test]
    fn both_axes_are_named_and_the_picture_says_what_it_shows() {
        let picture = svg("heading", "subheading", &[chart(vec![up("red")])]);
        for name in [">step<", "rotate(-90", ">training loss<"] {
            assert!(picture.contains(name), "{name}: {picture}");
        }
        assert!(picture.contains("<title id=\"title\">heading</title>"), "{picture}");
        let says = "<desc id=\"desc\">subheading\na &lt; b: training loss, logarithmic, over step. \
                    red: from 1 at 1 to 4 at 2, lowest 1 at 1.</desc>";
        assert!(picture.contains(says), "{picture}");
    }

    #[test]
    fn the_dark_variant_has_lighter_lines_on_dark_paper() {
        let picture = svg("", "", &[chart(vec![up("red")])]);
        let (light, dark) = picture.split_once("@media(prefers-color-scheme:dark)").unwrap();
        assert!(light.contains(".cd1495b{color:#d1495b}") && light.contains(".paper{fill:#fff}"));
        assert!(dark.contains(".cd1495b{color:#e08591}") && dark.contains(".paper{fill:#0d1117}"), "{dark}");
    }

    #[test]
    fn a_line_with_a_gap_is_drawn_in_two_pieces() {
        let points = vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 2.0)];
        // Two pieces, and one stroke in the legend.
        let picture = svg("", "", &[chart(vec![Line::new("broken", Color::BLUE, points)])]);
        assert_eq!(picture.matches("<polyline").count(), 3);
    }

    #[test]
    fn seeds_make_a_band_and_a_diverged_one_a_cross() {
        let calm = Line::over_seeds("calm", Color::BLUE, [(0.0, 1.0, vec![0.5, 2.0]), (1.0, 1.0, vec![0.9, 1.1])]);
        let picture = svg("", "", &[chart(vec![calm.clone()])]);
        assert_eq!(picture.matches("<polygon").count(), 1);
        assert!(picture.contains("lowest to highest seed") && !picture.contains("diverged"));
        let wild = Line::over_seeds("wild", Color::RED, [(0.0, 1.0, vec![1.0]), (1.0, 9.0, vec![f64::NAN])]);
        let picture = svg("", "", &[chart(vec![calm, wild])]);
        assert_eq!(picture.matches("l10 10m0 -10l-10 10").count(), 1);
        assert!(picture.contains("a seed diverged") && picture.contains("to diverged at 1"), "{picture}");
    }

    #[test]
    fn the_first_line_is_the_first_in_the_legend_and_drawn_last() {
        let picture = svg("", "", &[chart(vec![up("first"), Line { color: Color::BLUE, ..up("second") }])]);
        let strokes: Vec<&str> = picture.lines().filter(|line| line.starts_with("<polyline")).collect();
        let colors = strokes.iter().map(|stroke| if stroke.contains("cd1495b") { "red" } else { "blue" });
        assert_eq!(colors.collect::<Vec<_>>(), ["blue", "red", "red", "blue"]);
        assert!(picture.find(">first<") < picture.find(">second<"));
    }

    #[test]
    fn a_name_has_its_own_dashes_and_marks_in_all_charts_and_in_the_legend() {
        let of = |names: &[&str]| chart(names.iter().map(|name| up(name).marked()).collect());
        let picture = svg("", "", &[of(&["first", "second"]), of(&["second", "third"])]);
        // Two charts have it, and the legend; a line of each is of two points.
        for (number, (strokes, marks)) in [(2, 3), (3, 5), (2, 3)].into_iter().enumerate() {
            assert_eq!(picture.matches(MARKS[number]).count(), marks, "{number}: {picture}");
            let dashes = |line: &&str| match DASHES[number] {
                "" => !line.contains("dasharray"),
                dash => line.contains(&format!("dasharray=\"{dash}\"")),
            };
            assert_eq!(picture.lines().filter(|line| line.starts_with("<polyline")).filter(dashes).count(), strokes);
        }
    }

    #[test]
    fn rows_of_charts_share_one_legend_of_all_names() {
        let of = |names: &[&str]| chart(names.iter().map(|name| up(name)).collect());
        let charts = [of(&["first", "second"]), of(&["second"]), of(&["second", "third"])];
        let picture = svg_in_rows("", "", &charts, 2);
        for name in ["first", "second", "third"] {
            assert_eq!(picture.matches(&format!(">{name}<")).count(), 1, "{name}");
        }
        // Two rows of panels under the heading, one row of the legend.
        assert!(picture.contains("viewBox=\"0 0 880 702\""), "{picture}");
        assert_eq!(svg("", "", &charts), svg_in_rows("", "", &charts, 3));
    }

    #[test]
    fn a_subheading_that_is_wider_than_the_picture_goes_on_below() {
        let words = "word ".repeat(30);
        let picture = svg("", words.trim(), &[chart(vec![up("red")])]);
        // 77 characters of 6.6 find room: 15 words a line, and another line is 16 higher.
        assert!(picture.contains("viewBox=\"0 0 600 478\""), "{picture}");
        let below = format!(">{}</text>", "word ".repeat(15).trim());
        assert_eq!(picture.matches(&below).count(), 2, "{picture}");
    }

    #[test]
    fn a_picture_without_charts_is_a_picture() {
        assert!(svg("nothing", "", &[]).contains("nothing"));
    }
}
