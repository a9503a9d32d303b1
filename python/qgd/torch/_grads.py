"""Whether there are gradients, and finite ones."""

from math import isfinite

import torch

from ._sample import local, real

#: Types whose norm can be taken in float32.
NARROW = {torch.float16, torch.bfloat16, torch.float32}


def check_grads(params):
    """Raises where there is no gradient, or one that cannot be measured."""
    has_grad = False
    for p in params:
        if p.grad is not None:
            has_grad = True
            if p.grad.is_sparse:
                raise RuntimeError("a gradient is sparse, and cannot be measured: build the embedding with sparse=False")
    if not has_grad:
        raise RuntimeError("no parameter has a gradient: call loss.backward() before opt.step()")


def _norms(grads):
    """Norm of each gradient, `[n]`: not finite where one of its elements is not (or is above about 1e19). Nothing that is
    as cheap to ask of a gradient finds more."""
    parts = [part for part in map(local, grads) if part.numel() > 0]
    if not parts:
        return torch.zeros(1, device=local(grads[0]).device)
    dtypes, dtype = {part.dtype for part in parts}, torch.float32
    if not dtypes <= NARROW:
        # PyTorch takes no norm in a type that is narrower than what it is of.
        parts, dtype = [real(part) for part in parts], torch.float64
    return torch.stack(torch._foreach_norm(parts, 2.0, dtype))


def are_finite(grads):
    """Whether all elements of all gradients are finite."""
    if all(map(isfinite, _norms(grads).tolist())):
        return True
    return all(bool(real(grad).isfinite().all()) for grad in grads)


def masked(grads, loss):
    """Sets gradients to zero on the device where the loss or one of them is not finite. Returns the loss, NaN there."""
    # 0 * v is 0 for a finite v and NaN for all others.
    loss = loss + (_norms(grads) * 0.0).sum().float()
    is_broken = ~loss.isfinite()
    for grad in grads:
        local(grad).masked_fill_(is_broken, 0.0)
    return loss
