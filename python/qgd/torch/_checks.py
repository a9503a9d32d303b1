"""What cannot be controlled is refused, with what to do instead."""

import warnings
from collections.abc import Sequence

import torch
from torch.optim import Optimizer

# Number of decisions after which a validation loss is missed: those of the first steps, which are all decisions.
A_BLIND_START = 64


def check_optimizer(optimizer, controller_type):
    """Raises where this is no optimizer whose learning rate can be moved."""
    if isinstance(optimizer, controller_type):
        raise TypeError("this optimizer is controlled already: use it as it is")
    if not isinstance(optimizer, Optimizer):
        hint = "build an optimizer first, as in torch.optim.AdamW(model.parameters(), lr=1e-3)"
        raise TypeError(f"the optimizer is a {type(optimizer).__name__}, but must be a torch.optim.Optimizer: {hint}")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise TypeError("LBFGS searches along lines and has no learning rate to move: use SGD, Adam or AdamW, for instance")
    if not all("lr" in group for group in optimizer.param_groups):
        raise TypeError(f"{type(optimizer).__name__} has no learning rate ('lr' in its groups), so there is nothing to move")
    name = type(optimizer).__module__ + "." + type(optimizer).__name__
    if "deepspeed" in name or "ZeroRedundancyOptimizer" in name:
        raise TypeError(
            f"{name} keeps its state in parts that a rollback cannot reach: use fully_shard (FSDP2), which spreads parameters, "
            "gradients and state as well"
        )
    check_params([p for group in optimizer.param_groups for p in group["params"]])


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


def whole_steps(total_steps):
    """The number of steps as an int; None where it is not known."""
    if total_steps is None:
        return None
    if isinstance(total_steps, bool) or int(total_steps) != total_steps:
        raise ValueError(f"total_steps is {total_steps!r}, but it is a whole number of steps")
    return int(total_steps)


def check_bounds(bounds, key, groups):
    """The bounds of a controlled value as a pair; the value that the groups start from lies within."""
    if bounds is None:
        return None
    if not isinstance(bounds, Sequence) or len(bounds) != 2:
        raise TypeError(f"{key}_bounds is {bounds!r}, but must be a pair (low, high)")
    low, high = map(float, bounds)
    start = next((value for group in groups if (value := float(group.get(key, 0.0))) > 0.0), None)
    is_scheduled = any("initial_lr" in group for group in groups)
    if 0.0 < low <= high and start is not None and not is_scheduled and not low <= start <= high:
        raise ValueError(
            f"{key} of the optimizer is {start:g}, outside {key}_bounds = ({low:g}, {high:g}): build the optimizer "
            "with a value between them"
        )
    return low, high


def check_models(model):
    """The nets whose buffers a rollback restores, in a list."""
    models = [one for one in (model if isinstance(model, (list, tuple)) else [model]) if one is not None]
    for one in models:
        if not isinstance(one, torch.nn.Module):
            raise TypeError(f"model is a {type(one).__name__}, but must be a torch.nn.Module, or a list of them")
    return models


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
