//! A chart in the terminal, drawn with Braille characters, each of 2 × 4 dots.

use super::chart::{Chart, Color, Line};
use std::fmt::Write;

/// Draws `chart`: `width` × `height` characters for the lines, and around them a frame, tick labels and a legend.
///
/// If `colored`, it uses ANSI escapes for 24-bit color.
pub fn plot(chart: &Chart, width: usize, height: usize, colored: bool) -> String {
    let (width, height) = (width.max(20), height.max(4));
    let mut canvas = Canvas::new(width, height);
    for line in &chart.lines {
        for piece in chart.pieces(line) {
            canvas.draw(&piece, line.color);
        }
    }
    let (x_ruler, y_ruler) = chart.rulers();
    let y_ticks = y_ruler.ticks(height / 3);
    let margin = y_ticks.iter().map(|tick| tick.1.len()).max().unwrap_or(0);
    let mut out = format!("{:margin$}  {}\n", "", chart.y.label);
    for row in 0..height {
        let at = |place: f64| ((1.0 - place) * (height - 1) as f64).round() as usize;
        let label = y_ticks.iter().find(|tick| at(tick.0) == row).map(|tick| tick.1.as_str());
        let edge = if label.is_some() { '┤' } else { '│' };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:>margin$} {edge}{}", label.unwrap_or(""), canvas.row(row, colored));
    }
    let _ = writeln!(out, "{:margin$} └{}", "", "─".repeat(width));
    let _ = writeln!(out, "{:margin$}  {}", "", below(&x_ruler.ticks(6), width, &chart.x.label));
    let stroke = |line: &Line| line.color.paint(if line.dashed { "╍╍" } else { "━━" }, colored);
    let names = chart.lines.iter().map(|line| format!("{} {}", stroke(line), line.name));
    let _ = writeln!(out, "{:margin$}  {}", "", names.collect::<Vec<_>>().join("   "));
    out
}

/// Labels of the horizontal axis, each centered under its tick, followed by the name of the axis.
fn below(ticks: &[(f64, String)], width: usize, name: &str) -> String {
    let mut line = String::new();
    for (place, label) in ticks {
        let center = (place * (width - 1) as f64).round() as usize;
        let start = center.saturating_sub(label.len() / 2);
        if line.is_empty() || start > line.len() {
            let _ = write!(line, "{:1$}{label}", "", start - line.len());
        }
    }
    format!("{line}  {name}")
}

struct Canvas {
    width: usize,
    height: usize,
    cells: Vec<(u8, Color)>,
}

impl Canvas {
    /// Bit of each dot of a Braille character, by row and column (Unicode block U+2800).
    const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

    fn new(width: usize, height: usize) -> Self {
        Self { width, height, cells: vec![(0, Color::GRAY); width * height] }
    }

    fn draw(&mut self, points: &[(f64, f64)], color: Color) {
        let (right, bottom) = ((self.width * 2 - 1) as f64, (self.height * 4 - 1) as f64);
        let place = |&(x, y): &(f64, f64)| (x * right, (1.0 - y) * bottom);
        let mut previous = points.first().map(place);
        for (x, y) in points.iter().map(place) {
            let (x0, y0) = previous.unwrap_or((x, y));
            let n = (x - x0).abs().max((y - y0).abs()).ceil().max(1.0);
            for i in 0..=n as usize {
                let way = i as f64 / n;
                self.dot((x0 + way * (x - x0)).round() as usize, (y0 + way * (y - y0)).round() as usize, color);
            }
            previous = Some((x, y));
        }
    }

    fn dot(&mut self, x: usize, y: usize, color: Color) {
        if let Some((bits, cell_color)) = self.cells.get_mut(y / 4 * self.width + x / 2) {
            *bits |= Self::BITS[y % 4][x % 2];
            *cell_color = color;
        }
    }

    fn row(&self, row: usize, colored: bool) -> String {
        let cells = &self.cells[row * self.width..(row + 1) * self.width];
        let mut out = String::new();
        for run in cells.chunk_by(|a, b| a.1 == b.1 && (a.0 == 0) == (b.0 == 0)) {
            let text: String = run.iter().map(|cell| braille(cell.0)).collect();
            out += &if run[0].0 == 0 { text } else { run[0].1.paint(&text, colored) };
        }
        out.trim_end().to_owned()
    }
}

fn braille(bits: u8) -> char {
    if bits == 0 { ' ' } else { char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' ') }
}

#[cfg(test)]
mod tests {
    use super::super::Axis;
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        let line = Line::new("up", Color::BLUE, points);
        Chart { title: String::new(), x: Axis::linear("step"), y: Axis::linear("loss"), lines: vec![line] }
    }

    #[test]
    fn a_diagonal_runs_from_corner_to_corner() {
        let text = plot(&chart(vec![(0.0, 0.0), (10.0, 10.0)]), 20, 5, false);
        let rows: Vec<&str> = text.lines().collect();
        assert!(rows[1].starts_with("10 ┤") && "⠁⠉⠊".contains(rows[1].chars().last().unwrap()), "{text}");
        assert!(rows[5].starts_with(" 0 ┤⣀") || rows[5].starts_with(" 0 ┤⡠"), "{text}");
        assert!(text.ends_with("━━ up\n") && !text.contains('\x1b'));
    }

    #[test]
    fn colors_are_used_only_where_they_are_wanted() {
        assert!(plot(&chart(vec![(0.0, 0.0), (1.0, 1.0)]), 20, 5, true).contains("\x1b[38;2;31;111;235m"));
    }

    #[test]
    fn an_empty_chart_and_a_tiny_canvas_are_drawn_too() {
        assert!(plot(&chart(vec![]), 0, 0, false).contains("loss"));
        assert!(plot(&chart(vec![(1.0, f64::INFINITY)]), 1, 1, false).contains("step"));
    }
}
