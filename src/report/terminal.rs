//! A chart in the terminal, drawn with Braille characters, each of 2 × 4 dots.

use super::chart::{Chart, Line, Spot};
use super::palette::Color;
use std::fmt::Write;

/// Text of one color.
type Piece = (String, Option<Color>);

/// Draws `chart`: `width` × `height` characters for the lines, and around them a frame, tick labels and a legend.
///
/// If `colored`, it uses ANSI escapes for 24-bit color.
pub fn plot(chart: &Chart, width: usize, height: usize, colored: bool) -> String {
    let mut out = String::new();
    for row in plot_rows(chart, width, height) {
        for (text, color) in row {
            out += &color.map_or_else(|| text.clone(), |color| color.paint(&text, colored));
        }
        out.push('\n');
    }
    out
}

/// The rows of [`plot`], each in pieces of one color, for who draws them in another way. What has no color is in the color
/// of text.
///
/// ```
/// use qgd::report::{Axis, Chart, Color, Line, plot, plot_rows};
///
/// let loss = Line::new("loss", Color::BLUE, vec![(0.0, 2.0), (1.0, 0.5)]);
/// let chart = Chart { title: String::new(), x: Axis::linear("step"), y: Axis::linear("loss"), lines: vec![loss] };
/// let rows = plot_rows(&chart, 40, 6);
/// assert!(rows[1].iter().any(|(_, color)| *color == Some(Color::BLUE)));
/// let text = rows.iter().map(|row| row.iter().map(|(text, _)| text.as_str()).collect::<String>() + "\n");
/// assert_eq!(text.collect::<String>(), plot(&chart, 40, 6, false));
/// ```
pub fn plot_rows(chart: &Chart, width: usize, height: usize) -> Vec<Vec<(String, Option<Color>)>> {
    let (width, height) = (width.max(20), height.max(4));
    let mut canvas = Canvas::new(width, height);
    let mut diverged = false;
    for (number, line) in chart.lines.iter().enumerate().rev() {
        for piece in chart.pieces(line) {
            canvas.draw(&piece, line, number);
            diverged |= piece.iter().any(|spot| spot.diverged);
        }
    }
    let (x_ruler, y_ruler) = chart.rulers();
    let y_ticks = y_ruler.ticks(height / 3);
    let margin = y_ticks.iter().map(|tick| tick.1.len()).max().unwrap_or(0);
    let text = |text: String| (text, None);
    let mut out = vec![vec![text(format!("{:margin$}  {}", "", chart.y.label))]];
    for row in 0..height {
        let at = |place: f64| ((1.0 - place) * (height - 1) as f64).round() as usize;
        let label = y_ticks.iter().find(|tick| at(tick.0) == row).map(|tick| tick.1.as_str());
        let edge = if label.is_some() { '┤' } else { '│' };
        let frame = text(format!("{:>margin$} {edge}", label.unwrap_or("")));
        out.push([frame].into_iter().chain(canvas.row(row)).collect());
    }
    out.push(vec![text(format!("{:margin$} └{}", "", "─".repeat(width)))]);
    out.push(vec![text(format!("{:margin$}  {}", "", below(&x_ruler.ticks(6), width, &chart.x.label)))]);
    let names = chart.lines.iter().enumerate().map(|(number, line)| {
        let stroke = stroke(number, &chart.pieces(line));
        let n_chars = (stroke.chars().count(), line.name.chars().count());
        let name = vec![(stroke, Some(line.color)), text(format!(" {}", line.name))];
        (name, n_chars.0 + 1 + n_chars.1)
    });
    let names = names.chain(diverged.then(|| (vec![text("× diverged".to_owned())], 10)));
    let indented = |row: Vec<_>| [text(format!("{:margin$}  ", ""))].into_iter().chain(row).collect();
    out.extend(rows(names, width).into_iter().map(indented));
    out
}

/// The line of this number in the legend.
fn stroke(number: usize, pieces: &[Vec<Spot>]) -> String {
    let is_dotted = !pieces.is_empty() && pieces.iter().all(|piece| piece.len() == 1);
    if is_dotted { dot(number).to_string() } else { "━━".to_owned() }
}

/// A point by itself, of the line of this number.
fn dot(number: usize) -> char {
    ['•', '◦', '▪', '▫'][number % 4]
}

/// Names in as many rows as they need; each comes with its width.
fn rows(names: impl Iterator<Item = (Vec<Piece>, usize)>, width: usize) -> Vec<Vec<Piece>> {
    let (mut rows, mut used): (Vec<Vec<Piece>>, usize) = (Vec::new(), 0);
    for (name, n_chars) in names {
        match rows.last_mut() {
            Some(row) if used + 3 + n_chars <= width => {
                row.push(("   ".to_owned(), None));
                row.extend(name);
                used += 3 + n_chars;
            }
            _ => {
                rows.push(name);
                used = n_chars;
            }
        }
    }
    rows
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
    cells: Vec<Cell>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    dots: u8,
    color: Color,
    /// What stands here in place of the dots: a point by itself, or a cross where a line diverged.
    mark: Option<char>,
}

impl Canvas {
    /// Bit of each dot of a Braille character, by row and column (Unicode block U+2800).
    const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

    fn new(width: usize, height: usize) -> Self {
        let empty = Cell { dots: 0, color: Color::GRAY, mark: None };
        Self { width, height, cells: vec![empty; width * height] }
    }

    fn draw(&mut self, spots: &[Spot], line: &Line, number: usize) {
        let (right, bottom) = ((self.width * 2 - 1) as f64, (self.height * 4 - 1) as f64);
        let place = |spot: &Spot| (spot.x * right, (1.0 - spot.y) * bottom);
        let mut previous = spots.first().map(place);
        for spot in spots {
            let (x, y) = place(spot);
            let (x0, y0) = previous.unwrap_or((x, y));
            let n = (x - x0).abs().max((y - y0).abs()).ceil().max(1.0);
            for i in 0..=n as usize {
                let way = i as f64 / n;
                self.dot((x0 + way * (x - x0)).round() as usize, (y0 + way * (y - y0)).round() as usize, line.color);
            }
            previous = Some((x, y));
            let (column, row) = (x.round() as usize / 2, y.round() as usize / 4);
            if let Some(cell) = self.cells.get_mut(row * self.width + column).filter(|cell| cell.mark != Some('×')) {
                let alone = (spots.len() == 1).then(|| dot(number));
                cell.mark = if spot.diverged { Some('×') } else { alone.or(cell.mark) };
            }
        }
    }

    fn dot(&mut self, x: usize, y: usize, color: Color) {
        if let Some(cell) = self.cells.get_mut(y / 4 * self.width + x / 2) {
            cell.dots |= Self::BITS[y % 4][x % 2];
            cell.color = color;
        }
    }

    /// A row in pieces, without what is empty at its end.
    fn row(&self, row: usize) -> Vec<Piece> {
        let cells = &self.cells[row * self.width..(row + 1) * self.width];
        let mut pieces: Vec<Piece> = Vec::new();
        for run in cells.chunk_by(|a, b| a.color == b.color && (a.dots == 0) == (b.dots == 0)) {
            let text: String = run.iter().map(|cell| cell.character()).collect();
            pieces.push((text, (run[0].dots != 0).then_some(run[0].color)));
        }
        while pieces.last().is_some_and(|(text, _)| text.trim().is_empty()) {
            pieces.pop();
        }
        pieces
    }
}

impl Cell {
    fn character(self) -> char {
        match self {
            Self { mark: Some(mark), .. } => mark,
            Self { dots: 0, .. } => ' ',
            Self { dots, .. } => char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' '),
        }
    }
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

    #[test]
    fn a_diverged_point_is_a_cross_at_the_upper_end_which_the_legend_explains() {
        let text = plot(&chart(vec![(0.0, 0.0), (1.0, 1.0), (2.0, f64::INFINITY)]), 20, 5, false);
        assert!(text.lines().nth(1).unwrap().ends_with('×') && text.ends_with("× diverged\n"), "{text}");
        assert!(!plot(&chart(vec![(0.0, 0.0), (1.0, 1.0)]), 20, 5, false).contains('×'));
    }

    #[test]
    fn a_point_by_itself_is_a_dot_here_and_in_the_legend() {
        let mut dots = chart(vec![(0.0, 0.0), (1.0, f64::NAN), (2.0, 5.0), (3.0, f64::NAN), (4.0, 10.0)]);
        let text = plot(&dots, 20, 5, false);
        assert_eq!(text.matches('•').count(), 4, "{text}");
        assert!(text.ends_with("• up\n"), "{text}");
        dots.lines.push(Line { name: "others".into(), points: vec![(1.0, 5.0)], ..dots.lines[0].clone() });
        let text = plot(&dots, 20, 5, false);
        assert_eq!((text.matches('•').count(), text.matches('◦').count()), (4, 2), "{text}");
    }

    #[test]
    fn a_long_legend_goes_into_rows() {
        let mut many = chart(vec![(0.0, 0.0), (1.0, 1.0)]);
        many.lines = vec![Line { name: "a long name".into(), ..many.lines[0].clone() }; 5];
        let text = plot(&many, 40, 5, false);
        let legend: Vec<&str> = text.lines().filter(|line| line.contains("a long name")).collect();
        assert_eq!(legend.len(), 3, "{text}");
        assert!(legend.iter().all(|line| line.chars().count() <= 45), "{text}");
    }
}
