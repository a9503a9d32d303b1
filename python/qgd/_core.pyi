"""What the package takes from Rust."""

from collections.abc import Sequence
from typing import Optional, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypeAlias

__all__ = [
    "MAX_SAMPLED",
    "Driver",
    "Exhausted",
    "Order",
    "Sampler",
    "Session",
    "Study",
    "Waits",
    "__version__",
    "controllers",
    "inspect",
    "pruners",
    "q_values",
    "sample",
    "samplers",
]

__version__: str
MAX_SAMPLED: int

_Floats: TypeAlias = NDArray[np.float32]
_Sums: TypeAlias = list[float]
_Told: TypeAlias = tuple[int, str, list[float], list[float], list[tuple[int, float]], list[float]]

class Exhausted(RuntimeError):
    """Nothing is left to try."""
class Waits(RuntimeError):
    """The next trial depends on one that is still running."""

def controllers() -> list[str]:
    """Names of the controllers that come with qgd."""
def inspect(controller: str) -> str: ...
def q_values(controller: str, features: _Floats, n_features: int) -> _Floats: ...
def sample(n_params: int, seed: int) -> Optional[NDArray[np.int64]]: ...
def samplers() -> dict[str, str]: ...
def pruners() -> dict[str, str]: ...

@final
class Order:
    """What the host does at a step."""

    @property
    def kind(self) -> str:
        """"apply", "skip", "roll_back" or "restart"."""
    @property
    def lr(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def keep(self) -> bool:
        """Whether the state before this step is the one that "roll_back" goes back to from here on."""

@final
class Driver:
    """The loop underneath, for hosts that keep and restore their own state."""

    def __new__(
        cls,
        controller: str = "lr",
        lr: float = 1e-3,
        *,
        weight_decay: float = 0.0,
        total_steps: Optional[int] = None,
        steps_per_epoch: Optional[float] = None,
        loss_floor: float = 0.0,
        lr_bounds: Optional[tuple[float, float]] = None,
        weight_decay_bounds: Optional[tuple[float, float]] = None,
        seed: int = 0,
    ) -> Driver: ...
    def step(
        self,
        losses: Sequence[float],
        grad_is_finite: bool = True,
        *,
        params: Optional[_Floats] = None,
        grad: Optional[_Floats] = None,
        n_params: Optional[int] = None,
        sums: Optional[_Sums] = None,
        n_sampled: Optional[int] = None,
    ) -> Order:
        """One inner step: the host tells what it saw at its parameters, and does what the answer says.

        `losses`: those of the batches of this step. Where a decision is due (`is_due`), the host shows float32 arrays
        [n_sampled] of its parameters and of the gradient, the same coordinates at every decision, of `n_params`; or the
        sums that it has made of what `sums` returned.
        """
    def sums(self, params: _Floats, grad: _Floats) -> _Sums: ...
    def rolled_back(self, params: _Floats) -> None:
        """Takes note that the host has gone back to these sampled parameters."""
    def reset_measure(self) -> None:
        """Measures from here on as if the run were new: after "restart", or where the parameters are others."""
    def begin_here(self) -> None:
        """Takes note that the host begins anew from the parameters that it has now."""
    def forget_first(self) -> None:
        """Takes note that the host can no longer go back to the state that was kept first."""
    def set_lr(self, lr: float) -> None:
        """Sets a new base learning rate; the ratio of the present rate to it stays."""
    def set_weight_decay(self, weight_decay: float) -> None: ...
    def cool_down(self, n_steps: int) -> None:
        """Says that the run has `n_steps` steps left: over them the learning rate falls in a straight line to zero."""
    def observe_validation(self, error: float) -> None: ...
    def freeze(self) -> None:
        """Stops the policy from learning and exploring."""
    def take_records(self) -> list[str]:
        """Records of the decisions since the last call, each as JSON."""
    def state(self) -> bytes: ...
    def load_state(self, state: bytes) -> None: ...
    def measures(self, n_sampled: int) -> bool: ...
    @property
    def moves_lr(self) -> bool: ...
    @property
    def moves_weight_decay(self) -> bool: ...
    @property
    def watches_validation(self) -> bool: ...
    @property
    def is_due(self) -> bool:
        """Whether the coming step starts with a decision."""
    @property
    def is_guarded(self) -> bool: ...
    @property
    def may_restart(self) -> bool: ...
    @property
    def lr(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def steps(self) -> int: ...
    @property
    def total_steps(self) -> Optional[int]: ...
    @property
    def counts(self) -> tuple[int, int, int]:
        """Number of times that each action was taken, as (halve, accept, grow)."""
    @property
    def rollbacks(self) -> int: ...
    @property
    def broken_batches(self) -> int: ...

@final
class Session:
    """The controller in a loop of your own. `params`, `grad` and the moments are float32 arrays [n_params]."""

    def __new__(
        cls,
        controller: str = "lr",
        lr: float = 1e-3,
        *,
        weight_decay: float = 0.0,
        total_steps: Optional[int] = None,
        steps_per_epoch: Optional[float] = None,
        loss_floor: float = 0.0,
        seed: int = 0,
    ) -> Session: ...
    def step(
        self, loss: float, params: _Floats, grad: _Floats, *moments: _Floats
    ) -> Optional[tuple[float, float]]:
        """One inner step. Answers the learning rate and the weight decay where the caller now applies its optimizer's
        step, None where the step is left out: `params` and the moments then are as they were, or were put back."""
    def replaced(self) -> None:
        """Takes note that the caller has put other parameters in: no rollback leads back behind them."""
    def cool_down(self, n_steps: int) -> None:
        """Says that the run has `n_steps` steps left: over them the learning rate falls in a straight line to zero."""
    def observe_validation(self, error: float) -> None: ...
    def state(self, params: _Floats, *moments: _Floats) -> bytes:
        """State of the run after the last step, with the parameters and moments."""
    def load_state(self, state: bytes, params: _Floats, *moments: _Floats) -> None:
        """Goes back to a saved state, and writes its parameters and moments into the arrays."""
    @property
    def lr(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def steps(self) -> int: ...
    @property
    def rollbacks(self) -> int: ...

@final
class Study:
    def __new__(
        cls,
        space: str,
        *,
        is_json: bool,
        name: str,
        storage: str,
        directions: Optional[list[str]],
        sampler: str,
        pruner: str,
        seed: int,
        lag: int,
    ) -> Study: ...
    @staticmethod
    def open(storage: str, name: str) -> Study: ...
    @property
    def lag(self) -> int: ...
    def user_attrs(self) -> str: ...
    def set_user_attr(self, name: str, value: str) -> None: ...
    def set_trial_attr(self, number: int, name: str, value: str) -> None: ...
    @property
    def directions(self) -> list[str]: ...
    def ask(self) -> tuple[int, str]: ...
    def tell(
        self, number: int, values: list[float], state: str, constraints: list[float], reason: str
    ) -> None: ...
    def report(self, number: int, step: int, value: float) -> None: ...
    def should_prune(self, number: int) -> bool: ...
    def enqueue(self, params: str) -> None: ...
    def trials(self) -> str: ...
    def trial(self, number: int) -> str: ...
    def best_trials(self) -> str: ...

@final
class Sampler:
    def __new__(
        cls, spec: str, space: list[tuple[str, str]], directions: list[str], seed: int
    ) -> Sampler: ...
    def tell(self, trials: list[_Told]) -> None: ...
    @property
    def n_told(self) -> int: ...
    def propose(self, number: int, pending: list[_Told]) -> Optional[list[float]]: ...
