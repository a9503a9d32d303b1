"""What cannot be controlled is refused, with what to do instead."""

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
