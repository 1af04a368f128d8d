"""Reads filters: `model=bert and precision=bf16 and throughput/steady > 100`.

The grammar is MLflow's (conditions joined by `and`), without its ceremony: a value needs no quotes, and a key no
prefix where it is one of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from typing import get_args

from runner.core.errors import ConfigurationError
from runner.record.names import FIGURES
from runner.tracking.found.condition import Condition, Kind, Operator

TAGS = (
    *("task", "model", "framework", "compiler", "vendor", "chip", "precision", "topology", "load", "scale", "data"),
    *("measure", "emulated", "division", "publishable", "quality", "python", "torch", "lightning"),
)
"""What a run's tags are called, and may be called without `tags.` here."""
SHORT: dict[str, tuple[Kind, str]] = {
    "devices": ("params", "topology.devices"),
    "seed": ("params", "seed"),
    "repeats": ("params", "measure.repeats"),
    "status": ("tags", "touchstone.status"),
    "name": ("attributes", "run_name"),
    "run": ("attributes", "run_id"),
    **{key: ("attributes", key) for key in ("run_name", "run_id", "start_time", "end_time")},
}
"""Other short names."""
_TIMES = ("start_time", "end_time")
_TAG_FAMILIES = ("touchstone.", "mlflow.", "reason.")
_CONDITION = re.compile(
    r"""\s*(?P<key>`[^`]+`|"[^"]+"|[\w./-]+?(?:\.(?:`[^`]+`|"[^"]+"))?)
        \s*(?P<operator>!=|>=|<=|==|=|>|<|\s(?:I?LIKE)\s)
        \s*(?P<value>'[^']*'|"[^"]*"|[^\s'"]+)\s*""",
    re.VERBOSE | re.IGNORECASE,
)
_AND = re.compile(r"and\s+", re.IGNORECASE)
_TRUTH = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


def parse(text: str) -> list[Condition]:
    """The conditions of a filter; none of an empty one, which every run fits.

    Raises:
        ConfigurationError: it cannot be read; says where, and names the nearest key.
    """
    conditions: list[Condition] = []
    at = len(text) - len(text.lstrip())
    while at < len(text):
        found = _CONDITION.match(text, at)
        if found is None:
            raise ConfigurationError(
                f"The filter {text!r} cannot be read from {text[at:]!r} on. Write conditions like model=bert or "
                "throughput/steady > 100, joined by and; values with spaces in quotes."
            )
        conditions.append(_condition(found["key"], found["operator"].strip().upper(), found["value"]))
        at = found.end()
        if at < len(text):
            joined = _AND.match(text, at)
            if joined is None or joined.end() == len(text):
                raise ConfigurationError(
                    f"In the filter {text!r}, {text[at:]!r} does not go on with a condition. Conditions are joined by "
                    "and; MLflow knows no or."
                )
            at = joined.end()
    return conditions


def _condition(typed: str, operator: str, value: str) -> Condition:
    kind, key = _key(typed)
    wanted: Operator = "=" if operator == "==" else next(one for one in get_args(Operator) if one == operator)
    text = value[1:-1] if value[:1] in "'\"" and value[-1:] == value[:1] and len(value) > 1 else value
    if kind == "metrics" or key in _TIMES:
        return Condition(kind=kind, key=key, operator=_ordered(key, wanted), value=_number(key, text))
    if wanted not in ("=", "!=", "LIKE", "ILIKE"):
        raise ConfigurationError(
            f"{typed} {operator} {value}: {kind} are text, which MLflow compares with =, !=, LIKE and ILIKE only; "
            "figures such as throughput/steady can be more or less."
        )
    if "," in text and text == value:
        raise ConfigurationError(f"{typed}{operator}{value}: a condition has one value. Search for each by itself.")
    if key in ("emulated", "publishable"):
        text = text.lower()
    return Condition(kind=kind, key=key, operator=wanted, value=text)


def _key(typed: str) -> tuple[Kind, str]:
    """Which of a run's keys is meant.

    Raises:
        ConfigurationError: none is called so; names the nearest.
    """
    prefix, _, rest = typed.partition(".")
    kinds: dict[str, Kind] = {"tag": "tags", "param": "params", "metric": "metrics", "attribute": "attributes"}
    kind = kinds.get(prefix.lower().removesuffix("s")) if rest else None
    if kind is not None:
        return kind, rest.strip('`"')
    key = typed.strip('`"')
    if key in SHORT:
        return SHORT[key]
    if key in TAGS or key.startswith(_TAG_FAMILIES):
        return "tags", key
    if "/" in key:
        return "metrics", key
    if "." in key:
        return "params", key
    raise unknown(key, [*TAGS, *SHORT, *FIGURES])


def unknown(key: str, known: Iterable[str]) -> ConfigurationError:
    """The error that names the nearest key there is."""
    listed = sorted(set(known))
    ends = {one.rpartition(".")[2].rpartition("/")[2]: one for one in listed}
    near = get_close_matches(key, listed, n=1, cutoff=0.5) or [
        ends[end] for end in get_close_matches(key, ends, n=1, cutoff=0.5)
    ]
    hint = f" The nearest is {near[0]}." if near else f" Runs are found by {', '.join(TAGS[:11])} and by their figures."
    return ConfigurationError(f"No run has a key {key}.{hint}")


def _ordered(key: str, operator: Operator) -> Operator:
    if operator in ("LIKE", "ILIKE"):
        raise ConfigurationError(f"{key} is a number: compare it with =, !=, >, >=, < or <=.")
    return operator


def _number(key: str, text: str) -> float:
    """A number, `yes` or `no` for a figure that is one of them, or a date for a time, as milliseconds."""
    try:
        return _TRUTH[text.lower()] if text.lower() in _TRUTH else float(text)
    except ValueError:
        pass
    try:
        if key in _TIMES:
            return datetime.fromisoformat(text).astimezone().timestamp() * 1000  # without a zone: this machine's
    except ValueError:
        pass
    what = "a date such as 2026-01-31" if key in _TIMES else "a number"
    raise ConfigurationError(f"{key}: {text!r} is not {what}.")
