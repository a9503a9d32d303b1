"""Losses since the last decision. They stay on the device until somebody has to look."""

import numbers

import torch

#: Number of kept losses that are put into one tensor. Decisions become rare in a long run, and a tensor for each loss
#: takes up more than a thousand times the memory of the number.
CHUNK = 256


class Losses:
    """Losses that were observed for the coming step, and those of earlier ones that the driver was not told of."""

    def __init__(self):
        self._pending = []
        # Observed before the gradients were reset: they count where nothing is observed after that.
        self._earlier = []
        # Oldest first; each of several losses, or of one.
        self._kept, self._newest = [], []
        #: How often something was observed.
        self.n_observed = 0

    def observe(self, loss):
        if isinstance(loss, torch.Tensor):
            if loss.numel() != 1:
                raise ValueError(
                    f"the loss has the shape {list(loss.shape)}, but it must be a single number: loss.mean(), for instance"
                )
            if loss.is_complex():
                raise TypeError("the loss is complex, but it must be real: loss.abs(), for instance")
            loss = loss.detach()
            if loss.ndim > 0 or loss.dtype is not torch.float32:
                loss = loss.reshape(()).float()
            # Of a tensor that is spread over processes, the whole.
            loss = loss.full_tensor() if hasattr(loss, "full_tensor") else loss
        elif isinstance(loss, numbers.Real) and not isinstance(loss, bool):
            loss = torch.tensor(float(loss), dtype=torch.float32, device="cpu")
        else:
            raise TypeError(f"the loss is a {type(loss).__name__}, but it must be a tensor of one element, or a number")
        self._pending.append(loss)
        self.n_observed += 1

    def mark(self):
        """Takes note that the gradients are reset. A loss from before that belongs to a step that a gradient scaler has
        left out, where another one follows."""
        if self._pending:
            self._earlier, self._pending = self._pending, []

    def is_empty(self):
        return not self._pending and not self._earlier

    def drop(self):
        """Forgets what was observed for the coming step."""
        self._pending, self._earlier = [], []

    def take(self):
        """The loss of this step: the mean of what was observed for it, on its device."""
        pending = self._pending or self._earlier
        self.drop()
        if len(pending) == 1:
            return pending[0]
        # Numbers lie on the host; they go to the device of the tensors beside them.
        device = next((one.device for one in pending if one.device.type != "cpu"), pending[0].device)
        return torch.stack([one.to(device) for one in pending]).mean()

    def keep(self, loss):
        """Keeps the loss of a step for the next decision."""
        self._newest.append(loss)
        if len(self._newest) == CHUNK:
            self._kept, self._newest = [*self._kept, self._join()], []

    def _join(self):
        device = self._newest[-1].device
        return torch.stack([one.to(device) for one in self._newest])

    def kept(self):
        """Takes what was kept: tensors of one or of several losses, oldest first."""
        kept, self._kept, self._newest = [*self._kept, *self._newest], [], []
        return kept

    def kept_numbers(self):
        """Numbers that were kept, oldest first. They stay."""
        kept = [*self._kept, *([self._join()] if self._newest else [])]
        return [loss for one in kept for loss in one.tolist()]

    def load(self, kept):
        self.drop()
        self._kept = [torch.tensor(kept, dtype=torch.float32, device="cpu")] if kept else []
        self._newest = []
