//! Policies that show whether a controller has learned anything: the same actions, never taken or taken at random.

use super::bytes::{pack, unpack};
use crate::policy::{Action, Move, Signals};
use crate::policy::{Decision, Policy, PolicyStateError, Reason};
use crate::rng;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Always says *accept*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlwaysAccept;

impl Policy for AlwaysAccept {
    fn decide(&mut self, _: &Signals) -> Decision {
        Decision::of(Action::ACCEPT, Reason::Schedule)
    }
}

/// *Halve*, *accept* or *×1.25* of the learning rate at random, with probabilities under which its logarithm has no
/// drift.
///
/// ```text
/// p(accept) = 1/2,   p(halve) ln 2 = p(grow) ln 1.25   =>   halve : accept : grow = 0.122 : 0.5 : 0.378
/// ```
///
/// Uniform actions would shrink the learning rate by a factor of 1.17 at each decision. Decisions come every
/// 20 steps.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomActions {
    seed: u64,
    rng: ChaCha8Rng,
}

impl RandomActions {
    /// The random policy with this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, rng: rng::stream(seed, "random-policy") }
    }

    fn draw(&mut self) -> Move {
        let (down, up) = (std::f64::consts::LN_2, Move::Grow.factor().ln());
        let halve = 0.5 * up / (down + up);
        // The upper 53 bits of a 64-bit number make a uniform number in [0, 1).
        let uniform = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        if uniform < halve {
            Move::Halve
        } else if uniform < 0.5 {
            Move::Grow
        } else {
            Move::Accept
        }
    }
}

impl Policy for RandomActions {
    fn decide(&mut self, _: &Signals) -> Decision {
        let action = Action { lr: self.draw(), ..Action::ACCEPT };
        Decision::of(action, Reason::Exploration)
    }

    fn save(&self) -> Vec<u8> {
        let position = self.rng.get_word_pos();
        pack("random", &[self.seed, position as u64, (position >> 64) as u64])
    }

    fn load(&mut self, state: &[u8]) -> Result<(), PolicyStateError> {
        let [seed, low, high] = unpack("random", state)?[..] else {
            return Err(PolicyStateError { found_bytes: state.len() });
        };
        *self = Self::new(seed);
        self.rng.set_word_pos(u128::from(low) | u128::from(high) << 64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_actions_drive_the_learning_rate_nowhere() {
        let mut policy = RandomActions::new(3);
        let n = 100_000;
        let logs: Vec<f64> = (0..n).map(|_| policy.decide(&Signals::default()).lr_factor.ln()).collect();
        let mean = logs.iter().sum::<f64>() / f64::from(n);
        // The deviation of one step is 0.28, so that of the mean is 0.0009; uniform actions would give -0.157.
        assert!(mean.abs() < 0.004, "{mean}");
        assert!(logs.iter().any(|&log| log > 0.0) && logs.iter().any(|&log| log < 0.0));
    }
}
