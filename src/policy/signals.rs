//! Signals: the raw numbers that a policy is shown, measured on the target net since the last decision.

use serde::{Deserialize, Serialize};

/// Everything that was measured since the last decision, at the parameters `x_t` *before* the coming step is applied.
///
/// Values that could not be measured are NaN (at the first decision there is no displacement yet); every feature is
/// defined for NaN.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Signals {
    /// Number of inner steps before this one, those that were skipped or undone included.
    pub step: u64,
    /// Budget in inner steps, where it is known.
    pub total_steps: Option<u64>,
    /// Number of inner steps in which every training example is seen once, where it is known.
    pub steps_per_epoch: Option<f64>,
    /// Losses since the last decision, less the floor under them where there is one.
    pub window: LossWindow,
    /// Directions and norms.
    pub measured: Measured,
    /// Learning rate now.
    pub lr: f64,
    /// Learning rate that the run started with or, where the guard found its first step too long, the one after that.
    pub lr_base: f64,
    /// Learning rate at which the guard last undid a step, where it did.
    pub lr_ceiling: Option<f64>,
    /// Weight decay now (PyTorch's: the gradient of the penalty is `weight_decay * x`).
    pub weight_decay: f64,
    /// Weight decay that the run started with.
    pub weight_decay_base: f64,
    /// Validation loss or error that was reported last, where one was.
    pub validation: Option<f64>,
    /// Whether a loss has been below the floor (below 0 where there is none): then losses are no distances, and ratios
    /// of them mean nothing.
    pub below_floor: bool,
}

/// Summary of the losses since the last decision.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LossWindow {
    /// Number of losses.
    pub n: u32,
    /// Mean of the losses.
    pub mean: f64,
    /// Standard deviation of the losses (0 for a single one).
    pub std: f64,
    /// Mean of the newest [`LossWindow::RECENT`] losses, which the guard looks at.
    pub recent: f64,
}

impl LossWindow {
    /// Number of the newest losses whose mean is [`LossWindow::recent`].
    pub const RECENT: usize = 4;

    /// Summarizes losses, oldest first. An empty slice gives NaN everywhere.
    ///
    /// ```
    /// # use qgd::LossWindow;
    /// let window = LossWindow::of(&[2.0, 4.0]);
    /// assert_eq!((window.n, window.mean, window.std), (2, 3.0, 1.0));
    /// ```
    pub fn of(losses: &[f32]) -> Self {
        let n = losses.len();
        let mean = mean(losses);
        let variance = losses.iter().map(|&l| (f64::from(l) - mean).powi(2)).sum::<f64>() / n as f64;
        Self { n: n as u32, mean, std: variance.sqrt(), recent: self::mean(&losses[n.saturating_sub(Self::RECENT)..]) }
    }

    /// Whether there are losses and all of them are finite.
    pub fn is_finite(&self) -> bool {
        self.mean.is_finite()
    }
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64
}

/// Directions and norms at a decision, from the gradient `g` and the displacement `dx` since the last decision.
///
/// All of them come from [`Sums`](super::Sums), which may run over a fixed random sample of the coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Mean of `sign(dx[i] * dx_prev[i])`: do successive displacements agree? In [-1, 1] (Hu et al., equation 6, on
    /// updates).
    pub alignment: f64,
    /// `cos(dx, -g)`: does the way taken still lead down? In [-1, 1]; the hypergradient (Baydin et al. 2018, arXiv
    /// 1703.04782).
    pub descent_cosine: f64,
    /// Mean of `sign(g[i] * g_prev[i])`: equation 6 of Hu et al. as printed, with `d = -g`. In [-1, 1].
    pub grad_alignment: f64,
    /// `<g_prev, g>`: dot product of the last direction and the gradient (Hu et al., section 3.2), over all
    /// coordinates.
    pub grad_dot: f64,
    /// `||g||` over all coordinates.
    pub grad_norm: f64,
    /// `||EMA g|| / ||g||`: gradient signal-to-noise, about 1 without noise.
    pub grad_snr: f64,
    /// `||dx||` over all coordinates.
    pub update_norm: f64,
    /// `||x||` over all coordinates.
    pub param_norm: f64,
    /// `cos(dx, dx_prev)`: an alignment in which coordinates that went far weigh more. In [-1, 1].
    pub update_cosine: f64,
    /// `||x - x_0||` over all coordinates: distance from the start of the run (Ivgi et al. 2023, arXiv 2302.12022).
    pub distance: f64,
}

impl Default for Measured {
    /// Nothing was measured: all NaN.
    fn default() -> Self {
        let nothing = f64::NAN;
        Self {
            alignment: nothing,
            descent_cosine: nothing,
            grad_alignment: nothing,
            grad_dot: nothing,
            grad_norm: nothing,
            grad_snr: nothing,
            update_norm: nothing,
            param_norm: nothing,
            update_cosine: nothing,
            distance: nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_knows_its_recent_losses() {
        let window = LossWindow::of(&[9.0, 9.0, 1.0, 1.0, 1.0, 1.0]);
        assert!((window.recent - 1.0).abs() < 1e-12);
        assert!(!LossWindow::of(&[1.0, f32::NAN]).is_finite());
        assert!(!LossWindow::of(&[]).is_finite());
    }
}
