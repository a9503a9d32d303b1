//! `--chart FILE.svg` or `--chart FILE.png`: the ending of the name says how the chart is drawn.

use super::failure::Failure;
use clap::builder::{PathBufValueParser, TypedValueParser};
use std::path::{Path, PathBuf};

/// A file for a chart.
#[derive(Debug, Clone)]
pub struct ChartFile {
    path: PathBuf,
    format: Format,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Svg,
    #[cfg(feature = "png")]
    Png,
}

impl ChartFile {
    /// Reads the value of `--chart`, whose ending is the format.
    pub fn parser() -> impl TypedValueParser<Value = Self> {
        PathBufValueParser::new().try_map(Self::new)
    }

    fn new(path: PathBuf) -> Result<Self, String> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let format = match ending.as_deref() {
            Some("svg") => Format::Svg,
            #[cfg(feature = "png")]
            Some("png") => Format::Png,
            #[cfg(not(feature = "png"))]
            Some("png") => return Err("this qgd was built without `--features png`; take .svg".to_owned()),
            _ => return Err("its name must end in .svg or .png".to_owned()),
        };
        Ok(Self { path, format })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Contents of the file: the chart that is given as SVG.
    pub fn contents(&self, svg: String) -> Result<Vec<u8>, Failure> {
        match self.format {
            Format::Svg => Ok(svg.into()),
            #[cfg(feature = "png")]
            Format::Png => qgd::report::png(&svg).map_err(|error| Failure::Failed(error.into())),
        }
    }
}
