"""Trials as they stand in a study, and the numbers that users tell of them."""

import json
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Optional, Union


class TrialState(str, Enum):
    """State of a trial. A member equals its name in lower case, so `trial.state == "complete"` works too."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAIL = "fail"


@dataclass(frozen=True)
class FrozenTrial:
    """A trial as it stood when it was looked at.

    `values` holds one number for each objective, and None where the trial has none. `reason` says why it failed.
    `user_attrs`: what was noted with `Trial.set_user_attr`.
    """

    number: int
    state: TrialState
    params: dict[str, Any]
    values: Optional[list[float]]
    intermediate_values: dict[int, float]
    constraints: list[float]
    reason: str
    user_attrs: dict[str, Any]

    @property
    def value(self) -> Optional[float]:
        """Value of the only objective; None where the trial has none. RuntimeError where there are several."""
        if self.values is not None and len(self.values) > 1:
            raise RuntimeError(f"trial {self.number} has {len(self.values)} values: use `values`")
        return self.values[0] if self.values else None


def frozen(trial: dict[str, Any]) -> FrozenTrial:
    state = TrialState[trial["state"]]
    return FrozenTrial(
        number=trial["number"],
        state=state,
        params=trial["params"],
        values=[float(value) for value in trial["values"]] or None,
        intermediate_values={step: float(value) for step, value in trial["intermediate"]},
        constraints=[float(value) for value in trial["constraints"]],
        reason=trial["reason"] if state is TrialState.FAIL else "",
        user_attrs=trial["user_attrs"],
    )


def state_name(state: Union[TrialState, str, None]) -> str:
    """Name of a state in lower case; those of Optuna are welcome."""
    if state is None:
        return "complete"
    return str(getattr(state, "name", state)).lower()


def as_whole(value: Any, what: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} is {value!r}, but must be a whole number") from None
    if not 0 <= number < 2**63:
        raise ValueError(f"{what} is {number}, but must be from 0 to 2^63 - 1")
    return number


def as_number(value: Any, what: str) -> float:
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{what} is {value!r}, but must be a number") from None


def as_numbers(values: Any, what: str) -> list[float]:
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        raise TypeError(f"{what} are {values!r}, but must be a list of numbers")
    return [as_number(value, f"{what}, number {i}") for i, value in enumerate(values)]


def as_values(values: Any, what: str) -> list[float]:
    is_list = isinstance(values, Sequence) and not isinstance(values, (str, bytes))
    return [as_number(value, what) for value in (values if is_list else [values])]


def attr_text(key: str, value: Any) -> str:
    """A note of the user as JSON. Scalars and arrays of NumPy become numbers and lists."""
    try:
        return json.dumps(value, allow_nan=False, default=lambda item: item.tolist())
    except (AttributeError, TypeError, ValueError) as error:
        raise TypeError(f"the note '{key}' is {value!r}, which JSON cannot hold: {error}") from None
