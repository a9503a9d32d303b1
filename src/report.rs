//! Results for people: tables and charts, as text, as a picture in the terminal, and as SVG.
//!
//! Nothing here prints. Every function returns a `String`.

mod chart;
mod palette;
mod svg;
mod table;
mod terminal;

pub use chart::{Axis, Chart, Line, Scale, tell_apart};
pub use palette::Color;
pub use svg::{svg, svg_in_rows};
pub use table::{Align, PAGE_WIDTH, Table, duration, number, wrapped};
pub use terminal::{plot, plot_rows};
