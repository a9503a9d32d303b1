"""Learning rates and weight decays in the groups of an optimizer."""

import warnings

import torch

# Number of steps in a row after which rates that somebody else writes are taken for a schedule.
A_SCHEDULE = 16


def number(value):
    """The number that a group's entry stands for."""
    return float(value)


def numbers(group):
    """The entries of a group that are numbers."""
    return {key: value for key, value in group.items() if isinstance(value, (int, float))}


def write(group, key, value):
    """Sets an entry of a group, in place where it is a tensor (`capturable`). Returns the value that it holds then: the
    number in the precision of the tensor."""
    if isinstance(group[key], torch.Tensor):
        group[key].fill_(value)
        return torch.tensor(value, dtype=group[key].dtype).item()
    group[key] = value
    return value


class Controlled:
    """One value of all groups that a driver moves: the learning rate, or the weight decay.

    Every group has a base, which is the user's, and all share one factor, which is the driver's. Without a scheduler
    the product stands in the group. A scheduler writes the bases: then the product stands there inside a step alone.
    """

    def __init__(self, groups, key):
        self.key = key
        self.bases = [number(group[key]) for group in groups]
        self.written = list(self.bases)
        self.factor = 1.0
        self.reference = next((i for i, base in enumerate(self.bases) if base > 0.0), None)
        self._n_overruled = 0

    @property
    def base(self):
        """The base that the driver knows."""
        return self.bases[self.reference]

    def add(self, group):
        """Takes in a new group; it stands beside those that the optimizer was built with."""
        self.bases.append(number(group[self.key]))
        self.written.append(write(group, self.key, self.bases[-1] * self.factor))

    def take_in(self, groups, is_scheduled):
        """Reads what others have written since the last step. Returns whether the driver's base is another one now.

        A scheduler writes bases. Without one, a value that somebody writes is the value in force.
        """
        before = self.base
        values = [number(group[self.key]) for group in groups]
        self._mind(not is_scheduled and values != self.written)
        for i, value in enumerate(values):
            if is_scheduled:
                self.bases[i] = value
            elif value != self.written[i]:
                self.bases[i] = value / self.factor
        if self.bases[self.reference] <= 0.0:
            # Nothing that a factor could move: the driver keeps the base that it knows.
            positive = next((i for i, base in enumerate(self.bases) if base > 0.0), None)
            if positive is None:
                return False
            self.reference = positive
        return self.base != before

    def _mind(self, is_overruled):
        """Says once that a schedule in the user's loop leaves nothing to the driver."""
        self._n_overruled = self._n_overruled + 1 if is_overruled else 0
        if self._n_overruled == A_SCHEDULE:
            warnings.warn(
                f"the program has written '{self.key}' into the groups before each of the last {A_SCHEDULE} steps: what "
                "you write is in force, so the controller decides nothing. Take that schedule out, or make it a "
                "torch.optim.lr_scheduler.LambdaLR, which the controller multiplies by its factor",
                stacklevel=6,
            )

    def is_zero(self, groups):
        """Whether the value is 0 in every group."""
        return all(number(group[self.key]) == 0.0 for group in groups)

    def put(self, groups, value):
        """Writes the values that go with the driver's `value`."""
        base = self.base
        self.factor = value / base
        for i, group in enumerate(groups):
            # The driver's own value to the last bit, where a group has the driver's base.
            own = value if self.bases[i] == base else self.bases[i] * self.factor
            self.written[i] = write(group, self.key, own)

    def put_bases(self, groups):
        """Writes the bases, for the scheduler to go on from."""
        for base, group in zip(self.bases, groups):
            write(group, self.key, base)


def is_scheduled(optimizers, groups):
    """Whether a scheduler of PyTorch writes the learning rates."""
    wrapped = (getattr(optimizer.__dict__.get("step"), "_wrapped_by_lr_sched", False) for optimizer in optimizers)
    return any(wrapped) or any("initial_lr" in group for group in groups)
