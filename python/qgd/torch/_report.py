"""What a controlled run tells of itself."""

import json


class Report:
    """Figures and decisions of a controlled run."""

    def on_decision(self, callback):
        """Calls `callback` with every decision: a dict with the keys step, loss, lr, weight_decay, action, reason,
        features and q_values."""
        self._callbacks.append(callback)

    def take_callbacks_of(self, other):
        """Calls what `other` calls with its decisions, too."""
        self._callbacks.extend(other._callbacks)

    def last_decision(self):
        """The last decision, be it of the policy or of the guard: a dict as for `on_decision`; None before the first."""
        return None if self._last is None else json.loads(self._last)

    def freeze(self):
        """Stops the policy from learning and exploring."""
        self._driver.freeze()

    @property
    def lr(self):
        """Learning rate in force, of the first group that has one."""
        return self._driver.lr

    @property
    def weight_decay(self):
        """Weight decay in force, where the controller moves it; else that of the first group."""
        return self._driver.weight_decay

    @property
    def moves_lr(self):
        """Whether the controller moves the learning rate."""
        return self._driver.moves_lr

    @property
    def moves_weight_decay(self):
        """Whether the controller moves the weight decay, besides the learning rate or alone."""
        return self._weight_decay is not None

    @property
    def is_due(self):
        """Whether the coming step starts with a decision."""
        return self._driver.is_due

    @property
    def steps(self):
        """Number of steps so far, those that were left out or undone included."""
        return self._driver.steps

    @property
    def total_steps(self):
        """Number of steps of the run, which the learning rate cools down for; None where it is not known."""
        return self._driver.total_steps

    @property
    def rollbacks(self):
        """Number of times that the run went back to an earlier state."""
        return self._driver.rollbacks

    @property
    def broken_batches(self):
        """Number of batches that were left out because their loss or gradient was not finite."""
        return self._driver.broken_batches

    @property
    def counts(self):
        """Number of times that each action was taken: a dict with the keys halve, accept and grow."""
        return dict(zip(("halve", "accept", "grow"), self._driver.counts))

    def _note_records(self):
        for record in self._driver.take_records():
            self._last = record
            for callback in self._callbacks:
                callback(json.loads(record))
