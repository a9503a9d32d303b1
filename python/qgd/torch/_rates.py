"""Learning rates and weight decays in the groups of an optimizer."""

import torch


def number(value):
    """The number that a group's entry stands for."""
    return float(value)


def write(group, key, value):
    """Sets an entry of a group, in place where it is a tensor (`capturable`)."""
    if isinstance(group[key], torch.Tensor):
        group[key].fill_(value)
    else:
        group[key] = value


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

    @property
    def base(self):
        """The base that the driver knows."""
        return self.bases[self.reference]

    def add(self, group):
        """Takes in a new group; it stands beside those that the optimizer was built with."""
        self.bases.append(number(group[self.key]))
        self.written.append(self.bases[-1] * self.factor)
        write(group, self.key, self.written[-1])

    def take_in(self, groups, is_scheduled):
        """Reads what others have written since the last step. Returns whether the driver's base is another one now.

        A scheduler writes bases. Without one, a value that somebody writes is the value in force.
        """
        before = self.base
        for i, group in enumerate(groups):
            value = number(group[self.key])
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

    def is_zero(self, groups):
        """Whether the value is 0 in every group."""
        return all(number(group[self.key]) == 0.0 for group in groups)

    def put(self, groups, value):
        """Writes the values that go with the driver's `value`."""
        base = self.base
        self.factor = value / base
        for i, group in enumerate(groups):
            # The driver's own value to the last bit, where a group has the driver's base.
            self.written[i] = value if self.bases[i] == base else self.bases[i] * self.factor
            write(group, self.key, self.written[i])

    def put_bases(self, groups):
        """Writes the bases, for the scheduler to go on from."""
        for base, group in zip(self.bases, groups):
            write(group, self.key, base)
