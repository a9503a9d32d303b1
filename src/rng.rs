//! Where every random number comes from: ChaCha8 streams, one for each purpose, all derived from one seed.
//!
//! Nothing random is drawn inside libtorch, so the seed alone determines a run.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The random stream of `seed` that is used for `label` ("batches", "init", ...).
///
/// Different labels give independent streams; the same pair gives the same numbers on every machine.
///
/// ```
/// use rand::Rng;
/// assert_eq!(qgd::rng::stream(7, "init").next_u64(), qgd::rng::stream(7, "init").next_u64());
/// assert_ne!(qgd::rng::stream(7, "init").next_u64(), qgd::rng::stream(7, "batches").next_u64());
/// ```
pub fn stream(seed: u64, label: &str) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(fnv1a(label.as_bytes()));
    rng
}

/// A draw from N(0, 1), by Box and Muller 1958; 1 - u keeps the logarithm finite.
pub(crate) fn standard_normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A draw from N(0, 1) in single precision, by the same method.
#[cfg(feature = "meta")]
pub(crate) fn standard_normal_f32(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f32, f32) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

/// A draw between `low` and `high` whose logarithm is uniform.
#[cfg(feature = "meta")]
pub(crate) fn log_uniform(low: f64, high: f64, rng: &mut ChaCha8Rng) -> f64 {
    (low.ln() + rng.random::<f64>() * (high.ln() - low.ln())).exp()
}

/// Index drawn with a probability in proportion to its weight. Weights are at least 0; where all are 0, the index is 0.
#[cfg(feature = "meta")]
pub(crate) fn weighted(weights: &[f64], rng: &mut ChaCha8Rng) -> usize {
    pick(weights.iter().copied(), rng.random::<f64>() * weights.iter().sum::<f64>())
}

/// Index of the weight that `u`, uniform between 0 and the sum of the weights, falls into: a draw in proportion to the
/// weights.
pub(crate) fn pick(weights: impl IntoIterator<Item = f64>, mut u: f64) -> usize {
    let mut last_possible = 0;
    for (i, weight) in weights.into_iter().enumerate() {
        if weight > 0.0 {
            last_possible = i;
            if u < weight {
                break;
            }
        }
        u -= weight;
    }
    // Rounding may leave a little of `u` at the end.
    last_possible
}

/// The FNV-1a hash, 64 bits (Fowler, Noll and Vo): tells things apart, and is no protection against anybody.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = Fnv1a::new();
    hash.add(bytes);
    hash.value()
}

/// The hash [`fnv1a`] of bytes that come piece by piece.
pub(crate) struct Fnv1a(u64);

impl Fnv1a {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    }

    pub(crate) fn value(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_picked_by_its_share_and_one_without_weight_never() {
        let weights = [0.0, 0.25, 0.0, 0.5, 0.0];
        let picked = [0.0, 0.2499, 0.25, 0.7499, 0.75, 9.0].map(|u| pick(weights, u));
        assert_eq!(picked, [1, 1, 3, 3, 3, 3]);
        assert_eq!((pick([0.0; 3], 0.0), pick([], 0.5)), (0, 0));
    }

    #[cfg(feature = "meta")]
    #[test]
    fn indices_are_drawn_in_proportion_to_their_weights() {
        let mut rng = stream(3, "weighted");
        let drawn: Vec<usize> = (0..4000).map(|_| weighted(&[1.0, 0.0, 3.0], &mut rng)).collect();
        let n_first = drawn.iter().filter(|&&index| index == 0).count();
        assert!((900..1100).contains(&n_first) && !drawn.contains(&1), "{n_first}");
    }
}
