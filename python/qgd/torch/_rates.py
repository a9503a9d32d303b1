"""Learning rates and weight decays in the groups of an optimizer."""

import torch


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
            return float(entry)
        value = self._known_value(i, entry)
        if value is None:
            value = entry.item()
            self._known[i] = (entry, entry._version, value)
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

    def __init__(self, groups, key):
        self.entries = Entries(key)
        self.bases = [self.entries.read(i, group) for i, group in enumerate(groups)]
        self.written = list(self.bases)
        self.factor = 1.0
        self.reference = next((i for i, base in enumerate(self.bases) if base > 0.0), None)

    @property
    def base(self):
        """The base that the driver knows."""
        return self.bases[self.reference]

    def add(self, group):
        """Takes in a new group; it stands beside those that the optimizer was built with."""
        i = len(self.bases)
        self.bases.append(self.entries.read(i, group))
        self.written.append(self.bases[i] * self.factor)
        self.entries.write(i, group, self.written[i])

    def take_in(self, groups, is_scheduled):
        """Reads what others have written since the last step. Returns whether the driver's base is another one now.

        A scheduler writes bases. Without one, a value that somebody writes is the value in force.
        """
        before = self.base
        for i, group in enumerate(groups):
            if is_scheduled:
                self.bases[i] = self.entries.read(i, group)
            elif not self.entries.holds(i, group, self.written[i]):
                self.bases[i] = self.entries.read(i, group) / self.factor
        if self.bases[self.reference] <= 0.0:
            # Nothing that a factor could move: the driver keeps the base that it knows.
            positive = next((i for i, base in enumerate(self.bases) if base > 0.0), None)
            if positive is None:
                return False
            self.reference = positive
        return self.base != before

    def is_zero(self, groups):
        """Whether the value is 0 in every group."""
        return all(self.entries.read(i, group) == 0.0 for i, group in enumerate(groups))

    def put(self, groups, value):
        """Writes the values that go with the driver's `value`."""
        base = self.base
        self.factor = value / base
        for i, group in enumerate(groups):
            # The driver's own value to the last bit, where a group has the driver's base.
            self.written[i] = value if self.bases[i] == base else self.bases[i] * self.factor
            self.entries.write(i, group, self.written[i])

    def put_bases(self, groups):
        """Writes the bases, for the scheduler to go on from."""
        for i, (base, group) in enumerate(zip(self.bases, groups)):
            self.entries.write(i, group, base)
