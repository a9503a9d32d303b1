"""Losses since the last decision. They stay on the device until somebody has to look."""

import numbers

import torch


class Losses:
    """Losses that were observed for the coming step, and those of earlier ones that the driver was not told of."""

    def __init__(self):
        self._pending = []
        # Observed before the gradients were reset: they count where nothing is observed after that.
        self._earlier = []
        self._kept = []
        #: How often something was observed.
        self.n_observed = 0

    def observe(self, loss):
        if isinstance(loss, torch.Tensor):
            if loss.numel() != 1:
                raise ValueError(
                    f"the loss has the shape {list(loss.shape)}, but it must be a single number: loss.mean(), for instance"
                )
            loss = loss.detach().reshape(()).float()
            # Of a tensor that is spread over processes, the whole.
            loss = loss.full_tensor() if hasattr(loss, "full_tensor") else loss
        elif isinstance(loss, numbers.Real) and not isinstance(loss, bool):
            loss = torch.tensor(float(loss))
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
        return pending[0] if len(pending) == 1 else torch.stack(pending).mean()

    def keep(self, loss):
        """Keeps the loss of a step for the next decision."""
        self._kept.append(loss)

    def kept(self):
        """Takes what was kept, oldest first."""
        kept, self._kept = self._kept, []
        return kept

    def kept_without_taking(self):
        return list(self._kept)

    def load(self, kept):
        self.drop()
        self._kept = [torch.tensor(float(loss)) for loss in kept]
