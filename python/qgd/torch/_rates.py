"""Learning rates and weight decays in the groups of an optimizer."""

import warnings
from math import isfinite, nan

import torch

# Number of steps in a row after which rates that somebody else writes are taken for a schedule.
A_SCHEDULE = 16


def give_each_its_own(groups, key, default):
    """Gives each group a tensor of its own. Optimizers put the one that they were built with into every group: it would
    be moved once for each of them."""
    taken = [default]
    for group in groups:
        if isinstance(group[key], torch.Tensor):
            if any(group[key] is one for one in taken):
                group[key] = group[key].clone()
            taken.append(group[key])


class Entries:
    """The values under one key of the groups: numbers, or tensors of one element, which are written in place
    (`capturable`).

    To read a tensor on a device is to wait for the device. So a tensor is read only after somebody else has written it.
    """

    def __init__(self, key):
        self.key = key
        self._known = {}

    def read(self, i, group):
        """The number that stands in group i."""
        entry = group[self.key]
        if not isinstance(entry, torch.Tensor):
            return self._checked(i, entry, entry)
        value = self._known_value(i, entry)
        if value is None:
            value = self._checked(i, entry, entry.item())
            self._known[i] = (entry, entry._version, value)
        return value

    def _checked(self, i, entry, value):
        try:
            value = float(value)
        except (TypeError, ValueError):
            value = nan
        if not (isfinite(value) and value >= 0.0):
            name = {"lr": "learning rate", "weight_decay": "weight decay"}.get(self.key, self.key)
            raise ValueError(
                f"the {name} ('{self.key}') of parameter group {i} is {entry!r}, but must be a finite number, at least 0"
            )
        return value

    def holds(self, i, group, value):
        """Whether this number stands in group i, as its tensor may have rounded it."""
        entry, read = group[self.key], self.read(i, group)
        return read == value or isinstance(entry, torch.Tensor) and read == torch.tensor(value, dtype=entry.dtype).item()

    def write(self, i, group, value):
        """Sets the number of group i."""
        entry = group[self.key]
        if not isinstance(entry, torch.Tensor):
            group[self.key] = value
        elif self._known_value(i, entry) != value:
            entry.fill_(value)
            self._known[i] = (entry, entry._version, value)

    def _known_value(self, i, entry):
        """The number that was last read from this tensor or written into it; None where it is another one by now."""
        tensor, version, value = self._known.get(i, (None, 0, None))
        return value if tensor is entry and version == entry._version else None


class Controlled:
    """One value of all groups that a driver moves: the learning rate, or the weight decay.

    Every group has a base, which is the user's, and all share one factor, which is the driver's. Without a scheduler
    the product stands in the group. A scheduler writes the bases: then the product stands there inside a step alone.
    """

    def __init__(self, groups, key, default=None):
        give_each_its_own(groups, key, default)
        self.entries = Entries(key)
        self.bases = [self.entries.read(i, group) for i, group in enumerate(groups)]
        self.written = list(self.bases)
        self.factor = 1.0
        self._choose_reference()

    def _choose_reference(self):
        self.reference = next((i for i, base in enumerate(self.bases) if base > 0.0), None)
        self._n_overruled = 0

    def begin_at(self, bases):
        """Takes these bases, where the value is 0 in every group by now: a scheduler warms up from there, or ended there."""
        if len(bases) == len(self.bases):
            self.bases, self.written = list(bases), list(bases)
            self._choose_reference()

    @property
    def base(self):
        """The base that the driver knows."""
        return self.bases[self.reference]

    def add(self, groups, is_scheduled=False):
        """Takes in the first group that is new; it stands beside those that the optimizer was built with."""
        i = len(self.bases)
        group = groups[i]
        self.bases.append(self.entries.read(i, group))
        self.written.append(self.bases[i] * self.factor)
        if not is_scheduled:
            self.entries.write(i, group, self.written[i])

    def fit(self, groups, is_scheduled):
        """Takes in groups that were added by other hands, and forgets those that were taken away."""
        while len(self.bases) < len(groups):
            self.add(groups, is_scheduled)
        del self.bases[len(groups) :], self.written[len(groups) :]

    def take_in(self, groups, is_scheduled):
        """Reads what others have written since the last step. Returns whether the driver's base is another one now.

        A scheduler writes bases. Without one, a value that somebody writes is the value in force.
        """
        before = self.base
        self.fit(groups, is_scheduled)
        holds = [self.entries.holds(i, group, self.written[i]) for i, group in enumerate(groups)]
        self._mind(not is_scheduled and not all(holds))
        for i, group in enumerate(groups):
            if is_scheduled:
                self.bases[i] = self.entries.read(i, group)
            elif not holds[i]:
                self.bases[i] = self.entries.read(i, group) / self.factor
        if self.reference >= len(groups) or self.base <= 0.0:
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
                f"the program has written '{self.entries.key}' into the groups before each of the last {A_SCHEDULE} steps: "
                "what you write is in force, so the controller decides nothing. Take that schedule out, or make it a "
                "torch.optim.lr_scheduler.LambdaLR, which the controller multiplies by its factor",
                stacklevel=6,
            )

    def is_zero(self, groups):
        """Whether the value is 0 in every group."""
        return all(self.entries.read(i, group) == 0.0 for i, group in enumerate(groups))

    def put(self, groups, value):
        """Writes the values that go with the driver's `value`."""
        base = self.base
        if base <= 0.0:
            # It is 0 in every group, which means that it is off.
            return
        self.factor = value / base
        for i, group in enumerate(groups):
            # The driver's own value to the last bit, where a group has the driver's base.
            self.written[i] = value if self.bases[i] == base else self.bases[i] * self.factor
            self.entries.write(i, group, self.written[i])

    def put_bases(self, groups):
        """Writes the bases, for the scheduler to go on from."""
        for i, (base, group) in enumerate(zip(self.bases, groups)):
            self.entries.write(i, group, base)
