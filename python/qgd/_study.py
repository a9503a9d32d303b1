"""Studies: the tuner, which proposes parameters and learns from what came of them."""

import json
import logging
import math
import operator
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Optional, SupportsFloat, Union

from . import _core
from ._core import Exhausted, Waits
from ._space import plain, space_text
from ._trials import FrozenTrial, TrialState, as_number, as_numbers, as_values, as_whole, attr_text, frozen, state_name

logger = logging.getLogger("qgd")

Values = Union[SupportsFloat, Sequence[SupportsFloat]]

# First and longest pause, in seconds, between two looks at trials that others are running.
PAUSES = (0.0002, 0.02)

# Seconds after which a worker that waits for the trials of others says so.
IDLE = 5.0


class Pruned(Exception):
    """What an objective raises to end its trial early. The value of the trial is the last that was reported."""


class Trial:
    """A running trial, as `Study.ask` hands it out: `number`, counted from 0, and `params`, a dict."""

    number: int
    params: dict[str, Any]

    def __init__(self, study: "Study", number: int, params: dict[str, Any]) -> None:
        self._study = study
        self._constraints: list[float] = []
        self.number, self.params = number, params

    def report(self, value: SupportsFloat, step: int) -> None:
        """Reports how far the objective is at `step`, a whole number that it counts: epochs, steps or anything else.

        A second value of the same step replaces the first. NaN and infinities are kept.
        """
        try:
            step = operator.index(step)
        except TypeError:
            message = f"step is {step!r}, but must be a whole number: report(value, step)"
            raise TypeError(message) from None
        what = f"the value of trial {self.number} at step {step}"
        self._study._core.report(self.number, step, as_number(value, what))

    def should_prune(self) -> bool:
        """Whether the pruner would stop the trial after its last report. Then raise `qgd.Pruned`.

        ValueError where the study has several objectives.
        """
        return self._study._core.should_prune(self.number)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Notes something about the trial, anything that JSON can hold. It stands in `FrozenTrial.user_attrs`, also in
        Optuna's."""
        self._study._core.set_trial_attr(self.number, key, attr_text(key, value))

    def set_constraints(self, constraints: Sequence[SupportsFloat]) -> None:
        """Notes how much the trial breaks each constraint: it is feasible where none of these numbers is above 0."""
        self._constraints = as_numbers(constraints, f"`constraints` of trial {self.number}")

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            if name.startswith("suggest_"):
                raise AttributeError(
                    f"a trial of qgd has no `{name}`: its parameters come from the space of the study, and stand in "
                    "trial.params. An objective that asks for them is for Optuna, with qgd.optuna.Sampler"
                )
            raise AttributeError(f"a trial has no `{name}`")

    def __repr__(self) -> str:
        return f"Trial(number={self.number}, params={self.params})"


class Study:
    """A study: it proposes trials, takes back their values, and learns which parameters are good.

    `space` is a dict with a table for each parameter, or the path of a space file (`qgd help space`):

        study = qgd.Study({
            "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
            "layers": {"type": "int", "low": 1, "high": 3},
            "skip": {"type": "categorical", "choices": ["none", "add"], "when": {"layers": [2, 3]}},
        })
        study.optimize(objective, n_trials=100)
        print(study.best_params, study.best_value)

    `name`: name of the study in its storage, which continues the study of that name where there is one.
        `Study.open` does so without being told the space again.
    `storage`: "memory:", "sqlite:///FILE" or "postgresql://USER@HOST/DATABASE"; `qgd tune`, `qgd study` and Optuna's
        dashboard read and continue the same studies.
    `direction`: "minimize", the default, or "maximize". `directions`: a list of them, for several objectives.
    `sampler`, `pruner`: names out of `samplers()` and `pruners()`, perhaps with options: "tpe:n_candidates=48".
    `seed`: seed of everything random, below 2^63. With the same seed a study tries the same.
    `lag`: number of trials that may run at the same time, on all machines together.

    Threads share one `Study`. Processes open the same storage each.
    """

    def __init__(
        self,
        space: "Union[Mapping[str, Any], str, os.PathLike[str]]",
        *,
        name: str = "study",
        storage: Optional[str] = "memory:",
        direction: Optional[str] = None,
        directions: Optional[Sequence[str]] = None,
        sampler: str = "tpe",
        pruner: str = "none",
        seed: int = 0,
        lag: int = 1,
    ) -> None:
        text, is_json = space_text(space)
        self._core = _core.Study(
            text,
            is_json=is_json,
            name=name,
            storage="memory:" if storage is None else storage,
            directions=_directions(direction, directions),
            sampler=sampler,
            pruner=pruner,
            seed=as_whole(seed, "seed"),
            lag=as_whole(lag, "lag"),
        )
        self._begin(name)

    @classmethod
    def open(cls, storage: str, name: str = "study") -> "Study":
        """The study of that name in the storage, with the space and the settings that it was made with.

        ValueError where there is none, or where it was not made by qgd.
        """
        study = cls.__new__(cls)
        study._core = _core.Study.open(storage, name)
        study._begin(name)
        return study

    def _begin(self, name: str) -> None:
        self.name, self.lag = name, self._core.lag
        self._stopped = threading.Event()

    def set_user_attr(self, key: str, value: Any) -> None:
        """Notes something about the study, anything that JSON can hold. Optuna and its dashboard show it too."""
        self._core.set_user_attr(key, attr_text(key, value))

    @property
    def user_attrs(self) -> dict[str, Any]:
        """What has been noted about the study, by anyone, as it is in the storage now."""
        attrs: dict[str, Any] = json.loads(self._core.user_attrs())
        return attrs

    @property
    def directions(self) -> list[str]:
        """Direction of each objective: "minimize" or "maximize"."""
        return self._core.directions

    @property
    def direction(self) -> str:
        """Direction of the only objective. RuntimeError where there are several."""
        self._check_one_objective("directions")
        return self.directions[0]

    def ask(self) -> Trial:
        """The next trial.

        `qgd.Waits` where `lag` trials are running already: tell one first. `qgd.Exhausted` where nothing is left.
        """
        number, params = self._core.ask()
        return Trial(self, number, json.loads(params))

    def tell(
        self,
        trial: Union[Trial, int],
        values: Optional[Values] = None,
        state: Union[TrialState, str, None] = None,
        *,
        constraints: Optional[Sequence[SupportsFloat]] = None,
        reason: str = "the program said so",
    ) -> None:
        """Says what came of a trial, given itself or its number.

        `values`: a number, or one for each objective. Infinities are kept; with a NaN the trial fails.
        `state`: "pruned" or "fail" (with `reason`) in place of values, or "waiting": it is to be tried again.
        `constraints`: the trial is feasible where none of these numbers is above 0.
        """
        number = trial.number if isinstance(trial, Trial) else as_whole(trial, "the number of a trial")
        if constraints is not None:
            constraints = as_numbers(constraints, f"`constraints` of trial {number}")
        else:
            constraints = trial._constraints if isinstance(trial, Trial) else []
        name = state_name(state)
        if values is None and name == "complete":
            raise ValueError(f"trial {number} is told without values: give a number, or state='pruned' or 'fail'")
        if values is not None and name != "complete":
            raise ValueError(f"trial {number} is told with values and '{name}', but only complete trials have values")
        told = [] if values is None else as_values(values, f"the value of trial {number}")
        self._core.tell(number, told, name, constraints, reason)

    def enqueue(self, params: Mapping[str, Any]) -> None:
        """Has these parameters tried before the sampler is asked again. It chooses those that are missing."""
        if not isinstance(params, Mapping):
            raise TypeError(f"params is {params!r}, but must be a dict of parameters")
        # None is a choice in studies that Optuna has made.
        tried = {name: None if value is None else plain(value, f"params.{name}") for name, value in params.items()}
        self._core.enqueue(json.dumps(tried))

    enqueue_trial = enqueue

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, by number."""
        return [frozen(trial) for trial in json.loads(self._core.trials())]

    @property
    def best_trials(self) -> list[FrozenTrial]:
        """The feasible complete trials that no other beats in every objective: the Pareto front, by number."""
        return [frozen(trial) for trial in json.loads(self._core.best_trials())]

    @property
    def best_trial(self) -> FrozenTrial:
        """The feasible complete trial with the best value, the first of several.

        ValueError where there is none yet; RuntimeError where there are several objectives.
        """
        self._check_one_objective("best_trials")
        best = self.best_trials
        if not best:
            raise ValueError(f"study '{self.name}' has no complete and feasible trial yet")
        return best[0]

    @property
    def best_params(self) -> dict[str, Any]:
        """Parameters of the best trial. Errors as for `best_trial`."""
        return self.best_trial.params

    @property
    def best_value(self) -> float:
        """Value of the best trial. Errors as for `best_trial`."""
        value = self.best_trial.value
        assert value is not None
        return value

    def optimize(
        self,
        objective: Callable[[Trial], Values],
        n_trials: Optional[int] = None,
        timeout: Optional[float] = None,
        n_jobs: int = 1,
        catch: Union[type[Exception], Iterable[type[Exception]]] = (),
        callbacks: Optional[Iterable[Callable[["Study", FrozenTrial], None]]] = None,
    ) -> None:
        """Evaluates `objective(trial)` for `n_trials` more trials, failed and pruned ones counted.

        The objective answers a number, or one for each objective of the study. It may raise `qgd.Pruned`. Any other
        exception fails its trial, with the reason, and ends the study unless it is one of `catch`. A trial also fails
        where the answer is NaN or no number; then the study goes on. A trial that is interrupted (Ctrl-C) is tried
        again when the study is continued.

        `timeout`: seconds after which no trial is begun. `n_jobs`: number of threads, at most the lag of the study.
        `callbacks`: functions that are called with the study and the trial after each trial.
        """
        if not 1 <= n_jobs <= self.lag:
            allowed = f"from 1 to {self.lag}, the lag of the study; make it with a larger `lag` for more"
            raise ValueError(f"n_jobs is {n_jobs}, but must be {allowed}")
        self._stopped.clear()
        budget = _Budget(n_trials, timeout)
        catch = tuple(catch) if isinstance(catch, Iterable) else (catch,)
        callbacks = list(callbacks or [])
        if n_jobs == 1:
            return self._work(objective, budget, catch, callbacks)
        with ThreadPoolExecutor(n_jobs) as pool:
            workers = [pool.submit(self._work, objective, budget, catch, callbacks) for _ in range(n_jobs)]
            try:
                for worker in workers:
                    worker.result()
            finally:
                self.stop()

    def stop(self) -> None:
        """Makes a running `optimize` begin no further trial: for callbacks, objectives and other threads."""
        self._stopped.set()

    def _work(
        self,
        objective: Callable[[Trial], Values],
        budget: "_Budget",
        catch: tuple[type[Exception], ...],
        callbacks: list[Callable[["Study", FrozenTrial], None]],
    ) -> None:
        try:
            while budget.take() and (trial := self._next(budget)) is not None:
                self._run(trial, objective, catch)
                for callback in callbacks:
                    callback(self, frozen(json.loads(self._core.trial(trial.number))))
        except Exhausted as error:
            logger.warning("%s", error)
        except BaseException:
            self.stop()
            raise

    def _next(self, budget: "_Budget") -> Optional[Trial]:
        """The next trial, as soon as it may be drawn. None when no trial is to be begun any more."""
        pause, begun, is_said = PAUSES[0], time.monotonic(), False
        while not self._stopped.is_set() and not budget.is_late():
            try:
                return self.ask()
            except Waits as error:
                if not is_said and time.monotonic() > begun + IDLE:
                    logger.warning("%s", error)
                    is_said = True
            time.sleep(pause)
            pause = min(2 * pause, PAUSES[1])
        return None

    def _run(self, trial: Trial, objective: Callable[[Trial], Values], catch: tuple[type[Exception], ...]) -> None:
        try:
            values = objective(trial)
        except Pruned:
            self.tell(trial, state="pruned")
        except Exception as error:
            self._fail(trial, f"{type(error).__name__}: {error}")
            if not isinstance(error, catch):
                raise
        except BaseException:
            self.tell(trial, state="waiting")
            raise
        else:
            try:
                self.tell(trial, as_values(values, "what the objective answered"))
            except (TypeError, ValueError) as error:
                self._fail(trial, str(error))

    def _fail(self, trial: Trial, reason: str) -> None:
        logger.warning("trial %s failed with %s: %s", trial.number, trial.params, reason)
        trial._constraints = []
        self.tell(trial, state="fail", reason=reason)

    def _check_one_objective(self, instead: str) -> None:
        if len(self.directions) > 1:
            raise RuntimeError(f"study '{self.name}' has {len(self.directions)} objectives: use `{instead}`")


class _Budget:
    """What `optimize` may use up, on all threads together."""

    def __init__(self, n_trials: Optional[int], timeout: Optional[float]) -> None:
        self._left = math.inf if n_trials is None else n_trials
        self._end = math.inf if timeout is None else time.monotonic() + timeout
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Takes one trial, if there is one left."""
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def is_late(self) -> bool:
        return time.monotonic() >= self._end


def samplers() -> dict[str, str]:
    """Names of the samplers, each with a sentence."""
    return _core.samplers()


def pruners() -> dict[str, str]:
    """Names of the pruners, each with a sentence."""
    return _core.pruners()


def _directions(one: Optional[str], several: Optional[Sequence[str]]) -> Optional[list[str]]:
    if one is not None and several is not None:
        raise ValueError("there are both `direction` and `directions`: give one of the two")
    if isinstance(several, str):
        raise TypeError(f"directions is '{several}', but must be a list: direction='{several}' is for one objective")
    return [one] if one is not None else None if several is None else list(several)
