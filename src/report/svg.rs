//! Charts as SVG, side by side under one heading.

use super::chart::{Chart, Color, Line};
use std::fmt::Write;

const PANEL_WIDTH: f64 = 440.0;
const PANEL_HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
const HEADING: f64 = 62.0;
const LEGEND_ROW: f64 = 20.0;
const LEGEND_COLUMN: f64 = 162.0;
const STYLE: &str = "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:12px;fill:#57606a}\
.heading{font-size:18px;font-weight:600;fill:#1f2328}.title{font-size:13px;font-weight:600;fill:#1f2328}\
.grid{stroke:#eaeef2}.frame{stroke:#d0d7de;fill:none}";

/// Draws `charts` side by side, with one legend: lines of the same name mean the same in all charts.
pub fn svg(heading: &str, subheading: &str, charts: &[Chart]) -> String {
    svg_in_rows(heading, subheading, charts, charts.len())
}

/// Draws `charts` in rows of `per_row`, one row below the other, with one legend.
pub fn svg_in_rows(heading: &str, subheading: &str, charts: &[Chart], per_row: usize) -> String {
    let per_row = per_row.clamp(1, charts.len().max(1));
    let names = names(charts);
    let width = PANEL_WIDTH * per_row as f64;
    let bottom = HEADING + PANEL_HEIGHT * charts.len().div_ceil(per_row).max(1) as f64;
    let legends_per_row = ((width - LEFT) / LEGEND_COLUMN).floor().max(1.0) as usize;
    let height = bottom + LEGEND_ROW * (1 + names.len().div_ceil(legends_per_row)) as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <style>{STYLE}</style>\n<rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#fff\"/>\n"
    );
    text(&mut out, (LEFT, 28.0), "heading", "start", heading);
    text(&mut out, (LEFT, 48.0), "", "start", subheading);
    for (i, chart) in charts.iter().enumerate() {
        let corner = (PANEL_WIDTH * (i % per_row) as f64, HEADING + PANEL_HEIGHT * (i / per_row) as f64);
        panel(&mut out, chart, corner);
    }
    for (i, line) in names.into_iter().enumerate() {
        let place = (
            LEFT + LEGEND_COLUMN * (i % legends_per_row) as f64,
            bottom + LEGEND_ROW * (1 + i / legends_per_row) as f64,
        );
        legend(&mut out, line, place);
    }
    out + "</svg>\n"
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
fn panel(out: &mut String, chart: &Chart, corner: (f64, f64)) {
    let (width, height) = (PANEL_WIDTH - LEFT - RIGHT, PANEL_HEIGHT - TOP - BOTTOM);
    let x_at = |place: f64| corner.0 + LEFT + place * width;
    let y_at = |place: f64| corner.1 + TOP + (1.0 - place) * height;
    let (left, right, top, bottom) = (x_at(0.0), x_at(1.0), y_at(1.0), y_at(0.0));
    let (x_ruler, y_ruler) = chart.rulers();
    text(out, (left, top - 12.0), "title", "start", &chart.title);
    for (place, label) in y_ruler.ticks(6) {
        let y = y_at(place);
        grid(out, (left, y), (right, y));
        text(out, (left - 8.0, y + 4.0), "", "end", &label);
    }
    for (place, label) in x_ruler.ticks(6) {
        let x = x_at(place);
        grid(out, (x, bottom), (x, top));
        text(out, (x, bottom + 18.0), "", "middle", &label);
    }
    text(out, ((left + right) / 2.0, bottom + 36.0), "", "middle", &chart.x.label);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "<path class=\"frame\" d=\"M{left:.1} {top:.1}V{bottom:.1}H{right:.1}\"/>");
    for line in &chart.lines {
        for piece in chart.pieces(line) {
            let points: Vec<(f64, f64)> = piece.into_iter().map(|(x, y)| (x_at(x), y_at(y))).collect();
            polyline(out, line, &points);
        }
    }
}

fn polyline(out: &mut String, line: &Line, points: &[(f64, f64)]) {
    let color = hex(line.color);
    let path = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
    let dash = if line.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
    let _ = writeln!(
        out,
        "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" stroke-linejoin=\"round\"{dash} points=\"{path}\"/>"
    );
    if line.marked || points.len() == 1 {
        for (x, y) in points {
            let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{color}\"/>");
        }
    }
}

fn legend(out: &mut String, line: &Line, (x, y): (f64, f64)) {
    polyline(out, &Line { marked: false, ..line.clone() }, &[(x, y - 4.0), (x + 26.0, y - 4.0)]);
    text(out, (x + 34.0, y), "", "start", &line.name);
}

fn grid(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(out, "<path class=\"grid\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>", from.0, from.1, to.0, to.1);
}

fn text(out: &mut String, (x, y): (f64, f64), class: &str, anchor: &str, content: &str) {
    let content = escape(content);
    let _ =
        writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{content}</text>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn hex(Color(red, green, blue): Color) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::super::Axis;
    use super::*;

    #[test]
    fn names_with_markup_do_not_break_the_picture() {
        let line = Line::new("<b> & co", Color::RED, vec![(1.0, 1.0), (2.0, 4.0)]);
        let chart = Chart { title: "a < b".into(), x: Axis::linear("x"), y: Axis::log("y"), lines: vec![line] };
        let picture = svg("h", "", &[chart]);
        assert!(picture.contains("&lt;b&gt; &amp; co") && !picture.contains("<b>"));
        assert!(picture.ends_with("</svg>\n") && picture.contains("#d1495b"));
    }

    #[test]
    fn a_line_with_a_gap_is_drawn_in_two_pieces() {
        let points = vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 2.0)];
        let chart = Chart {
            title: String::new(),
            x: Axis::linear("x"),
            y: Axis::linear("y"),
            lines: vec![Line::new("broken", Color::BLUE, points)],
        };
        // Two pieces, and one stroke in the legend.
        assert_eq!(svg("", "", &[chart]).matches("<polyline").count(), 3);
    }

    #[test]
    fn rows_of_charts_share_one_legend_of_all_names() {
        let chart = |names: &[&str]| {
            let line = |name: &&str| Line::new(name, Color::BLUE, vec![(1.0, 1.0), (2.0, 4.0)]);
            let lines = names.iter().map(line).collect();
            Chart { title: String::new(), x: Axis::linear("x"), y: Axis::linear("y"), lines }
        };
        let charts = [chart(&["first", "second"]), chart(&["second"]), chart(&["second", "third"])];
        let picture = svg_in_rows("", "", &charts, 2);
        for name in ["first", "second", "third"] {
            assert_eq!(picture.matches(&format!(">{name}<")).count(), 1, "{name}");
        }
        // Two rows of panels under the heading, one row of the legend.
        assert!(picture.contains("viewBox=\"0 0 880 702\""), "{picture}");
        assert_eq!(svg("", "", &charts), svg_in_rows("", "", &charts, 3));
    }

    #[test]
    fn a_picture_without_charts_is_a_picture() {
        assert!(svg("nothing", "", &[]).contains("nothing"));
    }
}
