"""Checkpoints of a controlled run, and its copies."""

import base64
import json
import warnings

import torch
from torch.optim import Optimizer

from ._losses import Losses

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
        self._load_saved(saved)

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
            ValueError: the state is of other groups, of another controller, or damaged.
        """
        state_dict = self._hooked(self._optimizer_load_state_dict_pre_hooks, dict(state_dict))
        groups = [dict(group) for group in state_dict["param_groups"]]
        saved = groups[0].pop(KEY, None) if groups else None
        contents = None if saved is None else _decoded(saved)
        self._base.load_state_dict({**state_dict, "param_groups": groups})
        self._losses = Losses()
        self._forget_params()
        self._make_driver()
        if contents is None:
            warnings.warn(
                "this checkpoint was saved by the bare optimizer: the controller begins anew, at the learning rate in it",
                stacklevel=2,
            )
        else:
            self._load_contents(contents)
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def _saved(self):
        values = {"lr": self._lr, "weight_decay": self._weight_decay}
        contents = {
            "controller": self._options["controller"],
            "driver": base64.b64encode(self._driver.state()).decode("ascii"),
            "losses": [one.item() for one in self._losses.kept_without_taking()],
            "counters": sorted(self._counters),
            "scheduled": self._was_scheduled,
            "lead": getattr(self, "_lead", 1.0),
            "values": {
                name: {"bases": value.bases, "written": value.written, "factor": value.factor, "reference": value.reference}
                for name, value in values.items()
                if value is not None
            },
        }
        return json.dumps(contents)

    def _load_saved(self, saved):
        self._load_contents(_decoded(saved))

    def _load_driver(self, state, controller):
        try:
            self._driver.load_state(state)
        except ValueError as error:
            own = self._options["controller"]
            if controller in (None, own):
                raise
            hint = f"build it as QController(optimizer, '{controller}', ...) to go on"
            raise ValueError(f"the checkpoint is of the controller '{controller}', this one is '{own}': {hint}") from error

    def _load_contents(self, contents):
        try:
            self._load_driver(base64.b64decode(contents["driver"]), contents.get("controller"))
            for name, value in contents["values"].items():
                target = self._lr if name == "lr" else self._weight_decay
                target.__dict__.update(value)
            self._losses.load(contents["losses"])
            self._counters = set(contents["counters"])
            self._was_scheduled, self._lead = contents["scheduled"], contents["lead"]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"what the checkpoint holds of the controller is damaged: {error!r}") from error
        if self._driver.steps > 0:
            # Before that (Accelerate loads every optimizer's own state) the state of the start is still to come.
            self._driver.forget_first()
        self._last = None


def _decoded(saved):
    try:
        contents = json.loads(saved)
    except (TypeError, ValueError) as error:
        raise ValueError(f"what the checkpoint holds of the controller is damaged: {error}") from error
    if not isinstance(contents, dict):
        raise ValueError("what the checkpoint holds of the controller is damaged: it is no table")
    return contents
