//! Charts as PNG: our SVG, drawn with a font that comes along, so that the bytes are the same on every machine.

use super::svg::IF_DARK;
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{self, Tree, fontdb};
use std::sync::{Arc, LazyLock};

/// Pixels for each unit of the SVG: sharp on today's screens and in print.
const SCALE: f32 = 2.0;
/// DejaVu Sans with the letters of Europe and the signs of our charts alone; `font/README.md` says how it was made.
const FONT: &[u8] = include_bytes!("font/DejaVuSans.ttf");
/// What the font calls itself.
const FAMILY: &str = "DejaVu Sans";

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    fonts.set_serif_family(FAMILY);
    Arc::new(fonts)
});

/// The most pixels of a picture: a gigabyte while it is drawn.
const MOST_PIXELS: u64 = 1 << 28;

/// Why an SVG cannot become a PNG. One that [`svg`](super::svg) has drawn always can, unless it is huge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PngError {
    /// It is no SVG.
    #[error("cannot read the SVG")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It would have too many pixels.
    #[error("a picture of {width} x {height} pixels is too large: at most {MOST_PIXELS} in all")]
    TooLarge {
        /// Pixels from left to right.
        width: u32,
        /// Pixels from top to bottom.
        height: u32,
    },
    /// The pixels cannot be put into a file.
    #[error("cannot write the PNG")]
    Unwritable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Draws an SVG of [`svg`](super::svg) or [`svg_in_rows`](super::svg_in_rows) as PNG: two pixels for each unit, in the
/// light colors, on white.
///
/// Letters are Latin, Greek and Cyrillic; of other scripts there are boxes. The same SVG gives the same bytes everywhere.
///
/// ```
/// use qgd::report::{Axis, Chart, Color, Line, png, svg};
///
/// let loss = Line::new("loss", Color::BLUE, vec![(0.0, 2.0), (1.0, 0.5), (2.0, 0.1)]);
/// let chart = Chart { title: "a run".into(), x: Axis::linear("step"), y: Axis::log("loss"), lines: vec![loss] };
/// assert!(png(&svg("first steps", "", &[chart]))?.starts_with(b"\x89PNG"));
/// # Ok::<(), qgd::report::PngError>(())
/// ```
///
/// # Errors
/// If this is no SVG, or one of more than 2^28 pixels.
pub fn png(svg: &str) -> Result<Vec<u8>, PngError> {
    let options = usvg::Options { fontdb: FONTS.clone(), font_family: FAMILY.to_owned(), ..usvg::Options::default() };
    let tree = Tree::from_str(&in_light(svg), &options).map_err(|error| PngError::Unreadable(error.into()))?;
    let pixels = |length: f32| (SCALE * length).ceil() as u32;
    let (width, height) = (pixels(tree.size().width()), pixels(tree.size().height()));
    let fits = u64::from(width) * u64::from(height) <= MOST_PIXELS;
    let paper = fits.then(|| Pixmap::new(width, height)).flatten();
    let mut paper = paper.ok_or(PngError::TooLarge { width, height })?;
    paper.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut paper.as_mut());
    paper.encode_png().map_err(|error| PngError::Unwritable(error.into()))
}

/// The SVG without its rules for dark paper, the last ones of its style: what draws it skips them, but warns.
fn in_light(svg: &str) -> String {
    let Some((before, after)) = svg.split_once("</style>") else { return svg.to_owned() };
    let light = before.rsplit_once(IF_DARK).map_or(before, |(light, _)| light);
    format!("{light}</style>{after}")
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Chart, Color, Line, svg};
    use super::*;
    use resvg::tiny_skia::PremultipliedColorU8;

    /// A picture of one line that is called `name`, as SVG and as the pixels of its PNG.
    fn drawn(name: &str) -> (String, Pixmap) {
        let line = Line::new(name, Color::RED, vec![(0.0, 1.0), (2.0, 4.0)]).marked();
        let chart = Chart { title: String::new(), x: Axis::linear("step"), y: Axis::log("loss"), lines: vec![line] };
        let picture = svg("heading", "", &[chart]);
        let pixels = Pixmap::decode_png(&png(&picture).unwrap()).unwrap();
        (picture, pixels)
    }

    fn has(pixels: &Pixmap, color: Color) -> bool {
        let is = |pixel: &PremultipliedColorU8| Color(pixel.red(), pixel.green(), pixel.blue()) == color;
        pixels.pixels().iter().any(is)
    }

    #[test]
    fn a_png_has_two_pixels_for_each_unit_in_light_colors_on_white() {
        let (picture, pixels) = drawn("red");
        assert!(picture.contains("width=\"600\" height=\"462\""), "{picture}");
        assert_eq!((pixels.width(), pixels.height()), (1200, 924));
        for corner in [pixels.pixel(0, 0), pixels.pixel(1199, 923), pixels.pixel(300, 2)] {
            assert_eq!(corner, PremultipliedColorU8::from_rgba(255, 255, 255, 255));
        }
        assert!(has(&pixels, Color::RED) && !has(&pixels, Color::RED.on_dark()));
    }

    #[test]
    fn text_is_drawn_and_the_font_has_every_letter_of_our_charts() {
        let label = |text: &str| {
            let svg = format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"20\" height=\"20\"><text x=\"4\" y=\"15\">{text}</text></svg>"
            );
            png(&svg).unwrap()
        };
        // What the font does not have is a box, whatever it is.
        let (blank, unknown) = (label(""), label("\u{5b57}"));
        assert_ne!(blank, unknown);
        for letter in ('!'..='~').chain("×·−µλεαβγσΣ–…≤≥→±√∞äßéжΩ¹₂".chars()) {
            let letter = letter.to_string();
            let drawn = label(&letter.replace('&', "&amp;").replace('<', "&lt;"));
            assert!(drawn != blank && drawn != unknown, "{letter}");
        }
        assert_ne!(drawn("red").1.data(), drawn("").1.data());
    }

    #[test]
    fn the_same_chart_gives_the_same_bytes() {
        let (picture, _) = drawn("loss × λ");
        assert_eq!(png(&picture).unwrap(), png(&picture).unwrap());
    }

    #[test]
    fn what_cannot_be_drawn_is_an_error() {
        assert!(matches!(png("no picture"), Err(PngError::Unreadable(_))));
        let huge = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9000\" height=\"9000\"/>";
        let said = png(huge).unwrap_err().to_string();
        assert_eq!(said, "a picture of 18000 x 18000 pixels is too large: at most 268435456 in all");
    }
}
