//! The file of a taught agent, for `deep-q:FILE`.

use super::agent::{Agent, NetConfig};
use super::view::Codec;
use crate::artifact::{self, ArtifactError, Kind};
use crate::tuner::distribution::Distribution;
use crate::tuner::space::{Parameter, Space};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// An agent that has learned from other studies ([`teach`](super::teach)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Taught {
    /// Seed of its teaching.
    pub seed: u64,
    /// Names of the lessons.
    pub lessons: Vec<String>,
    /// Names and scales of the parameters that it knows; the scales as Optuna writes them.
    parameters: Vec<(String, String)>,
    net: NetConfig,
    gamma: f64,
    weights: Vec<f64>,
}

impl Taught {
    pub(super) fn new(seed: u64, lessons: Vec<String>, space: &Space, agent: &Agent, gamma: f64) -> Self {
        let parameters = space.parameters().iter();
        let parameters = parameters.map(|p| (p.name.clone(), p.distribution.to_json().to_string())).collect();
        Self { seed, lessons, parameters, net: agent.config(), gamma, weights: agent.params().to_vec() }
    }

    /// Writes it to a file, which is there whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ArtifactError> {
        artifact::write(path, Kind::Sampler, self)
    }

    /// Reads what [`Taught::save`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is of another kind.
    pub fn load(path: &Path) -> Result<Self, ArtifactError> {
        artifact::read(path, Kind::Sampler)
    }

    /// Names of the parameters that it knows, for messages.
    pub fn names(&self) -> String {
        self.parameters.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The agent, and how it reads configurations of `space`. None where that space has other parameters, or the file
    /// does not fit itself.
    pub(super) fn agent(&self, space: &Space, lr: f64) -> Option<(Agent, Codec)> {
        let scale = |(name, json): &(String, String)| {
            let json = serde_json::from_str(json).ok()?;
            Some((name.clone(), Distribution::from_json(&json)?))
        };
        let scales = self.parameters.iter().map(scale).collect::<Option<Vec<_>>>()?;
        // A file may hold anything: these must be scales that a space could have.
        Space::new(scales.iter().map(|(name, scale)| Parameter::new(name, scale.clone()))).ok()?;
        let codec = Codec::with_scales(space, &scales)?;
        // Bounded, so that a hostile file cannot ask for more than its own weights.
        let fits = codec.n_codes() == self.net.n_codes && self.net.width <= self.weights.len();
        let agent = fits.then(|| Agent::with_params(self.net, self.weights.clone(), lr, self.gamma))??;
        Some((agent, codec))
    }
}
