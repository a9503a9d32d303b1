"""A running average of the weights of a controlled run."""

import contextlib
from operator import index

import torch

from ._sample import local

#: The key of a parameter's state under which its average is kept.
AVERAGE = "qgd_average"


class Averaging:
    """The average, which stands in the optimizer's state: so it is saved, spread over processes and rolled back with it.

        average <- average + (p - average) / max(1, share * t)        after step t, counted from where it began

    That is an exponential average whose window is always the same share of the steps so far, so it needs no budget: the
    power function averages of Karras et al. 2023 (arXiv 2312.02696) with gamma = 1 / share - 1.
    """

    # As it is in copies that were made before there were averages.
    _average, _n_averaged, _is_shown = None, 0, False

    @contextlib.contextmanager
    def averaged(self):
        """Within the `with`, the net has the average of its weights; after it, the weights in training, to the bit.
        Without `average=` nothing is changed.

        Buffers are not averaged: the running statistics of batch norm are those of the weights in training
        (`torch.optim.swa_utils.update_bn` computes others).

        Raises:
            RuntimeError: it is within another one.
        """
        if self._is_shown:
            raise RuntimeError("the average is shown already: leave the `with opt.averaged()` around this one first")
        kept = [(p, local(p).clone()) for p, _ in self._averages()]
        self._is_shown = True
        try:
            self._show_average()
            yield
        finally:
            with torch.no_grad():
                for p, weights in kept:
                    local(p).copy_(weights)
            self._is_shown = False

    def finish(self):
        """Leaves the average of the weights in the net, at the end of the training. A run that goes on after it begins
        there. Without `average=` nothing is done."""
        if self._average is None:
            return
        self._check_not_shown("finish")
        self._show_average()
        self.weights_loaded()

    def _check_not_shown(self, what):
        if self._is_shown:
            raise RuntimeError(f"the net has the average of its weights here: leave the `with opt.averaged()` before {what}()")

    def _averages(self):
        """The parameters that have an average, with it."""
        if self._average is None or self._n_averaged == 0:
            return
        for group in self.param_groups:
            for p in group["params"]:
                if AVERAGE in self.state.get(p, ()):
                    yield p, self.state[p][AVERAGE]

    @torch.no_grad()
    def _show_average(self):
        for p, average in self._averages():
            local(p).copy_(local(average))

    def _begin_average(self):
        """The first step after this is all of the average."""
        self._n_averaged = 0

    @torch.no_grad()
    def _follow(self):
        """Takes the weights into the average, after a step."""
        if self._average is None:
            return
        self._make_averages()
        self._n_averaged += 1
        weight = 1.0 / max(1.0, self._average * self._n_averaged)
        pairs = list(self._averages())
        averages = [local(average) for _, average in pairs]
        torch._foreach_lerp_(averages, [local(p).to(to.dtype) for (p, _), to in zip(pairs, averages)], weight)

    @torch.no_grad()
    def _make_averages(self):
        """Begins the averages that are missing. Optimizers make their state where there is none, so none is begun before a
        parameter's first step."""
        if self._average is None:
            return
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and AVERAGE not in self.state[p]:
                    self.state[p][AVERAGE] = p.detach().to(_kind(p), copy=True)

    def _load_averages(self, state_dict):
        """Takes the averages of a checkpoint as they were saved: PyTorch has given them the kind of the parameters."""
        saved = zip(
            (p for group in self.param_groups for p in group["params"]),
            (i for group in state_dict["param_groups"] for i in group["params"]),
        )
        for p, i in saved:
            entries, before = self.state.get(p, {}), state_dict["state"].get(i, {})
            if self._average is None:
                entries.pop(AVERAGE, None)
            elif AVERAGE in entries and entries[AVERAGE].dtype != _kind(p):
                entries[AVERAGE] = before[AVERAGE].detach().to(device=p.device, dtype=_kind(p), copy=True)


def checked_share(average):
    """The window of the average, a share of the steps, or None."""
    if average is None:
        return None
    if isinstance(average, bool) or not isinstance(average, (int, float)) or not 0.0 < average <= 1.0:
        raise ValueError(f"average is {average!r}, but must be a number above 0, at most 1 (None for no average)")
    return float(average)


def checked_count(n_averaged):
    """A number of steps out of a checkpoint."""
    if index(n_averaged) < 0:
        raise ValueError(f"{n_averaged} steps cannot have been averaged")
    return index(n_averaged)


def _kind(p):
    """The kind of an average: of half the precision the small weights of late steps would round to nothing."""
    return torch.float32 if p.dtype in (torch.float16, torch.bfloat16) else p.dtype
