"""Training that tunes itself.

A small pretrained deep Q-network reads the training signals and moves the learning rate (and the weight decay) by
*halve / accept / x1.25* while your net trains.

    opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
    opt = qgd.QController(opt, "lr", total_steps=10_000)
    for x, y in loader:
        loss = loss_fn(model(x), y)
        loss.backward()
        opt.step(loss=loss)
        opt.zero_grad()

`QController` needs PyTorch, which is imported when it is first used. So do `qgd.hf.Trainer` and `qgd.lightning.Callback`,
the controller in the Trainers of Hugging Face and of Lightning. All else needs numpy alone:

- `Session`: the controller in a loop of your own, in any framework or none; one call at every step.
- `Driver`: the loop underneath, for hosts that keep and restore their own state.
- `inspect`, `controllers`, `q_values`: what the pretrained files hold, and what their networks say.
- `Study`: the tuner, which tries parameters: `ask` and `tell`, or `optimize`. `samplers` and `pruners` list what it can
  use. `qgd.optuna.Sampler` has the same samplers for studies of Optuna.
"""

import json as _json
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

import numpy as _np
from numpy.typing import ArrayLike as _ArrayLike
from numpy.typing import NDArray as _NDArray

from . import _core
from ._core import Driver, Exhausted, Order, Session, Waits, __version__, controllers
from ._study import Pruned, Study, Trial, pruners, samplers
from ._trials import FrozenTrial, TrialState

if _TYPE_CHECKING:
    from . import optuna as optuna
    from .torch import Orthogonal, QController

__all__ = [
    "Driver",
    "Exhausted",
    "FrozenTrial",
    "Order",
    "Pruned",
    "Orthogonal",
    "QController",
    "Session",
    "Study",
    "Trial",
    "TrialState",
    "Waits",
    "__version__",
    "controllers",
    "inspect",
    "pruners",
    "q_values",
    "samplers",
]


def inspect(controller: str = "lr") -> "dict[str, _Any]":
    """Recipe and card of a pretrained controller: a dict with the keys "recipe" and "card".

    `controller` is a name out of `controllers()`, or the path of a pretrained file.
    """
    found: dict[str, _Any] = _json.loads(_core.inspect(controller))
    return found


def q_values(controller: str, features: _ArrayLike) -> "_NDArray[_np.float32]":
    """Q-values [..., n_actions] of a pretrained controller for features [..., n_features], confined to its ranges.

    They are what a file that `qgd export` has written gives too. `controller` is a name out of `controllers()`, or the
    path of a pretrained file.
    """
    rows = _np.ascontiguousarray(features, dtype=_np.float32)
    found = _core.q_values(controller, rows.ravel(), rows.shape[-1])
    return found.reshape(*rows.shape[:-1], found.shape[-1])


def __getattr__(name: str) -> _Any:
    if name in ("Orthogonal", "QController"):
        return getattr(_import_module(".torch", __name__), name)
    if name in ("hf", "lightning", "optuna"):
        # They need the library whose name they have, which is imported when they are first used.
        return _import_module(f".{name}", __name__)
    raise AttributeError(f"module 'qgd' has no attribute '{name}'")


def __dir__() -> "list[str]":
    return sorted(__all__)
