//! A curve that grows while it is looked at, and does not grow in memory.

use crate::cli::thinning::extremes;

/// Points of a curve, in order.
#[derive(Debug, Clone, Default)]
pub struct Curve {
    points: Vec<(f64, f64)>,
}

/// Number of points from which on the curve keeps only what its picture needs, and number of stretches whose extremes it
/// then keeps: about as many as the widest terminal has columns of dots.
const MAX_POINTS: usize = 4096;
const N_STRETCHES: usize = 512;

impl Curve {
    /// Adds a point at its end.
    pub fn push(&mut self, x: f64, y: f64) {
        self.points.push((x, y));
        if self.points.len() >= MAX_POINTS {
            let kept = extremes(self.points.len(), N_STRETCHES, &[&|i| self.points[i].1]);
            self.points = kept.into_iter().map(|i| self.points[i]).collect();
        }
    }

    /// The points that are kept. What is not finite has diverged.
    pub fn points(&self) -> Vec<(f64, f64)> {
        let sound = |y: f64| if y.is_finite() { y } else { f64::INFINITY };
        self.points.iter().map(|&(x, y)| (x, sound(y))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_peaks_and_its_ends_in_little_memory() {
        let mut curve = Curve::default();
        for i in 0..100_000 {
            curve.push(f64::from(i), if i == 31_415 { 1e6 } else { f64::from(i % 97) });
        }
        let points = curve.points();
        assert!(points.len() <= MAX_POINTS && points.is_sorted_by(|a, b| a.0 < b.0), "{}", points.len());
        assert!(points.contains(&(31_415.0, 1e6)));
        let ends = [points[0].0, points[points.len() - 1].0].map(f64::to_bits);
        assert_eq!(ends, [0.0, 99_999.0].map(f64::to_bits));
    }

    #[test]
    fn what_is_not_finite_has_diverged() {
        let mut curve = Curve::default();
        [1.0, f64::NAN, f64::NEG_INFINITY].into_iter().for_each(|y| curve.push(0.0, y));
        assert_eq!(curve.points(), [(0.0, 1.0), (0.0, f64::INFINITY), (0.0, f64::INFINITY)]);
    }
}
