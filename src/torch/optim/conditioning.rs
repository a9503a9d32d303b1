//! Conditioning: what becomes of the change that an algorithm proposes for a weight matrix.
//!
//! `orthogonal` makes all singular values of the change alike and keeps its Frobenius norm, so the change turns and is as
//! long as before: a learning rate means what it meant.

use super::{TorchError, in_range};
use crate::polar::STEPS;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Conditioning of the changes of weight matrices.
///
/// As text, in task files and on the command line: `none`, or `orthogonal` with what is not the default behind a colon.
///
/// ```
/// use qgd::torch::{Conditioning, Orthogonal};
///
/// # fn main() -> Result<(), qgd::torch::NoConditioning> {
/// let half: Conditioning = "orthogonal:degree=0.5".parse()?;
/// assert_eq!(half, Conditioning::Orthogonal(Orthogonal { degree: 0.5, ..Orthogonal::default() }));
/// assert_eq!(half.to_string(), "orthogonal:degree=0.5");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conditioning {
    /// The change is applied as the algorithm proposes it.
    #[default]
    None,
    /// The change is orthogonalized, its norm is kept.
    Orthogonal(Orthogonal),
}

/// Orthogonalization of the change of each weight matrix, by Newton-Schulz iteration.
///
/// *Which variables?* Those with at least two dimensions, a convolution as out × rest, if both sides are larger than 1.
/// Left to the algorithm alone, to the bit, are vectors (biases, norms), embeddings (variables with `embed` in their
/// path: each of their rows has a gradient of its own, seldom), groups with
/// [`GroupConfig::is_conditioned`](super::GroupConfig::is_conditioned) false, and
/// without [`Orthogonal::head`] the last weight matrix.
///
/// *What is the change?* All that the algorithm adds to the matrix, except decoupled weight decay, which stays as it is.
/// Plain gradient descent has no memory, and the small singular values of a single gradient are noise that would be
/// scaled up. So there the gradient of these matrices first goes through Muon's filter (0.95, in Nesterov's form):
/// `b <- b + 0.05 (g - b)`, `g <- g + 0.95 (b - g)`.
///
/// *Half a degree* is a mixture of directions: `(1 - degree) M/|M| + degree O/|O|`, scaled to `|M|` again (M is the change,
/// O the orthogonalized one, | | the Frobenius norm). Both have the same singular vectors, so this is a mixture of
/// singular values: at 0.5 none is below half of what all would be at 1. A fractional power of the singular values would
/// say about the same, and would need a matrix root.
///
/// | Name | Default | Range |
/// |---|---|---|
/// | `degree` | 1 | 0 (as no conditioning, to the bit) to 1 |
/// | `steps` | 5 | 1 to 20 |
/// | `every` | 1 | 1 to 1000 |
/// | `head` | true | |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Orthogonal {
    /// Share of the orthogonalized direction.
    pub degree: f64,
    /// Number of Newton-Schulz steps. After 5 every singular value that is at least a thousandth of the norm lies within
    /// 13 % of its target, after 6 within 0.2 %.
    pub steps: u32,
    /// A variable's steps from one orthogonalization to the next. Between them its changes are those of the algorithm.
    pub every: u64,
    /// Whether the head, that is the weight matrix that was made last, is conditioned too.
    pub head: bool,
}

impl Default for Orthogonal {
    fn default() -> Self {
        Self { degree: 1.0, steps: STEPS, every: 1, head: true }
    }
}

/// A text that says no conditioning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{found}\" is no conditioning: it must be {}", Conditioning::ALLOWED)]
pub struct NoConditioning {
    /// The text.
    pub found: String,
}

impl Conditioning {
    /// What a text may be.
    pub const ALLOWED: &'static str = "none, or orthogonal, where after a colon may follow degree=0 to 1, steps=1 to 20, every=1 to 1000 \
         and head=true or false, with commas between them, as orthogonal:degree=0.5,steps=5";

    /// The orthogonalization, unless it changes nothing.
    pub(crate) fn orthogonal(&self) -> Option<&Orthogonal> {
        match self {
            Self::Orthogonal(orthogonal) if orthogonal.degree > 0.0 => Some(orthogonal),
            _ => None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), TorchError> {
        let Self::Orthogonal(Orthogonal { degree, steps, every, .. }) = *self else { return Ok(()) };
        in_range("degree", degree, (0.0..=1.0).contains(&degree), "in [0, 1]")?;
        in_range("steps", steps.into(), (1..=20).contains(&steps), "from 1 to 20")?;
        in_range("every", every as f64, (1..=1000).contains(&every), "from 1 to 1000")
    }
}

impl FromStr for Conditioning {
    type Err = NoConditioning;

    fn from_str(text: &str) -> Result<Self, NoConditioning> {
        let parsed = if text == "none" { Some(Self::None) } else { orthogonal(text).map(Self::Orthogonal) };
        let sound = parsed.filter(|conditioning| conditioning.check().is_ok());
        sound.ok_or_else(|| NoConditioning { found: text.to_owned() })
    }
}

fn orthogonal(text: &str) -> Option<Orthogonal> {
    let mut found = Orthogonal::default();
    let Some(settings) = text.strip_prefix("orthogonal")?.strip_prefix(':') else {
        return (text == "orthogonal").then_some(found);
    };
    let mut seen = Vec::new();
    for setting in settings.split(',') {
        let (name, value) = setting.split_once('=')?;
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match name {
            "degree" => found.degree = value.parse().ok()?,
            "steps" => found.steps = value.parse().ok()?,
            "every" => found.every = value.parse().ok()?,
            "head" => found.head = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(found)
}

impl fmt::Display for Conditioning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Orthogonal(Orthogonal { degree, steps, every, head }) = *self else { return f.write_str("none") };
        let usual = Orthogonal::default();
        let settings = [
            (degree.to_bits() != usual.degree.to_bits()).then(|| format!("degree={degree:?}")),
            (steps != usual.steps).then(|| format!("steps={steps}")),
            (every != usual.every).then(|| format!("every={every}")),
            (head != usual.head).then(|| format!("head={head}")),
        ];
        let settings: Vec<String> = settings.into_iter().flatten().collect();
        let colon = if settings.is_empty() { "" } else { ":" };
        write!(f, "orthogonal{colon}{}", settings.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_what_they_say_both_ways() {
        let usual = Orthogonal::default();
        let cases = [
            ("none", Conditioning::None),
            ("orthogonal", Conditioning::Orthogonal(usual)),
            ("orthogonal:degree=0.25", Conditioning::Orthogonal(Orthogonal { degree: 0.25, ..usual })),
            (
                "orthogonal:degree=0.0,steps=20,every=1000,head=false",
                Conditioning::Orthogonal(Orthogonal { degree: 0.0, steps: 20, every: 1000, head: false }),
            ),
        ];
        for (text, conditioning) in cases {
            assert_eq!(text.parse(), Ok(conditioning), "{text}");
            assert_eq!(conditioning.to_string(), text);
        }
        assert_eq!("orthogonal:steps=5,degree=1".parse(), Ok(Conditioning::Orthogonal(usual)));
    }

    #[test]
    fn bad_texts_are_refused_with_what_is_allowed() {
        let bad = [
            "",
            "None",
            "orthogonal:",
            "orthogonally",
            "orthogonal,degree=1",
            "orthogonal:degree",
            "orthogonal:degree=1.01",
            "orthogonal:degree=-0.1",
            "orthogonal:degree=nan",
            "orthogonal:steps=0",
            "orthogonal:steps=21",
            "orthogonal:steps=2.5",
            "orthogonal:every=0",
            "orthogonal:every=1001",
            "orthogonal:head=yes",
            "orthogonal:angle=1",
            "orthogonal:degree=1,degree=1",
        ];
        for text in bad {
            let error = text.parse::<Conditioning>().expect_err(text).to_string();
            assert!(error.contains(&format!("\"{text}\"")) && error.contains("degree=0 to 1"), "{error}");
        }
    }
}
