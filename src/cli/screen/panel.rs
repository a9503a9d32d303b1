//! The parts of a view: its head, charts side by side, and lists. Each fits the place that it is given, however small that
//! is.

use qgd::report::{Axis, Chart, Color, duration, plot_rows};
use qgd::words::plain;
use ratatui::prelude::{Buffer, Constraint, Layout, Line, Rect, Span, Style, Stylize, Widget};
use ratatui::style;

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Units that are done, those that were done before this process began, and all.
    pub done: u64,
    pub before: u64,
    pub total: u64,
    /// Seconds since this process began.
    pub elapsed_s: f64,
}

impl Pace {
    /// Seconds that are left if all units take as long as those so far.
    fn left_s(self) -> Option<f64> {
        let here = self.done.saturating_sub(self.before);
        (here > 0).then(|| self.elapsed_s / here as f64 * self.total.saturating_sub(self.done) as f64)
    }

    /// A bar of progress, how far the run is, and how long it will take.
    pub fn bar(self, unit: &str, width: u16, colored: bool) -> Line<'static> {
        let share = if self.total == 0 { 1.0 } else { (self.done as f64 / self.total as f64).min(1.0) };
        let left = self.left_s().map_or_else(String::new, |left| format!("   {} left", duration(left)));
        let words = format!("  {}/{} {unit}  {:.0} %{left}", self.done, self.total, (100.0 * share).floor());
        let n_cells = usize::from(width).saturating_sub(words.chars().count()).min(40);
        let n_full = (share * n_cells as f64) as usize;
        let full = in_color("━".repeat(n_full), Some(Color::BLUE), colored);
        Line::from(vec![full, Span::raw("─".repeat(n_cells - n_full)).dim(), Span::raw(words)])
    }
}

/// Text in a color, on a terminal that has colors.
pub fn in_color(text: String, color: Option<Color>, colored: bool) -> Span<'static> {
    let style = color.filter(|_| colored).map(|color| {
        let Color(red, green, blue) = color;
        Style::new().fg(style::Color::Rgb(red, green, blue))
    });
    Span::styled(text, style.unwrap_or_default())
}

/// A line whose names may come from anywhere, as it may stand on a terminal.
pub fn safe(text: &str) -> Line<'static> {
    Line::raw(plain(&without_colors(text)).into_owned())
}

/// Text without the escapes that give it colors, as those of logs have them.
fn without_colors(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match rest.strip_prefix('m') {
            Some(rest) => out += rest,
            None => out.extend(["\x1b[", part]),
        }
    }
    out
}

/// Lines from the top of a place, as many as fit.
pub fn lines(lines: impl IntoIterator<Item = Line<'static>>, area: Rect, buffer: &mut Buffer) {
    for (row, line) in area.rows().zip(lines) {
        line.render(row, buffer);
    }
}

/// The first line of a view: what runs, and how it is stopped.
pub fn title(what: &str, about: &str, stops: &'static str) -> Line<'static> {
    let mut line = Line::from(vec![Span::raw(plain(what).into_owned()).bold(), Span::raw("  ")]);
    line.extend([Span::raw(stops).reversed(), Span::raw("  "), Span::raw(plain(about).into_owned())]);
    line
}

/// A heading with an empty line above it, and below it a list.
pub fn list(heading: &str, rows: impl IntoIterator<Item = Line<'static>>, area: Rect, buffer: &mut Buffer) {
    let heading = [Line::default(), Line::raw(heading.to_owned()).bold()];
    lines(heading.into_iter().chain(rows), area, buffer);
}

/// Rows that a chart has beside those of its lines: two axes with their names, and a legend.
const N_ROUND: u16 = 4;
/// Columns left of a chart, for the labels of its ticks, and right of it, for the name of an axis.
const N_BESIDE: [u16; 2] = [8, 10];
/// Smallest width and height of a chart with all that is around it.
const LEAST: [u16; 2] = [N_BESIDE[0] + N_BESIDE[1] + 20, N_ROUND + 4];
/// Height below which there are lists alone.
const FLAT: u16 = LEAST[1] + 4;

/// A place for charts, and below it one for each list, which would like to have so many rows.
pub fn places(area: Rect, wanted: &[usize]) -> (Rect, Vec<Rect>) {
    let with_charts = area.height >= FLAT;
    let mut rest = if with_charts { area.height - (area.height / 2).max(LEAST[1]) } else { area.height };
    let mut heights = vec![0; wanted.len()];
    // What a short list does not need is for longer ones.
    let mut by_length: Vec<usize> = (0..wanted.len()).filter(|&i| wanted[i] > 0).collect();
    by_length.sort_by_key(|&i| wanted[i]);
    for (k, &i) in by_length.iter().enumerate() {
        let share = rest / (by_length.len() - k) as u16;
        let height = u16::try_from(wanted[i] + 2).unwrap_or(u16::MAX).min(share);
        // A heading without a list says nothing.
        heights[i] = if height > 2 { height } else { 0 };
        rest -= heights[i];
    }
    let charts = if with_charts { area.height - heights.iter().sum::<u16>() } else { 0 };
    let rows = Layout::vertical([charts].into_iter().chain(heights).map(Constraint::Length)).split(area);
    (rows[0], rows[1..].to_vec())
}

/// An axis for these values: logarithmic where they are positive and span a factor of ten.
pub fn axis(label: &str, values: impl Iterator<Item = f64>) -> Axis {
    let fold = |[low, high]: [f64; 2], value: f64| [low.min(value), high.max(value)];
    let [low, high] = values.filter(|value| value.is_finite()).fold([f64::INFINITY, f64::NEG_INFINITY], fold);
    if low > 0.0 && high >= 10.0 * low { Axis::log(label) } else { Axis::linear(label) }
}

/// Charts, as many of them as fit: side by side, or below each other where the place is narrow.
pub fn charts(charts: &[Chart], area: Rect, buffer: &mut Buffer, colored: bool) {
    let n_across = usize::from(area.width / LEAST[0]).clamp(1, charts.len().max(1));
    let n_down = charts.len().div_ceil(n_across).min(usize::from(area.height / LEAST[1]).max(1));
    let rows = Layout::vertical(vec![Constraint::Fill(1); n_down]).split(area);
    for (row, charts) in rows.iter().zip(charts.chunks(n_across)) {
        let columns = Layout::horizontal(vec![Constraint::Fill(1); charts.len()]).split(*row);
        for (place, chart) in columns.iter().zip(charts) {
            draw(chart, *place, buffer, colored);
        }
    }
}

fn draw(chart: &Chart, area: Rect, buffer: &mut Buffer, colored: bool) {
    if area.height < LEAST[1] {
        return;
    }
    let (width, height) = (area.width.saturating_sub(N_BESIDE.iter().sum()), area.height - N_ROUND);
    let piece = |(text, color): (String, Option<Color>)| in_color(text, color.map(Color::on_dark), colored);
    let line = |row: Vec<_>| Line::from_iter(row.into_iter().map(piece));
    lines(plot_rows(chart, width.into(), height.into()).into_iter().map(line), area, buffer);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &Line<'_>) -> String {
        line.spans.iter().map(|span| span.content.as_ref()).collect()
    }

    #[test]
    fn the_time_that_is_left_is_that_of_what_was_done_here() {
        // 10 steps in 5 s here, 20 before: the 70 that are missing take 35 s.
        let pace = Pace { done: 30, before: 20, total: 100, elapsed_s: 5.0 };
        let bar = text(&pace.bar("steps", 80, false));
        assert!(bar.ends_with("  30/100 steps  30 %   35 s left") && bar.chars().filter(|&c| c == '━').count() == 12);
        assert!(!text(&Pace { done: 20, ..pace }.bar("steps", 80, false)).contains("left"));
        assert!(text(&Pace { done: 0, before: 0, total: 0, elapsed_s: 0.0 }.bar("steps", 3, false)).contains("100 %"));
    }

    #[test]
    fn colors_of_logs_are_dropped_and_other_escapes_are_spelled() {
        assert_eq!(
            text(&safe("\x1b[2m12:00\x1b[0m \x1b[33m WARN\x1b[0m a\x1b[2Jb\x1bc")),
            "12:00  WARN a\\u001b[2Jb\\u001bc"
        );
    }

    #[test]
    fn lists_share_what_the_charts_leave_and_nothing_is_drawn_outside() {
        for height in 0..60 {
            for wanted in [&[0, 0, 0][..], &[2, 50, 0], &[50, 50, 3]] {
                let area = Rect::new(3, 4, 50, height);
                let (charts, lists) = places(area, wanted);
                let total = charts.height + lists.iter().map(|list| list.height).sum::<u16>();
                assert!(total <= height && lists.iter().all(|list| area.intersection(*list) == *list), "{height}");
                assert!(charts.height == 0 || charts.height >= LEAST[1], "{height}: {charts}");
                assert!(lists.iter().zip(wanted).all(|(list, &n)| list.height == 0 || n > 0 && list.height > 2));
            }
        }
        let (charts, lists) = places(Rect::new(0, 0, 80, 30), &[2, 50, 0]);
        assert_eq!((charts.height, lists[0].height, lists[1].height, lists[2].height), (15, 4, 11, 0));
    }
}
