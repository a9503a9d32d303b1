"""Checkpoints of a controlled run, and its copies."""

import base64
import json
import math
import operator
import warnings

from torch.optim import Optimizer

from ._average import checked_count
from ._losses import Losses

#: What a checkpoint holds of the controller, as this version of the package writes it.
VERSION = 1

#: The key of a parameter group under which a checkpoint keeps what the controller knows.
KEY = "qgd"


class Checkpoint:
    """State dicts that the bare optimizer can load as well, and pickles."""

    def __getstate__(self):
        state = {key: value for key, value in self.__dict__.items() if key not in ("_driver", "step")}
        # What is measured and kept begins anew, as after `load_state_dict`.
        state.update(_params=None, _sample=None, _together=None, _kept=None, _first=None, _callbacks=[])
        if not isinstance(self._process_group, (type(None), bool)):
            state["_process_group"] = None
        state["_saved"] = self._saved()
        return state

    def __setstate__(self, state):
        state = dict(state)
        saved = state.pop("_saved")
        self.__dict__.update(state)
        Optimizer.__setstate__(self, {})
        self._make_driver()
        self._take_over(*self._checked(_decoded(saved), len(self.param_groups)))

    def state_dict(self):
        """The optimizer's own state dict, and beside it one string, `param_groups[0]["qgd"]`.

        It can be loaded into the bare optimizer too. A rollback after a resume goes back to the checkpoint at the
        furthest.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        state = self._base.state_dict()
        groups = [dict(group) for group in state["param_groups"]]
        groups[0][KEY] = self._saved()
        return self._hooked(self._optimizer_state_dict_post_hooks, {**state, "param_groups": groups})

    def load_state_dict(self, state_dict):
        """Goes back to a saved state, of this class or of the bare optimizer. The latter holds nothing of a controller,
        so that one begins anew at the learning rates in it, with a warning.

        Raises:
            ValueError: the state is of other groups, of another controller, or damaged. Then nothing has been changed.
        """
        state_dict = self._hooked(self._optimizer_load_state_dict_pre_hooks, dict(state_dict))
        groups = [dict(group) for group in state_dict["param_groups"]]
        saved = groups[0].pop(KEY, None) if groups else None
        loaded = None if saved is None else self._checked(_decoded(saved), len(groups))
        self._base.load_state_dict({**state_dict, "param_groups": groups})
        self._losses = Losses()
        self._forget_params()
        self._make_driver()
        self._begin_average()
        self._load_averages(state_dict)
        if loaded is None:
            warnings.warn(
                "this checkpoint was saved by the bare optimizer: the controller begins anew, at the learning rate in it",
                stacklevel=2,
            )
        else:
            self._take_over(*loaded)
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def _saved(self):
        values = {"lr": self._lr, "weight_decay": self._weight_decay}
        contents = {
            "driver": base64.b64encode(self._driver.state()).decode("ascii"),
            "version": VERSION,
            "controller": self._options["controller"],
            "measured": self._measured,
            "losses": self._losses.kept_numbers(),
            "counters": sorted(self._counters),
            "scheduled": self._was_scheduled,
            "lead": getattr(self, "_lead", 1.0),
            "values": {
                name: {"bases": value.bases, "written": value.written, "factor": value.factor, "reference": value.reference}
                for name, value in values.items()
                if value is not None
            },
        }
        if self._average is not None:
            contents["averaged"] = self._n_averaged
        return json.dumps(contents)

    def _checked(self, contents, n_groups):
        """A driver in the saved state, and the contents, which all fit."""
        version = contents.get("version", VERSION)
        if version != VERSION:
            raise ValueError(
                f"the checkpoint was saved by another version of qgd, in format {version!r}, but this one reads format "
                f"{VERSION}: install that version, or a newer one"
            )
        try:
            state = base64.b64decode(contents["driver"], validate=True)
            values = {name: _checked_value(contents["values"][name], n_groups) for name in contents["values"]}
            losses = [float(loss) for loss in contents["losses"]]
            counters = {str(counter) for counter in contents["counters"]}
            lead = _positive(contents["lead"])
            is_scheduled, measured = bool(contents["scheduled"]), contents.get("measured")
            n_averaged = checked_count(contents.get("averaged", 0))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"what the checkpoint holds of the controller is damaged: {error!r}") from error
        own, saved = self._options["controller"], contents.get("controller")
        weight_decay = self._weight_decay
        driver = self._new_driver(self._lr.base, 0.0 if weight_decay is None else weight_decay.base)
        try:
            driver.load_state(state)
            if set(values) != {"lr"} | ({"weight_decay"} if weight_decay is not None else set()):
                raise ValueError("it moves other values")
        except ValueError as error:
            if saved not in (None, own):
                hint = f"build it as QController(optimizer, '{saved}', ...) to go on"
                raise ValueError(f"the checkpoint is of the controller '{saved}', this one is '{own}': {hint}") from error
            raise ValueError(f"the checkpoint cannot go on under the controller '{own}': {error}") from error
        return driver, values, losses, counters, is_scheduled, lead, measured, n_averaged

    def _take_over(self, driver, values, losses, counters, is_scheduled, lead, measured, n_averaged):
        """Goes on from what was saved."""
        self._driver, self._measured, self._n_averaged = driver, measured, n_averaged
        for name, value in values.items():
            (self._lr if name == "lr" else self._weight_decay).__dict__.update(value)
        self._losses.load(losses)
        self._counters, self._was_scheduled, self._lead = counters, is_scheduled, lead
        if driver.steps > 0:
            # Before that (Accelerate loads every optimizer's own state) the state of the start is still to come.
            driver.forget_first()
        self._last = None


def _checked_value(value, n_groups):
    """The saved fields of a `Controlled`."""
    bases, written = ([float(one) for one in value[key]] for key in ("bases", "written"))
    if not len(bases) == len(written) == n_groups:
        raise ValueError(f"it is of {len(bases)} parameter groups, and there are {n_groups}")
    reference = operator.index(value["reference"])
    _positive(bases[range(n_groups)[reference]])
    if not all(0.0 <= one < math.inf for one in [*bases, *written]):
        raise ValueError("a rate is negative or not finite")
    return {"bases": bases, "written": written, "factor": _positive(value["factor"]), "reference": reference}


def _positive(value):
    if not 0.0 < float(value) < math.inf:
        raise ValueError(f"{value!r} is not positive")
    return float(value)


def _decoded(saved):
    try:
        contents = json.loads(saved)
    except (TypeError, ValueError) as error:
        raise ValueError(f"what the checkpoint holds of the controller is damaged: {error}") from error
    if not isinstance(contents, dict):
        raise ValueError("what the checkpoint holds of the controller is damaged: it is no table")
    return contents
