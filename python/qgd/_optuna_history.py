"""What a sampler has read of a study of Optuna. Each trial is read, and told to the core, once."""

import json
from collections.abc import Mapping
from typing import Any, Optional

from optuna.distributions import BaseDistribution, CategoricalDistribution, distribution_to_json
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from ._core import Sampler

Told = tuple[int, str, list[float], list[float], list[tuple[int, float]], list[float]]
Space = dict[str, BaseDistribution]

# Number of spaces for which a model is kept: that of all parameters, and one for each that is sampled by itself.
MAX_MODELS = 256


class History:
    """The trials of one study, and a model for each space in which it was sampled."""

    def __init__(self, directions: list[str], storage: BaseStorage, study_id: int, is_constrained: bool) -> None:
        self.directions, self.is_constrained = directions, is_constrained
        # Parameters and distributions that all complete and pruned trials have in common; None before the first.
        self.common: Optional[Space] = None
        # Finished trials, in the order in which they were found.
        self.finished: list[FrozenTrial] = []
        self.running: list[FrozenTrial] = []
        # What was proposed here for trials that were not finished when they were last looked at.
        self.proposed: dict[int, dict[str, Any]] = {}
        self._storage, self._study_id = storage, study_id
        self._n_seen = 0
        self._open: list[int] = []
        self._read_for: Optional[int] = None
        self._models: dict[tuple[str, int, tuple[str, ...]], Model] = {}

    def __len__(self) -> int:
        return self._n_seen

    def is_of(self, storage: BaseStorage, study_id: int) -> bool:
        """Whether it is the history of that study."""
        return self._storage is storage and self._study_id == study_id

    def read(self, trial: Optional[FrozenTrial]) -> None:
        """Reads what has changed, once for each trial that is about to be sampled."""
        if trial is not None and trial.number == self._read_for:
            return
        self._read_for = None if trial is None else trial.number
        trials = self._storage.get_all_trials(self._study_id, deepcopy=False)
        looked_at = [trials[number] for number in self._open] + trials[self._n_seen :]
        self._n_seen, self._open, self.running = len(trials), [], []
        for found in looked_at:
            if found.state.is_finished():
                self._add(found)
                continue
            self._open.append(found.number)
            if found.state == TrialState.RUNNING and found.number != self._read_for:
                self.running.append(found)

    def model(self, spec: str, space: Mapping[str, BaseDistribution], seed: int) -> "Model":
        """The model of a space."""
        key = (spec, seed, tuple(space))
        model = self._models.get(key)
        if model is None or model.space != space:
            if len(self._models) >= MAX_MODELS:
                del self._models[next(iter(self._models))]
            model = self._models[key] = Model(self, spec, dict(space), seed)
        return model

    def _add(self, trial: FrozenTrial) -> None:
        self.proposed.pop(trial.number, None)
        self.finished.append(trial)
        if trial.state == TrialState.FAIL:
            return
        found = trial.distributions
        if self.common is None:
            self.common = dict(found)
        elif self.common.keys() != found.keys() or self.common != found:
            self.common = {name: kind for name, kind in self.common.items() if found.get(name) == kind}


class Model:
    """A sampler of the core, for one space."""

    def __init__(self, history: History, spec: str, space: Space, seed: int) -> None:
        self.history, self.space = history, space
        parameters = [(name, _json(distribution)) for name, distribution in space.items()]
        self._core = Sampler(spec, parameters, history.directions, seed)
        self._n_told = 0

    def propose(self, number: int) -> Optional[dict[str, Any]]:
        """The parameters to try in trial `number`; None where nothing is left."""
        history = self.history
        new = [self._told(trial, trial.params) for trial in history.finished[self._n_told :]]
        self._n_told = len(history.finished)
        self._core.tell([told for told in new if told is not None])
        # A running trial has only those parameters yet that its objective has asked for.
        begun = ((trial, {**history.proposed.get(trial.number, {}), **trial.params}) for trial in history.running)
        pending = (self._told(trial, params) for trial, params in begun)
        point = self._core.propose(number, [told for told in pending if told is not None])
        if point is None:
            return None
        params = {name: kind.to_external_repr(inner) for (name, kind), inner in zip(self.space.items(), point)}
        history.proposed.setdefault(number, {}).update(params)
        return params

    def _told(self, trial: FrozenTrial, params: dict[str, Any]) -> Optional[Told]:
        """The trial as the core takes it. None where it is no point of the space."""
        point = []
        for name, distribution in self.space.items():
            if name not in params:
                return None
            found = trial.distributions.get(name, distribution)
            if found != distribution and type(found) is not type(distribution):
                return None
            try:
                inner = float(distribution.to_internal_repr(params[name]))
            except ValueError:
                return None
            if not distribution._contains(inner):
                return None
            point.append(inner)
        if not trial.state.is_finished():
            return trial.number, "RUNNING", point, [], [], []
        values, reports = trial.values or [], list(trial.intermediate_values.items())
        return trial.number, trial.state.name, point, list(values), reports, self._constraints(trial)

    def _constraints(self, trial: FrozenTrial) -> list[float]:
        found = list(trial.constraints.values()) if hasattr(trial, "constraints") else _noted_constraints(trial)
        # A trial whose constraints could not be computed breaks them.
        is_missing = self.history.is_constrained and not found and trial.state != TrialState.FAIL
        return [float("inf")] if is_missing else [float(number) for number in found]


def _noted_constraints(trial: FrozenTrial) -> list[float]:
    """Constraints where Optuna before version 5 keeps them."""
    return list(trial.system_attrs.get("constraints") or [])


def _json(distribution: BaseDistribution) -> str:
    """The distribution as Optuna writes it; choices by their indices, since they may be any objects."""
    if isinstance(distribution, CategoricalDistribution):
        indices = list(range(len(distribution.choices)))
        return json.dumps({"name": "CategoricalDistribution", "attributes": {"choices": indices}})
    return str(distribution_to_json(distribution))
