"""What cannot be controlled is refused, with what to do instead."""

import operator
import warnings
from math import inf, isfinite

import torch
from torch.optim import Optimizer

# Number of decisions after which a validation loss is missed: those of the first steps, which are all decisions.
A_BLIND_START = 64
# Number of steps that are left out in a row after which it is said.
MANY_LEFT_OUT = 20


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


def positive(name, value):
    """The argument as a positive number, or None."""
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if isinstance(value, bool) or not 0.0 < number < inf:
        raise ValueError(f"{name} is {value!r}, but must be a positive number (None where it is not known)")
    return number


def bounds(value, key, groups):
    """The bounds of a controlled value as a pair, or None. The value that the groups start from lies within."""
    if value is None:
        return None
    try:
        low, high = map(float, value)
    except (TypeError, ValueError):
        raise ValueError(f"{key}_bounds is {value!r}, but must be two numbers, (low, high)") from None
    start = next((start for group in groups if (start := float(group.get(key, 0.0))) > 0.0), None)
    is_scheduled = any("initial_lr" in group for group in groups)
    if 0.0 < low <= high and start is not None and not is_scheduled and not low <= start <= high:
        raise ValueError(
            f"{key} of the optimizer is {start:g}, outside {key}_bounds = ({low:g}, {high:g}): build the optimizer "
            "with a value between them"
        )
    return low, high


def nets(name, value):
    """The argument, one net or several or none, as a list."""
    several = list(value) if isinstance(value, (list, tuple)) else [value]
    several = [one for one in several if one is not None]
    for one in several:
        if not isinstance(one, torch.nn.Module):
            raise TypeError(f"{name} is a {type(one).__name__}, but must be a torch.nn.Module, or a list of them")
    return several


def check_closure(closure):
    """Raises where something else was given as the closure of a step: the loss, for the most part."""
    if not callable(closure):
        name = type(closure).__name__
        raise TypeError(f"step() takes a closure, not a {name}: give the loss by its name, opt.step(loss=loss)")


def mind_validation(n_blind, controller):
    """Says once that a controller which looks at the validation loss has had none so far."""
    if n_blind == A_BLIND_START:
        warnings.warn(
            f"the controller '{controller}' decides by the validation loss too, but has heard of none in {n_blind} "
            "decisions: call opt.observe_validation(loss) before the first step and after each validation, or take 'lr'",
            stacklevel=6,
        )


def mind_left_out(n_left_out, last):
    """Says once that no step was taken for long."""
    if n_left_out == MANY_LEFT_OUT:
        warnings.warn(
            f"the last {MANY_LEFT_OUT} steps were all left out, so the net does not learn: losses or gradients are not "
            f"finite, or far above the earlier ones. The newest decision: {last}",
            stacklevel=8,
        )


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
