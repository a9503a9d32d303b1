//! Colors of the page.

use qgd::report::Color;
use serde::Serialize;

/// A color on light and on dark ground.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tint([String; 2]);

impl Tint {
    pub fn of(color: Color) -> Self {
        Self([color, color.on_dark()].map(|color| format!("#{}", color.hex())))
    }
}
