"""The coordinates that are measured: at most 65,536 of the parameters, always the same ones."""

import torch

from .. import _core


def local(tensor):
    """The part of a tensor that lies in this process."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def real(tensor):
    """The part of a tensor that lies in this process; complex numbers as pairs of real ones, in the same memory."""
    part = local(tensor)
    return torch.view_as_real(part.resolve_conj()) if part.is_complex() else part


class Sample:
    """A fixed sample of the coordinates of a list of parameters, and of their gradients."""

    def __init__(self, params, seed):
        self.params = params
        self._device = local(params[0]).device
        self.n_params = sum(real(p).numel() for p in params)
        drawn = _core.sample(self.n_params, seed)
        self._places = None if drawn is None else self._split(torch.from_numpy(drawn))
        self.n_sampled = self.n_params if drawn is None else len(drawn)

    def _split(self, drawn):
        """Splits ascending indices into the concatenated parameters into indices into each of them."""
        ends = torch.tensor([real(p).numel() for p in self.params], device="cpu").cumsum(0)
        bounds = [0, *torch.searchsorted(drawn, ends).tolist()]
        starts = [0, *ends.tolist()]
        return [
            (drawn[bounds[i] : bounds[i + 1]] - starts[i]).to(local(p).device) for i, p in enumerate(self.params)
        ]

    def _gather(self, tensors):
        pieces = []
        for i, (p, tensor) in enumerate(zip(self.params, tensors)):
            n = real(p).numel() if self._places is None else len(self._places[i])
            if n == 0:
                continue
            if tensor is None:
                pieces.append(torch.zeros(n, dtype=torch.float32, device=local(p).device))
                continue
            flat = real(tensor.detach()).reshape(-1)
            pieces.append((flat if self._places is None else flat[self._places[i]]).float())
        return torch.cat(pieces) if pieces else torch.zeros(0, dtype=torch.float32, device=self._device)

    def of_params(self):
        """Sampled parameters, `[n_sampled]` of float32, on their device."""
        return self._gather(self.params)

    def of_grads(self):
        """The same coordinates of the gradient; 0 where a parameter has none."""
        return self._gather([p.grad for p in self.params])
