"""The ranges of a configuration's numbers, as types: what is outside is refused before anything starts.

A number is finite, and a truth value is no number: YAML's `true` would otherwise count as 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

LARGEST_COUNT = 10**15
"""Above any number of steps, samples or parameters; far below what 64 bits hold."""
LONGEST_S = 366 * 86400.0
"""A year, in seconds: what waits longer than that was typed by mistake, and timers cannot hold all of float64."""
LARGEST_SEED = 2**32 - 1
"""What NumPy's and Lightning's generators take."""
SHARES = ("dropout", "zoneout")
"""What the names of probabilities in an architecture end with; at 1 nothing would be left."""


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"a number is needed, not {str(value).lower()}")
    return value


_Number = BeforeValidator(_no_truth_value)

Count = Annotated[int, _Number, Field(ge=1, le=LARGEST_COUNT)]
"""At least 1."""
Finite = Annotated[float, _Number, Field(allow_inf_nan=False)]
Positive = Annotated[float, _Number, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, _Number, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, _Number, Field(ge=0, lt=1)]
"""At least 0 and below 1: momentum, Adam's betas."""
Ratio = Annotated[float, _Number, Field(ge=0, le=1)]
Seconds = Annotated[float, _Number, Field(gt=0, le=LONGEST_S)]
Workers = Annotated[int, _Number, Field(ge=0, le=1024)]
"""Processes of one rank."""
Devices = Annotated[int, _Number, Field(le=1_000_000)]
Repeats = Annotated[int, _Number, Field(ge=1, le=1000)]
Retries = Annotated[int, _Number, Field(ge=0, le=100)]
Seed = Annotated[int, _Number, Field(ge=0, le=LARGEST_SEED)]
Port = Annotated[int, _Number, Field(ge=1, le=65535)]


def check_architecture(values: Mapping[str, Any], prefix: str = "model.architecture") -> None:
    """Refuse numbers that no architecture can have: not finite, negative, a probability of dropping of 1 or more.

    Raises:
        ValueError: names the key.
    """
    for key, value in values.items():
        _check_value(f"{prefix}.{key}", value)


def _check_value(key: str, value: Any) -> None:
    if isinstance(value, Mapping):
        check_architecture(value, key)
    elif isinstance(value, list | tuple):
        for one in value:
            _check_value(key, one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value) or value < 0 or value > LARGEST_COUNT:
            raise ValueError(f"{key} must be a finite number and not negative, not {value!r:.40}")
        if key.endswith(SHARES) and value >= 1:
            raise ValueError(f"{key} is a probability: at least 0 and below 1, not {value!r:.40}")
