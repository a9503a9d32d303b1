//! Which examples the next step sees.

use super::DataError;
use crate::artifact::exact;
use crate::rng;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Draws mini-batches with replacement, from the stream "batches" of the seed.
///
/// It can be saved (serde) and restored in the middle of a run, and then goes on with the same batches.
///
/// ```
/// # fn main() -> Result<(), qgd::data::DataError> {
/// let mut batches = qgd::data::Batches::new(0, 1000, 64)?;
/// let indices = batches.draw().unwrap_or_default();
/// assert_eq!(indices.len(), 64);
/// assert!(qgd::data::Batches::new(0, 50, 64).is_err());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batches {
    #[serde(with = "exact")]
    rng: ChaCha8Rng,
    n_examples: usize,
    batch_size: usize,
}

impl Batches {
    /// Batches of `batch_size` examples out of `n_examples`; a `batch_size` of 0 stands for all of them.
    ///
    /// # Errors
    /// When the batch is larger than the data, or there is no example.
    pub fn new(seed: u64, n_examples: usize, batch_size: usize) -> Result<Self, DataError> {
        if n_examples == 0 || batch_size > n_examples {
            return Err(DataError::BatchTooLarge { batch_size, examples: n_examples });
        }
        Ok(Self { rng: rng::stream(seed, "batches"), n_examples, batch_size })
    }

    /// Whether these are batches of the same size, out of as many examples, as `other`'s. Batches that are read from a file
    /// must be, for a run to go on with them.
    ///
    /// ```
    /// # fn main() -> Result<(), qgd::data::DataError> {
    /// use qgd::data::Batches;
    /// let run = Batches::new(0, 1000, 64)?;
    /// assert!(Batches::new(7, 1000, 64)?.fits(&run) && !Batches::new(0, 1001, 64)?.fits(&run));
    /// # Ok(()) }
    /// ```
    pub fn fits(&self, other: &Self) -> bool {
        (self.n_examples, self.batch_size) == (other.n_examples, other.batch_size)
    }

    /// Number of steps in which as many examples are drawn as there are.
    ///
    /// ```
    /// # fn main() -> Result<(), qgd::data::DataError> {
    /// use qgd::data::Batches;
    /// assert_eq!(Batches::new(0, 1000, 64)?.steps_per_epoch(), 15.625);
    /// assert_eq!(Batches::new(0, 1000, 0)?.steps_per_epoch(), 1.0);
    /// # Ok(()) }
    /// ```
    pub fn steps_per_epoch(&self) -> f64 {
        if self.batch_size == 0 { 1.0 } else { self.n_examples as f64 / self.batch_size as f64 }
    }

    /// Numbers of the examples of the next step; `None` means all of them.
    pub fn draw(&mut self) -> Option<Vec<i64>> {
        let (rng, n) = (&mut self.rng, self.n_examples);
        (self.batch_size > 0).then(|| (0..self.batch_size).map(|_| below(rng, n) as i64).collect())
    }
}

/// A whole number in [0, n): the high half of a 64 × 64 bit product (Lemire 2019, arXiv 1805.10941, without its
/// rejection step: without it the bias is n / 2^64, too small to notice).
pub(super) fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}
