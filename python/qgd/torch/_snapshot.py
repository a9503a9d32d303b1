"""Snapshots: what a rollback restores."""

import copy

import torch

from ._sample import local


class Snapshot:
    """A copy of the parameters, of the optimizer's state and of the buffers of a model.

    Tensors are restored in place, so every reference to them stays right. Buffers are looked up by their names, since
    some modules put a new tensor in place of the old one.
    """

    def __init__(self, params, optimizer, models, *, with_state, on_cpu):
        self._params = params
        self._optimizer = optimizer
        self._models = models
        self._with_state = with_state
        self._on_cpu = on_cpu
        self._saved_params = self._copies(map(local, params))
        self._saved_buffers = {}
        self._take_buffers()
        self._saved_state = {}
        self._saved_groups = []
        self._take_state()

    def n_bytes(self):
        """Bytes that it takes."""
        state = [value for saved in self._saved_state.values() for value in saved.values()]
        buffers = self._saved_buffers.values()
        tensors = [one for one in [*self._saved_params, *buffers, *state] if isinstance(one, torch.Tensor)]
        return sum(one.numel() * one.element_size() for one in tensors)

    def _copy(self, tensor):
        return tensor.detach().to("cpu", copy=True) if self._on_cpu else tensor.detach().clone()

    def _copies(self, tensors):
        return [self._copy(tensor) for tensor in tensors]

    @torch.no_grad()
    def take(self):
        """Copies everything again."""
        _copy_all(self._saved_params, [local(p) for p in self._params])
        self._take_buffers()
        self._take_state()

    def _take_buffers(self):
        before, self._saved_buffers = self._saved_buffers, {}
        to, of = [], []
        for place, live in buffers_of(self._models):
            live, saved = local(live), before.get(place)
            if saved is not None and saved.shape == live.shape and saved.dtype == live.dtype:
                to.append(saved)
                of.append(live)
            else:
                saved = self._copy(live)
            self._saved_buffers[place] = saved
        _copy_all(to, of)

    def _take_state(self):
        if not self._with_state:
            return
        saved = {}
        for p in self._params:
            if p in self._optimizer.state:
                before = self._saved_state.get(p, {})
                saved[p] = {k: self._kept(v, before.get(k)) for k, v in self._optimizer.state[p].items()}
        self._saved_state = saved
        # Some optimizers count in their groups.
        self._saved_groups = [
            {k: copy.copy(v) for k, v in group.items() if isinstance(v, (int, float))}
            for group in self._optimizer.param_groups
        ]

    def _kept(self, value, before):
        if not isinstance(value, torch.Tensor):
            return copy.deepcopy(value)
        value = local(value)
        if isinstance(before, torch.Tensor) and before.shape == value.shape and before.dtype == value.dtype:
            return before.copy_(value)
        return self._copy(value)

    @torch.no_grad()
    def restore(self, counters):
        """Puts everything back. Of what stands in the groups, `counters` alone: the rest is the user's."""
        _copy_all([local(p) for p in self._params], self._saved_params)
        for place, live in buffers_of(self._models):
            self._restore_buffer(place, live)
        if not self._with_state:
            return
        for p in self._params:
            self._restore_state(p)
        for group, saved in zip(self._optimizer.param_groups, self._saved_groups):
            for key in counters & saved.keys():
                group[key] = saved[key]

    def _restore_state(self, p):
        saved = self._saved_state.get(p)
        if saved is None:
            self._optimizer.state.pop(p, None)
            return
        live = self._optimizer.state[p]
        for key in live.keys() - saved.keys():
            del live[key]
        for key, value in saved.items():
            here = live.get(key)
            if isinstance(value, torch.Tensor) and isinstance(here, torch.Tensor):
                local(here).copy_(value)
            else:
                live[key] = copy.deepcopy(value)

    def _restore_buffer(self, place, live):
        saved = self._saved_buffers.get(place)
        if saved is None:
            return
        if local(live).shape == saved.shape:
            local(live).copy_(saved)
        else:
            model, path = place
            module, _, name = path.rpartition(".")
            setattr(self._models[model].get_submodule(module), name, saved.to(live.device, copy=True))

    @torch.no_grad()
    def heal_buffers(self):
        """Puts those buffers back that are no longer finite: a forward pass over a broken batch has spoilt them."""
        for place, live in buffers_of(self._models):
            if (live.is_floating_point() or live.is_complex()) and not bool(local(live).isfinite().all()):
                self._restore_buffer(place, live)


def buffers_of(models):
    """The buffers of nets, each with its place: the number of its net, and its name there."""
    for i, model in enumerate(models):
        for name, buffer in model.named_buffers():
            yield (i, name), buffer


def _copy_all(to, of):
    if to and all(a.device == b.device for a, b in zip(to, of)):
        torch._foreach_copy_(to, of)
    else:
        for a, b in zip(to, of):
            a.copy_(b)
