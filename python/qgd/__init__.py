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

`QController` needs PyTorch, which is imported when it is first used. All else needs numpy alone:

- `Session`: the controller in a loop of your own, in any framework or none; one call at every step.
- `Driver`: the loop underneath, for hosts that keep and restore their own state.
- `inspect`, `controllers`: what the pretrained files hold.
"""

import json as _json

from . import _core
from ._core import Driver, Order, Session, __version__, controllers

__all__ = ["Driver", "Order", "QController", "Session", "__version__", "controllers", "inspect"]


def inspect(controller="lr"):
    """Recipe and card of a pretrained controller: a dict with the keys "recipe" and "card".

    `controller` is a name out of `controllers()`, or the path of a pretrained file.
    """
    return _json.loads(_core.inspect(controller))


def __getattr__(name):
    if name == "QController":
        from .torch import QController

        return QController
    raise AttributeError(f"module 'qgd' has no attribute '{name}'")


def __dir__():
    return sorted(__all__)
