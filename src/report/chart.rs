//! A chart, whichever way it is drawn.

use super::table::number;

/// Lines over two axes.
///
/// ```
/// use qgd::report::{Axis, Chart, Color, Line, plot, svg};
///
/// let loss = Line::new("loss", Color::BLUE, vec![(0.0, 2.0), (1.0, 0.5), (2.0, 0.1)]);
/// let chart = Chart { title: "a run".into(), x: Axis::linear("step"), y: Axis::log("loss"), lines: vec![loss] };
/// assert!(svg("first steps", "", std::slice::from_ref(&chart)).starts_with("<svg"));
/// assert!(plot(&chart, 60, 10, false).contains("step"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Title above the chart.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Lines, drawn in this order: the last one is on top.
    pub lines: Vec<Line>,
}

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Label: what is measured, with its unit.
    pub label: String,
    /// Scale: how numbers become places.
    pub scale: Scale,
    /// Lower and upper end; `None` for those of the data. A point beyond an end is drawn at the end.
    pub bounds: Option<[f64; 2]>,
}

/// How numbers become places on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences have equal distances.
    Linear,
    /// Equal ratios have equal distances. Only positive numbers are shown.
    Log,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Name in the legend.
    pub name: String,
    /// Color.
    pub color: Color,
    /// Whether the line is dashed, if that can be drawn.
    pub dashed: bool,
    /// Whether every point is marked, if that can be drawn.
    pub marked: bool,
    /// Points, in drawing order. A point that is not finite makes a gap.
    pub points: Vec<(f64, f64)>,
}

/// A color: red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

impl Color {
    /// Blue, for what is to be looked at.
    pub const BLUE: Self = Self(31, 111, 235);
    /// Red, for what went wrong.
    pub const RED: Self = Self(209, 73, 91);
    /// A lighter blue.
    pub const LIGHT_BLUE: Self = Self(110, 168, 254);
    /// A lighter red.
    pub const LIGHT_RED: Self = Self(238, 140, 152);
    /// Gray, for what is there to compare with.
    pub const GRAY: Self = Self(128, 134, 142);
    /// Colors for many lines: blue and gray, then colors that colorblind people can tell apart (Okabe and Ito 2008).
    pub const MANY: [Self; 8] = [
        Self(31, 111, 235),
        Self(128, 134, 142),
        Self(213, 94, 0),
        Self(0, 158, 115),
        Self(204, 121, 167),
        Self(230, 159, 0),
        Self(86, 180, 233),
        Self(60, 60, 60),
    ];
}

impl Color {
    /// The text in this color, by ANSI escapes for 24-bit color; unchanged if `colored` is false.
    pub fn paint(self, text: &str, colored: bool) -> String {
        let Self(red, green, blue) = self;
        if colored { format!("\x1b[38;2;{red};{green};{blue}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Axis {
    /// A linear axis that fits the data.
    pub fn linear(label: &str) -> Self {
        Self { label: label.to_owned(), scale: Scale::Linear, bounds: None }
    }

    /// A logarithmic axis that fits the data.
    pub fn log(label: &str) -> Self {
        Self { label: label.to_owned(), scale: Scale::Log, bounds: None }
    }

    /// The same axis with fixed ends.
    pub fn with_bounds(mut self, bounds: [f64; 2]) -> Self {
        self.bounds = Some(bounds);
        self
    }

    fn shows(&self, value: f64) -> bool {
        value.is_finite() && (self.scale == Scale::Linear || value > 0.0)
    }

    fn position(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Log => value.log10(),
        }
    }
}

impl Line {
    /// A solid line.
    pub fn new(name: &str, color: Color, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), color, dashed: false, marked: false, points }
    }

    /// The same line, dashed.
    pub fn dashed(mut self) -> Self {
        self.dashed = true;
        self
    }

    /// The same line with a mark at every point.
    pub fn marked(mut self) -> Self {
        self.marked = true;
        self
    }
}

/// The places of the numbers on one axis: 0 at its lower end, 1 at its upper one.
pub(super) struct Ruler<'a> {
    axis: &'a Axis,
    low: f64,
    high: f64,
}

impl Chart {
    /// Rulers of the horizontal and the vertical axis.
    pub(super) fn rulers(&self) -> (Ruler<'_>, Ruler<'_>) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let visible = || points().filter(|(x, y)| self.x.shows(*x) && self.y.shows(*y));
        (Ruler::new(&self.x, visible().map(|point| point.0)), Ruler::new(&self.y, visible().map(|point| point.1)))
    }

    /// A line in relative coordinates, cut into pieces at points that cannot be drawn.
    pub(super) fn pieces(&self, line: &Line) -> Vec<Vec<(f64, f64)>> {
        let (x_ruler, y_ruler) = self.rulers();
        let mut pieces = vec![Vec::new()];
        for &(x, y) in &line.points {
            match pieces.last_mut() {
                Some(piece) if self.x.shows(x) && self.y.shows(y) => piece.push((x_ruler.place(x), y_ruler.place(y))),
                _ => pieces.push(Vec::new()),
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

impl<'a> Ruler<'a> {
    fn new(axis: &'a Axis, values: impl Iterator<Item = f64>) -> Self {
        let ends = axis.bounds.map(|[low, high]| (axis.position(low), axis.position(high)));
        let fold = |(low, high): (f64, f64), value| (low.min(value), high.max(value));
        let fitted = values.map(|value| axis.position(value)).fold((f64::INFINITY, f64::NEG_INFINITY), fold);
        let (low, high) = ends.unwrap_or(fitted);
        if !(low.is_finite() && high.is_finite()) {
            return Self { axis, low: 0.0, high: 1.0 };
        }
        // A single value needs some room around it.
        let room = if high > low { 0.0 } else { 0.5 };
        Self { axis, low: low - room, high: high + room }
    }

    /// Place of a number, in [0, 1].
    pub(super) fn place(&self, value: f64) -> f64 {
        ((self.axis.position(value) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Round numbers along the axis, about `n` at most: the place and the label of each.
    pub(super) fn ticks(&self, n: usize) -> Vec<(f64, String)> {
        let span = self.high - self.low;
        let values: Vec<f64> = match self.axis.scale {
            Scale::Log if span >= 1.0 => {
                let every = (span / n as f64).ceil().max(1.0);
                multiples(self.low, self.high, every).into_iter().map(|exponent| 10f64.powf(exponent)).collect()
            }
            Scale::Log => {
                let (low, high) = (10f64.powf(self.low), 10f64.powf(self.high));
                multiples(low, high, round_step((high - low) / n as f64))
            }
            Scale::Linear => multiples(self.low, self.high, round_step(span / n as f64)),
        };
        values.into_iter().map(|value| (self.place(value), number(value))).collect()
    }
}

/// The smallest of ..., 1, 2, 5, 10, 20, ... that is not below `step`.
fn round_step(step: f64) -> f64 {
    let decade = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * decade >= step).unwrap_or(10.0);
    factor * decade
}

fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    let slack = step * 1e-6;
    let first = ((low - slack) / step).ceil() as i64;
    let last = ((high + slack) / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, values: &[f64]) -> Vec<String> {
        Ruler::new(axis, values.iter().copied()).ticks(5).into_iter().map(|tick| tick.1).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&Axis::linear(""), &[0.0, 400.0]), ["0", "100", "200", "300", "400"]);
        assert_eq!(labels(&Axis::log(""), &[1e-5, 1.0]), ["1e-5", "0.0001", "0.001", "0.01", "0.1", "1"]);
        assert_eq!(labels(&Axis::log(""), &[2.0, 8.0]), ["2", "4", "6", "8"]);
    }

    #[test]
    fn a_chart_with_nothing_to_show_is_still_drawn() {
        for points in [vec![], vec![(1.0, f64::NAN)], vec![(1.0, -1.0)], vec![(2.0, 3.0)]] {
            let line = Line::new("", Color::RED, points);
            let chart = Chart { title: String::new(), x: Axis::linear(""), y: Axis::log(""), lines: vec![line] };
            let (x, y) = chart.rulers();
            assert!(x.ticks(5).iter().chain(&y.ticks(5)).all(|tick| (0.0..=1.0).contains(&tick.0)));
        }
    }

    #[test]
    fn a_value_that_cannot_be_drawn_makes_a_gap() {
        let line = Line::new("", Color::RED, vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 0.0), (3.0, 10.0)]);
        let chart = Chart { title: String::new(), x: Axis::linear(""), y: Axis::log(""), lines: vec![line.clone()] };
        assert_eq!(chart.pieces(&line), [vec![(0.0, 0.0)], vec![(1.0, 1.0)]]);
    }
}
