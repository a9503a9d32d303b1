//! Results for people: tables and charts, as text, as a picture in the terminal, as SVG, and as PNG.
//!
//! Nothing here prints: every function returns what it has drawn.

mod chart;
mod palette;
#[cfg(feature = "png")]
mod png;
mod svg;
mod table;
mod terminal;

pub use chart::{Axis, Chart, Line, Scale};
pub use palette::Color;
#[cfg(feature = "png")]
pub use png::{PngError, png};
pub use svg::{svg, svg_in_rows};
pub use table::{Align, PAGE_WIDTH, Table, duration, number, wrapped};
pub use terminal::{plot, plot_rows};
