//! Inputs of the agent: configurations as numbers, the trials so far, and facts about the data.

use super::super::learning::ranks;
use crate::tuner::distribution::Distribution;
use crate::tuner::space::Space;

/// Facts about the data, each of about unit size. The last one is 1 where the data are known; all are 0 where they are
/// not.
pub type Facts = [f64; 5];

/// [`Facts`] of a data set with these numbers of training examples, inputs and classes (0 classes: regression).
pub fn facts(examples: u64, inputs: u64, classes: u64) -> Facts {
    let decades = |n: u64| (1.0 + n as f64).log10();
    [decades(examples) - 3.0, decades(inputs) - 1.0, decades(classes), f64::from(u8::from(classes == 0)), 1.0]
}

/// Turns configurations into numbers, the same for every study whose parameters have these names.
#[derive(Debug, Clone)]
pub struct Codec {
    /// Index in the space of the study and scale of each parameter.
    parameters: Vec<(usize, Distribution)>,
}

impl Codec {
    /// With the scales of the space itself.
    pub fn of(space: &Space) -> Self {
        let parameters = space.parameters().iter().enumerate().map(|(i, p)| (i, p.distribution.clone()));
        Self { parameters: parameters.collect() }
    }

    /// With these scales. None where the space has other parameters, or parameters of another kind.
    pub fn with_scales(space: &Space, scales: &[(String, Distribution)]) -> Option<Self> {
        let place = |(name, scale): &(String, Distribution)| {
            let i = space.position(name)?;
            scale.agrees_with(&space.parameters()[i].distribution).then(|| (i, scale.clone()))
        };
        let parameters = scales.iter().map(place).collect::<Option<Vec<_>>>()?;
        (parameters.len() == space.len()).then_some(Self { parameters })
    }

    /// A configuration as numbers: the place on its scale in [-1, 1] of each number (0 where it is not active), and a 1
    /// among zeros for each choice.
    pub fn encode(&self, point: &[Option<f64>]) -> Vec<f64> {
        let mut code = Vec::with_capacity(2 * point.len());
        for (i, distribution) in &self.parameters {
            match distribution {
                Distribution::Categorical { choices } => {
                    let chosen = point[*i].map(|value| distribution.index(value) as usize);
                    code.extend((0..choices.len()).map(|i| f64::from(u8::from(chosen == Some(i)))));
                }
                _ => code.push(point[*i].map_or(0.0, |value| 2.0 * distribution.to_unit(value) - 1.0)),
            }
        }
        code
    }

    /// Length of an encoded configuration.
    pub fn n_codes(&self) -> usize {
        let width = |distribution: &Distribution| match distribution {
            Distribution::Categorical { choices } => choices.len(),
            _ => 1,
        };
        self.parameters.iter().map(|(_, distribution)| width(distribution)).sum()
    }
}

/// A trial as the agent sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub code: Vec<f64>,
    pub outcome: Outcome,
}

/// Result of a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    Cost(f64),
    Failed,
    /// Still running: it counts as neither good nor bad.
    Unknown,
}

/// State: the trials so far, and how good each was among them.
#[derive(Debug, Clone)]
pub struct State<'t> {
    facts: Facts,
    trials: &'t [Seen],
    /// Quality of each trial, in [-1, 1].
    qualities: Vec<f64>,
    best: Option<usize>,
}

/// Widths of the kernels that define the neighborhood of a configuration, as shares of the range.
const WIDTHS: [f64; 2] = [0.15, 0.4];
/// Weight of the assumption that a neighborhood is neither good nor bad.
const PRIOR: f64 = 0.3;
/// Number of trials that the recurrent agent looks back.
const MEMORY: usize = 40;

impl<'t> State<'t> {
    pub fn new(facts: Facts, trials: &'t [Seen]) -> Self {
        let cost = |seen: &&Seen| match seen.outcome {
            Outcome::Cost(cost) => Some(cost),
            _ => None,
        };
        let known: Vec<&Seen> = trials.iter().filter(|seen| seen.outcome != Outcome::Unknown).collect();
        let mut ranks = ranks(&known.iter().map(cost).collect::<Vec<_>>()).into_iter();
        let mut quality = |seen: &Seen| match seen.outcome {
            Outcome::Unknown => 0.0,
            _ => 2.0 * ranks.next().unwrap_or(0.5) - 1.0,
        };
        let qualities: Vec<f64> = trials.iter().map(&mut quality).collect();
        let finished = (0..trials.len()).filter(|&i| matches!(trials[i].outcome, Outcome::Cost(_)));
        let best = finished.max_by(|&a, &b| qualities[a].total_cmp(&qualities[b]).then(b.cmp(&a)));
        Self { facts, trials, qualities, best }
    }

    /// Length of [`State::features`].
    pub fn n_features(n_codes: usize, is_recurrent: bool) -> usize {
        6 + n_codes + if is_recurrent { 0 } else { n_codes + 2 * WIDTHS.len() + 2 }
    }

    /// Length of an element of [`State::sequence`].
    pub fn n_sequence(n_codes: usize) -> usize {
        n_codes + 1
    }

    /// State and action as numbers: facts about the data, number of trials, configuration. Except for the recurrent
    /// agent also: quality of the neighborhood and number of trials in it, distances of the nearest trial and of the
    /// best one, and the differences to the best one.
    pub fn features(&self, code: &[f64], is_recurrent: bool) -> Vec<f64> {
        let mut features = self.facts.to_vec();
        features.push((1.0 + self.trials.len() as f64).ln() / 4.0);
        features.extend(code);
        if is_recurrent {
            return features;
        }
        let squares: Vec<f64> = self.trials.iter().map(|seen| square_distance(&seen.code, code)).collect();
        for width in WIDTHS {
            let weights = squares.iter().map(|square| (-square / (2.0 * width * width)).exp());
            let [good, all] =
                weights.zip(&self.qualities).fold([0.0; 2], |[good, all], (w, quality)| [good + w * quality, all + w]);
            features.extend([good / (all + PRIOR), all.ln_1p()]);
        }
        let nearest = squares.iter().copied().fold(1.0, f64::min);
        features.push(nearest.sqrt());
        features.push(self.best.map_or(1.0, |best| squares[best].sqrt()));
        let best = self.best.map(|best| &self.trials[best].code);
        features.extend(code.iter().enumerate().map(|(i, c)| best.map_or(0.0, |best| (c - best[i]).abs())));
        features
    }

    /// Number of trials in the neighborhood of a configuration.
    pub fn n_near(&self, code: &[f64]) -> f64 {
        let weight = |seen: &Seen| (-square_distance(&seen.code, code) / (2.0 * WIDTHS[0] * WIDTHS[0])).exp();
        self.trials.iter().map(weight).sum()
    }

    /// The trials as a sequence: configuration and quality of each.
    pub fn sequence(&self) -> impl Iterator<Item = Vec<f64>> + '_ {
        let first = self.trials.len().saturating_sub(MEMORY);
        let with_quality = self.trials.iter().zip(&self.qualities).skip(first);
        with_quality.map(|(seen, &quality)| seen.code.iter().copied().chain([quality]).collect())
    }
}

/// Square of the distance of two encoded configurations; 1 is the whole range of one parameter.
fn square_distance(a: &[f64], b: &[f64]) -> f64 {
    0.25 * a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::Parameter;

    #[test]
    fn a_configuration_becomes_places_and_ones() {
        let space = Space::new([
            Parameter::new("lr", Distribution::log_float(1e-4, 1.0)),
            Parameter::new("net", Distribution::categorical(["a", "b"])),
            Parameter::new("units", Distribution::int(1, 2)).when("net", ["b"]),
        ])
        .unwrap();
        let codec = Codec::of(&space);
        assert_eq!(codec.n_codes(), 4);
        let code = codec.encode(&[Some(1e-3), Some(1.0), Some(2.0)]);
        assert!((code[0] + 0.5).abs() < 1e-12 && code[1..] == [0.0, 1.0, 0.5], "{code:?}");
        assert_eq!(codec.encode(&[Some(1e-2), Some(0.0), None])[1..], [1.0, 0.0, 0.0]);
        // On other scales, in another order.
        let mut scales: Vec<_> = space.parameters().iter().map(|p| (p.name.clone(), p.distribution.clone())).collect();
        scales.rotate_left(1);
        scales[2].1 = Distribution::log_float(1e-3, 1e-1);
        let codec = Codec::with_scales(&space, &scales).unwrap();
        let code = codec.encode(&[Some(1e-2), Some(0.0), None]);
        assert!(code[..3] == [1.0, 0.0, 0.0] && code[3].abs() < 1e-12, "{code:?}");
        scales[2].1 = Distribution::float(1e-3, 1e-1);
        assert!(Codec::with_scales(&space, &scales).is_none() && Codec::with_scales(&space, &scales[..2]).is_none());
    }

    #[test]
    fn features_are_finite_and_as_many_as_promised_in_every_state() {
        let seen = |x: f64, outcome| Seen { code: vec![x, -x], outcome };
        let trials = [
            seen(0.1, Outcome::Failed),
            seen(0.2, Outcome::Unknown),
            seen(0.3, Outcome::Cost(f64::INFINITY)),
            seen(0.3, Outcome::Cost(1.0)),
        ];
        for n in 0..=trials.len() {
            let state = State::new(facts(1000, 10, 0), &trials[..n]);
            for is_recurrent in [false, true] {
                let features = state.features(&[0.3, -0.3], is_recurrent);
                assert_eq!(features.len(), State::n_features(2, is_recurrent));
                assert!(features.iter().all(|f| f.is_finite()), "{features:?}");
            }
            assert!(state.sequence().all(|row| row.len() == State::n_sequence(2)));
        }
        let state = State::new(facts(1000, 10, 0), &trials);
        // Of three that ended: infinite beats failed in nothing but having a value.
        assert_eq!((state.qualities, state.best), (vec![-1.0, 0.0, -0.5, 1.0], Some(3)));
    }
}
