//! A chart, whichever way it is drawn.

use super::palette::Color;
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
    /// Lines, in the order of the legend. The first one is drawn last, on top.
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
    /// Whether every point is marked, if that can be drawn.
    pub marked: bool,
    /// Points, in drawing order. NaN makes a gap; a point at infinity has diverged, and is marked as such at the upper
    /// end.
    pub points: Vec<(f64, f64)>,
    /// Band behind the line, if that can be drawn: its lower and upper end at places along the horizontal axis.
    pub band: Vec<(f64, [f64; 2])>,
}

/// A point of a line in relative coordinates: 0 at the lower end of each axis, 1 at the upper one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spot {
    pub x: f64,
    pub y: f64,
    pub diverged: bool,
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
    /// A line without marks and without a band.
    pub fn new(name: &str, color: Color, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), color, marked: false, points, band: Vec::new() }
    }

    /// A line over several seeds: at each place the value that stands for all of them, and those of the single seeds,
    /// over which the band goes. Where a seed diverged, so has the point.
    ///
    /// ```
    /// use qgd::report::{Color, Line};
    /// let line = Line::over_seeds("loss", Color::BLUE, [(0.1, 2.0, vec![1.0, 4.0]), (1.0, 30.0, vec![0.9, f64::NAN])]);
    /// assert_eq!(line.points, [(0.1, 2.0), (1.0, f64::INFINITY)]);
    /// assert_eq!(line.band[0], (0.1, [1.0, 4.0]));
    /// ```
    pub fn over_seeds(name: &str, color: Color, places: impl IntoIterator<Item = (f64, f64, Vec<f64>)>) -> Self {
        let mut line = Self::new(name, color, Vec::new());
        for (x, value, seeds) in places {
            let sound = |value: f64| if value.is_finite() { value } else { f64::INFINITY };
            let low = seeds.iter().copied().map(sound).fold(f64::INFINITY, f64::min);
            let high = seeds.iter().copied().map(sound).fold(f64::NEG_INFINITY, f64::max);
            line.points.push((x, if high.is_finite() { value } else { f64::INFINITY }));
            line.band.push((x, [low, high]));
        }
        line
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
    /// Where all numbers on a linear axis are whole: numbers of steps, of workers.
    is_whole: bool,
}

impl Chart {
    /// Rulers of the horizontal and the vertical axis.
    pub(super) fn rulers(&self) -> (Ruler<'_>, Ruler<'_>) {
        let ends = |line: &Line| line.band.clone().into_iter().flat_map(|(x, ends)| ends.map(|y| (x, y)));
        let points: Vec<(f64, f64)> =
            self.lines.iter().flat_map(|line| line.points.iter().copied().chain(ends(line))).collect();
        let along = points.iter().filter(|(x, y)| self.x.shows(*x) && (*y == f64::INFINITY || self.y.shows(*y)));
        let (xs, ys) = (along.clone().map(|point| point.0), along.map(|point| point.1));
        (Ruler::new(&self.x, xs), Ruler::new(&self.y, ys.filter(|y| self.y.shows(*y))))
    }

    /// A line in relative coordinates, cut into pieces at points that cannot be drawn.
    pub(super) fn pieces(&self, line: &Line) -> Vec<Vec<Spot>> {
        let (x_ruler, y_ruler) = self.rulers();
        let mut pieces = vec![Vec::new()];
        for &(x, y) in &line.points {
            let diverged = y == f64::INFINITY;
            match pieces.last_mut() {
                Some(piece) if self.x.shows(x) && (diverged || self.y.shows(y)) => {
                    piece.push(Spot { x: x_ruler.place(x), y: y_ruler.place(y), diverged });
                }
                _ => pieces.push(Vec::new()),
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// The outline of a line's band in relative coordinates: along its upper end, and back along the lower one.
    pub(super) fn outline(&self, line: &Line) -> Vec<(f64, f64)> {
        let (x_ruler, y_ruler) = self.rulers();
        let places = line.band.iter().filter(|(x, [low, _])| self.x.shows(*x) && self.y.shows(*low));
        let upper = places.clone().map(|(x, [_, high])| (x_ruler.place(*x), y_ruler.place(*high)));
        let lower = places.rev().map(|(x, [low, _])| (x_ruler.place(*x), y_ruler.place(*low)));
        upper.chain(lower).collect()
    }
}

impl<'a> Ruler<'a> {
    fn new(axis: &'a Axis, values: impl Iterator<Item = f64> + Clone) -> Self {
        let is_whole = axis.scale == Scale::Linear && values.clone().all(|value| value.fract() == 0.0);
        let ends = axis.bounds.map(|[low, high]| (axis.position(low), axis.position(high)));
        let fold = |(low, high): (f64, f64), value| (low.min(value), high.max(value));
        let fitted = values.map(|value| axis.position(value)).fold((f64::INFINITY, f64::NEG_INFINITY), fold);
        let (low, high) = ends.unwrap_or(fitted);
        if !(low.is_finite() && high.is_finite()) {
            return Self { axis, low: 0.0, high: 1.0, is_whole: false };
        }
        // A single value needs some room around it.
        let room = if high > low { 0.0 } else { 0.5f64.max(low.abs() / 10.0) };
        Self { axis, low: low - room, high: high + room, is_whole: is_whole && high - low >= 2.0 }
    }

    /// Place of a number, in [0, 1].
    pub(super) fn place(&self, value: f64) -> f64 {
        ((self.axis.position(value) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Round numbers along the axis, at least three and about `n` at most: the place and the label of each.
    pub(super) fn ticks(&self, n: usize) -> Vec<(f64, String)> {
        let values = match self.axis.scale {
            Scale::Linear => self.even(self.low, self.high, n),
            Scale::Log => self.decades(n).unwrap_or_else(|| self.even(10f64.powf(self.low), 10f64.powf(self.high), n)),
        };
        let labels = labels(&values);
        values.into_iter().map(|value| self.place(value)).zip(labels).collect()
    }

    /// Powers of ten, if need be with 3, or with 2 and 5 between them; `None` where even these are fewer than three.
    fn decades(&self, n: usize) -> Option<Vec<f64>> {
        let with = |every: f64, between: &[f64]| -> Vec<f64> {
            let powers = multiples(self.low.floor(), self.high, every).into_iter().map(|exponent| 10f64.powf(exponent));
            let values = powers.flat_map(|power| between.iter().map(move |factor| factor * power));
            values.filter(|value| (self.low - 1e-9..=self.high + 1e-9).contains(&value.log10())).collect()
        };
        let sparsest = ((self.high - self.low) / n.max(1) as f64).ceil().max(1.0) as u32;
        let powers = (1..=sparsest).rev().map(|every| with(f64::from(every), &[1.0]));
        let between = [&[1.0, 3.0][..], &[1.0, 2.0, 5.0]].into_iter().map(|factors| with(1.0, factors));
        powers.chain(between).find(|values| values.len() >= 3)
    }

    /// Multiples of a round number, which is whole where the numbers are.
    fn even(&self, low: f64, high: f64, n: usize) -> Vec<f64> {
        let finest = if self.is_whole { 1.0 } else { 0.0 };
        let finer = (n.max(2)..).map(|n| multiples(low, high, round_step((high - low) / n as f64).max(finest)));
        finer.take(8).find(|values| values.len() >= 3).unwrap_or_default()
    }
}

/// Labels of ticks, with as many digits as they need to differ.
fn labels(values: &[f64]) -> Vec<String> {
    let short: Vec<String> = values.iter().copied().map(number).collect();
    if short.windows(2).all(|pair| pair[0] != pair[1]) {
        return short;
    }
    let step = values.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    let decimals = (-step.log10()).ceil().clamp(0.0, 300.0) as usize;
    values.iter().map(|value| format!("{value:.decimals$}")).collect()
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
        assert_eq!(labels(&Axis::linear(""), &[1.0, 2.0, 4.0]), ["1", "2", "3", "4"]);
        assert_eq!(labels(&Axis::log(""), &[1e-5, 1.0]), ["1e-5", "0.0001", "0.001", "0.01", "0.1", "1"]);
        assert_eq!(labels(&Axis::log(""), &[2.0, 8.0]), ["2", "4", "6", "8"]);
        assert_eq!(labels(&Axis::log(""), &[0.03, 0.5]), ["0.03", "0.1", "0.3"]);
        assert_eq!(labels(&Axis::log(""), &[0.09, 0.6]), ["0.1", "0.2", "0.5"]);
        assert_eq!(
            labels(&Axis::linear(""), &[1000.0, 1000.2]),
            ["1000.00", "1000.05", "1000.10", "1000.15", "1000.20"]
        );
    }

    #[test]
    fn every_axis_has_at_least_three_ticks() {
        for n in 1..8 {
            for low in [1e-9, 0.004, 0.95, 1.0, 3.0, 7e5] {
                for ratio in [1.0, 1.001, 1.1, 1.7, 2.6, 4.0, 9.0, 31.0, 250.0, 1e4, 1e9, 1e40] {
                    for axis in [Axis::linear(""), Axis::log("")] {
                        let labels = Ruler::new(&axis, [low, low * ratio].into_iter()).ticks(n);
                        assert!((3..=11).contains(&labels.len()), "{low} × {ratio}, {n}: {labels:?}");
                        assert!(labels.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
                    }
                }
            }
        }
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
        let spot = |x, y| Spot { x, y, diverged: false };
        assert_eq!(chart.pieces(&line), [vec![spot(0.0, 0.0)], vec![spot(1.0, 1.0)]]);
    }

    #[test]
    fn a_diverged_point_is_at_the_upper_end_and_does_not_move_it() {
        let seeds = [(0.0, 1.0, vec![0.5, 2.0]), (1.0, 50.0, vec![2.0, f64::NAN])];
        let line = Line::over_seeds("", Color::RED, seeds);
        let chart = Chart { title: String::new(), x: Axis::linear(""), y: Axis::log(""), lines: vec![line.clone()] };
        assert_eq!(
            chart.pieces(&line),
            [vec![Spot { x: 0.0, y: 0.5, diverged: false }, Spot { x: 1.0, y: 1.0, diverged: true }]]
        );
        // Clockwise: the upper ends at 2 and at the top, the lower ones at 2 and at 0.5.
        assert_eq!(chart.outline(&line), [(0.0, 1.0), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0)]);
    }
}
