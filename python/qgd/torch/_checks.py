"""What cannot be controlled is refused, with what to do instead."""

import operator
from math import isfinite

import torch
from torch.optim import Optimizer


def check_optimizer(optimizer, controller_type):
    """Raises where this is no optimizer whose learning rate can be moved."""
    if isinstance(optimizer, controller_type):
        raise TypeError("this optimizer is controlled already: use it as it is")
    if not isinstance(optimizer, Optimizer):
        hint = "build an optimizer first, as in torch.optim.AdamW(model.parameters(), lr=1e-3)"
        raise TypeError(f"the optimizer is a {type(optimizer).__name__}, but must be a torch.optim.Optimizer: {hint}")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise TypeError("LBFGS searches along lines and has no learning rate to move: use SGD, Adam or AdamW, for instance")
    if isinstance(optimizer, (torch.optim.ASGD, torch.optim.Rprop)):
        raise TypeError(
            f"{type(optimizer).__name__} keeps step lengths of its own, and its 'lr' is where they began: to move it moves "
            "nothing, or comes a step too late. Use SGD, Adam or AdamW, for instance"
        )
    if not all("lr" in group for group in optimizer.param_groups):
        raise TypeError(f"{type(optimizer).__name__} has no learning rate ('lr' in its groups), so there is nothing to move")
    name = type(optimizer).__module__ + "." + type(optimizer).__name__
    if "deepspeed" in name or "ZeroRedundancyOptimizer" in name:
        raise TypeError(
            f"{name} keeps its state in parts that a rollback cannot reach: use fully_shard (FSDP2), which spreads parameters, "
            "gradients and state as well"
        )
    check_params([p for group in optimizer.param_groups for p in group["params"]])


def whole(name, value, least):
    """The argument as a whole number, at least `least` and below 2^63."""
    try:
        number = int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not least <= number < 2**63:
        hint = " (None where the length of the run is not known)" if name == "total_steps" else ""
        raise ValueError(f"{name} is {value!r}, but must be a whole number, at least {least}{hint}")
    return number


def bounds(name, value):
    """The argument as a pair of numbers, or None."""
    if value is None:
        return None
    try:
        low, high = map(float, value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}, but must be two numbers, (low, high)") from None
    return low, high


def nets(name, value):
    """The argument, one net or several or none, as a list."""
    several = list(value) if isinstance(value, (list, tuple)) else [value]
    several = [one for one in several if one is not None]
    for one in several:
        if not isinstance(one, torch.nn.Module):
            raise TypeError(f"{name} is a {type(one).__name__}, but must be a torch.nn.Module, or a list of them")
    return several


def check_first(losses):
    """Raises where one of the losses of the very first step is not finite."""
    if not all(map(isfinite, losses)):
        raise ValueError(
            f"the loss of the first step is {losses[-1]}: there is no sound state to go back to. Look at the data and "
            "at the initial weights"
        )


def check_restored(is_finite):
    """Raises where parameters that a rollback has put back are not finite."""
    if not is_finite:
        raise RuntimeError(
            "the state to go back to holds parameters that are not finite: the net was wrecked already when its weights "
            "were loaded, or this controller made. Load an earlier checkpoint"
        )


def check_params(params):
    """Raises where a step of these parameters cannot be measured or undone."""
    if not params:
        raise ValueError("the optimizer has no parameters")
    for p in params:
        if type(p).__name__ == "FlatParameter" or getattr(p, "_is_flat_param", False):
            raise TypeError("parameters of FSDP1 are not supported: use torch.distributed.fsdp.fully_shard (FSDP2) instead")
        if getattr(p, "_in_backward_optimizers", None):
            raise TypeError(
                "an optimizer that steps inside the backward pass cannot be controlled, for its steps cannot be left out: "
                "leave out _apply_optimizer_in_backward"
            )
    devices = sorted({str(p.device) for p in params})
    if len(devices) > 1:
        raise ValueError(
            f"the parameters lie on several devices ({', '.join(devices)}): give each its own optimizer and QController"
        )
