"""Spaces as the core reads them."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union


def space_text(space: "Union[Mapping[str, Any], str, os.PathLike[str]]") -> tuple[str, bool]:
    """Text of a space, and whether it is JSON: else it is that of a space file, which `space` is the path of."""
    if isinstance(space, (str, os.PathLike)):
        return Path(space).read_text(encoding="utf-8"), False
    if not isinstance(space, Mapping):
        raise TypeError(f"the space is {space!r}, but must be a dict of parameters or the path of a space file")
    params = space.get("params")
    is_whole = isinstance(params, Mapping) and not isinstance(params.get("type"), str)
    return json.dumps(_table(space if is_whole else {"params": space}, "")), True


def _table(table: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The table in plain types. A key whose value is None counts as left out."""
    for key in table:
        if not isinstance(key, str):
            raise TypeError(f"{path or 'the space'} has the key {key!r}, but keys must be words")
    return {key: plain(value, f"{path}.{key}" if path else key) for key, value in table.items() if value is not None}


def plain(value: Any, path: str) -> Any:
    """The value in plain types, as JSON has them."""
    if isinstance(value, Mapping):
        return _table(value, path)
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if hasattr(value, "tolist"):
        # An array or a scalar of NumPy.
        return plain(value.tolist(), path)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`{path}` is {value}, but must be a finite number")
    if isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"`{path}` is {value!r}, but must be a word, a number, true or false, or a list or table of these")
