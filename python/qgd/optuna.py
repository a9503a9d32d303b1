"""The samplers of qgd for studies of Optuna: change one argument.

    study = optuna.create_study(sampler=qgd.optuna.Sampler("tpe"))
"""

import operator
import secrets
import threading
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.samplers._base import _process_constraints_after_trial
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ._core import Sampler as _CoreSampler
from ._optuna_history import History

__all__ = ["Sampler"]


class Sampler(BaseSampler):
    """A sampler of qgd for Optuna.

    `sampler`: a name out of `qgd.samplers()`, perhaps with options: "tpe", "gp", "cmaes:population=20", "q-learning".
    `seed`: seed of everything random, below 2^64; drawn where it is None. Random numbers depend on the seed and the
        number of the trial alone, so trials that run in parallel never get the same ones.
    `search_space`: parameters and their distributions, where they are known before the first trial. Without it the
        space is what all finished trials have in common, as for Optuna's own samplers.
    `constraints_func`: function of a `FrozenTrial` that answers how much it breaks each constraint: it is feasible
        where none of these numbers is above 0. `trial.set_constraint` in the objective does the same.

    A parameter that is not in the space, because it depends on others or its range changes, is sampled by itself: "tpe"
    from its own values in earlier trials, or at random where the sampler is "random". Trials that are running count as
    bad, so parallel trials differ. "grid" needs a `search_space`, and stops the study when all of it is tried.
    """

    def __init__(
        self,
        sampler: str = "tpe",
        *,
        seed: Optional[int] = None,
        search_space: Optional[Mapping[str, BaseDistribution]] = None,
        constraints_func: Optional[Callable[[FrozenTrial], Sequence[float]]] = None,
    ) -> None:
        if not isinstance(sampler, str):
            raise TypeError(f"sampler is {sampler!r}, but must be a name, as in qgd.samplers()")
        if seed is not None and not 0 <= operator.index(seed) < 2**64:
            raise ValueError(f"seed is {seed}, but must be from 0 to 2^64 - 1")
        for name, kind in (search_space or {}).items():
            if not isinstance(kind, BaseDistribution):
                raise TypeError(f"search_space['{name}'] is {kind!r}, but must be a distribution of Optuna")
        self._spec, self._name = sampler, sampler.split(":")[0]
        if self._name == "grid" and search_space is None:
            raise ValueError("sampler 'grid' must know all parameters before the first trial: give `search_space`")
        self._seed = secrets.randbits(63) if seed is None else seed
        self._search_space = None if search_space is None else dict(search_space)
        self._constraints_func = constraints_func
        self._begin()
        # What is wrong with the name or the options is said here, unless they need several objectives.
        if self._name != "nsga2":
            self._check(["minimize"])

    def __str__(self) -> str:
        return f"Sampler({self._spec!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_history")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def _begin(self) -> None:
        """What has been read of a study: it is read again by a copy and by another process."""
        self._lock = threading.Lock()
        self._history: Optional[History] = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The space given, or what the finished trials have in common."""
        with self._lock:
            return self._given_space(self._read(study, trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """All parameters of the space, by the sampler."""
        with self._lock:
            history = self._read(study, trial)
            if not search_space:
                return {}
            model = history.model(self._spec, search_space, self._seed)
            point = model.propose(trial.number)
            if point is not None:
                return point
            again = history.model("random", search_space, self._seed).propose(trial.number)
        self._stop(study)
        assert again is not None
        return again

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter by itself."""
        spec = "random" if self._name == "random" else "tpe:multivariate=false"
        # Each parameter has its own random numbers.
        seed = self._seed ^ zlib.crc32(param_name.encode())
        with self._lock:
            history = self._read(study, trial)
            point = history.model(spec, {param_name: param_distribution}, seed).propose(trial.number)
        assert point is not None
        return point[param_name]

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Optional[Sequence[float]]
    ) -> None:
        """Stores the constraints, and stops the study where everything is tried."""
        if self._constraints_func is not None:
            _process_constraints_after_trial(self._constraints_func, study, trial, state)
        if self._name == "grid" and self._is_over(study):
            self._stop(study)

    def reseed_rng(self) -> None:
        """Nothing: random numbers depend on the number of the trial, so parallel trials have different ones already."""

    def _is_over(self, study: Study) -> bool:
        """Whether nothing is left to try, now that a trial is about to end."""
        with self._lock:
            history = self._read(study, None)
            space = self._given_space(history)
            return bool(space) and history.model(self._spec, space, self._seed).propose(len(history)) is None

    def _given_space(self, history: History) -> dict[str, BaseDistribution]:
        space = history.common or {} if self._search_space is None else self._search_space
        return {name: space[name] for name in sorted(space) if not space[name].single()}

    def _read(self, study: Study, trial: Optional[FrozenTrial]) -> History:
        """The history of the study, up to date for `trial`."""
        storage, study_id = study._storage, study._study_id
        history = self._history
        if history is None or not history.is_of(storage, study_id):
            directions = [direction.name.lower() for direction in study.directions]
            self._check(directions)
            history = self._history = History(directions, storage, study_id, self._constraints_func is not None)
        history.read(trial)
        return history

    def _check(self, directions: list[str]) -> None:
        """ValueError where the sampler is not known, or not made for these directions."""
        space = [("x", '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 1}}')]
        _CoreSampler(self._spec, space, directions, self._seed)

    def _stop(self, study: Study) -> None:
        """Ends `study.optimize`. Where the user asks by hand, there is nothing to end: then a warning."""
        try:
            study.stop()
        except RuntimeError:
            warnings.warn(f"sampler '{self._spec}' has tried everything: what it proposes now is random", stacklevel=2)
