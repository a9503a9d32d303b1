//! Sight of a controller: signals to features, features to Q-values.

use super::features::{Evidence, Features};
use super::pretrained::{Pretrained, PretrainedError};
use super::recipe::Recipe;
use crate::dqn::network::mean_q_values;
use crate::dqn::{QNetwork, Scratch};
use crate::policy::{Action, Signals};

/// Distance from the range of meta-training beyond which a feature is far outside.
pub(super) const FAR: f32 = 0.5;
/// Share of features far outside beyond which the controller does not act.
pub(super) const FAR_SHARE: f32 = 0.25;

/// Features of one run, and what the networks make of them.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    pub features: Features,
    /// Number of decisions at which the features lay far outside what meta-training saw, or meant nothing.
    pub n_out_of_range: u64,
    seen: Vec<f32>,
    q_values: Vec<f32>,
    q_row: Vec<f32>,
    scratch: Scratch,
}

impl Sight {
    /// Makes the sight of a run at its start. There is at least one network.
    pub fn new(recipe: &Recipe, networks: &[QNetwork], n_actions: usize) -> Self {
        Self {
            features: recipe.features.tracker(recipe.controls),
            n_out_of_range: 0,
            seen: vec![0.0; recipe.features.names().len()],
            q_values: vec![0.0; n_actions],
            q_row: vec![0.0; n_actions],
            scratch: networks[0].scratch(),
        }
    }

    /// Turns signals into features: [`Sight::seen`].
    pub fn see(&mut self, signals: &Signals, last_action: Option<Action>) {
        self.features.update(signals, last_action, &mut self.seen);
    }

    /// Cuts every feature to the range that meta-training saw. Returns whether too many were far outside it, or all are
    /// `meaningless`, and counts that.
    pub fn confine(&mut self, ranges: &[[f32; 2]], meaningless: bool) -> bool {
        let mut n_far = 0.0;
        for (v, &[low, high]) in self.seen.iter_mut().zip(ranges) {
            let confined = v.clamp(low, high);
            n_far += f32::from(u8::from((*v - confined).abs() > FAR));
            *v = confined;
        }
        let out_of_range = meaningless || n_far > FAR_SHARE * ranges.len() as f32;
        self.n_out_of_range += u64::from(out_of_range);
        out_of_range
    }

    /// Asks the networks: [`Sight::q_values`] is the mean of what they say.
    pub fn value<'a>(&mut self, networks: impl ExactSizeIterator<Item = &'a QNetwork>) {
        mean_q_values(networks, &self.seen, &mut self.scratch, &mut self.q_row, &mut self.q_values);
    }

    /// Features, each in [-1, 1].
    pub fn seen(&self) -> &[f32] {
        &self.seen
    }

    /// Q-value of every action.
    pub fn q_values(&self) -> &[f32] {
        &self.q_values
    }

    /// Evidence that the loss has really been lower, as numbers that nothing has squashed; where the features know it.
    pub fn evidence(&self) -> Option<Evidence> {
        self.features.evidence()
    }
}

impl Pretrained {
    /// Q-value of every action for one row of features: the mean of what the networks say of it, confined to their ranges.
    ///
    /// # Errors
    /// When the row is no row of its features.
    pub fn q_values(&self, features: &[f32]) -> Result<Vec<f32>, PretrainedError> {
        let (found, expected) = (features.len(), self.ranges().len());
        if found != expected {
            return Err(PretrainedError::Width { name: self.recipe().name.clone(), found, expected });
        }
        let confined: Vec<f32> =
            features.iter().zip(self.ranges()).map(|(v, &[low, high])| v.clamp(low, high)).collect();
        let n_actions = self.networks()[0].n_actions();
        let (mut row, mut q_values) = (vec![0.0; n_actions], vec![0.0; n_actions]);
        mean_q_values(self.networks().iter(), &confined, &mut self.networks()[0].scratch(), &mut row, &mut q_values);
        Ok(q_values)
    }
}
