//! State of a controlled run: everything that it needs to go on bit-identically.

use super::{QController, TorchError};
use crate::artifact::exact;
use crate::driver::DriverState;
use crate::torch::measure::MeasureState;
use crate::torch::optim::{Algorithm, Conditioning};
use crate::torch::snapshot::{Snapshot, SnapshotState};
use serde::{Deserialize, Serialize};

/// State of a controlled run between two steps: net, optimizer, driver with its policy, losses, measurement, snapshots.
///
/// The moments of a wrapped tch optimizer are missing, because tch does not show them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QControllerState {
    /// State of the driver: rates, decisions, guard, policy.
    pub driver: DriverState,
    #[serde(with = "exact")]
    optimizer: Option<Algorithm>,
    #[serde(with = "exact", default)]
    conditioning: Conditioning,
    #[serde(with = "exact")]
    losses: Vec<f32>,
    measure: MeasureState,
    now: SnapshotState,
    verified: SnapshotState,
    first: Option<SnapshotState>,
}

impl QController {
    /// State after the last step, with the parameters and buffers of the net, but without a loss that was observed
    /// since then.
    ///
    /// # Errors
    /// When libtorch cannot copy it to the host.
    pub fn state(&mut self) -> Result<QControllerState, TorchError> {
        self.refresh()?;
        let losses = self.losses.saved()?;
        Ok(QControllerState {
            driver: self.driver.state(),
            optimizer: self.target.ours().map(super::Optimizer::algorithm),
            conditioning: self.target.conditioning(),
            losses,
            measure: self.measure.state(),
            now: Snapshot::new(self.target.params(), self.target.ours())?.state()?,
            verified: self.snapshot.state()?,
            first: self.first.as_ref().map(Snapshot::state).transpose()?,
        })
    }

    /// Goes back to a saved state: the next step is, to the bit, the one that would have followed it.
    ///
    /// # Errors
    /// When the state belongs to another net, optimizer or policy. After that the run is in no defined state.
    pub fn load_state(&mut self, state: QControllerState) -> Result<(), TorchError> {
        self.refresh()?;
        let here = self.target.ours().map(super::Optimizer::algorithm);
        if here.map(|a| a.name()) != state.optimizer.map(|a| a.name()) {
            let name = |algorithm: Option<Algorithm>| algorithm.map_or("tch's", |a| a.name()).to_owned();
            let (found, expected) = (name(state.optimizer), name(here));
            return Err(TorchError::StateMismatch { what: "the optimizer", found, expected });
        }
        if self.target.conditioning() != state.conditioning {
            let [found, expected] = [state.conditioning, self.target.conditioning()].map(|here| here.to_string());
            return Err(TorchError::StateMismatch { what: "the conditioning", found, expected });
        }
        let mut now = Snapshot::new(self.target.params(), self.target.ours())?;
        now.load_state(&state.now)?;
        self.snapshot.load_state(&state.verified)?;
        self.first = match &state.first {
            Some(saved) => {
                let mut first = Snapshot::new(self.target.params(), self.target.ours())?;
                first.load_state(saved)?;
                Some(first)
            }
            None => None,
        };
        self.measure.load_state(&state.measure, self.target.params().data())?;
        self.driver.load_state(state.driver)?;
        self.target.restore(&mut now)?;
        self.losses.load(state.losses);
        self.version = None;
        self.set_rates_of_driver()
    }
}
