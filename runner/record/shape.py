"""Whether a `report.json` has the form that everything which shows or files it relies on."""

from __future__ import annotations

import json
import math
from typing import Any

DEEPEST = 32
"""Levels of nesting that a report may have; the engine's own has less than ten."""
_PLAIN = (str, int, float, bool)
_STATUS = ("done", "failed", "killed")
_FIGURE = frozenset({"value", "unit", "reason", "interval", "repeats"})
_TYPES: dict[str, type | tuple[type, ...]] = {
    "exit_code": int,
    "error": (dict, type(None)),
    "case": dict,
    "figures": dict,
    "precision": dict,
    "division": dict,
    "environment": dict,
    "warnings": list,
    "published": list,
    "points": list,
    "publication": (dict, type(None)),
    "imported": dict,
    "files": dict,
}


def plain_json(text: str) -> Any:
    """A JSON document; one with NaN or infinity, which JSON does not have, is refused.

    Raises:
        ValueError: it is none, or is nested too deeply to be a report.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if _deeper_than(value, DEEPEST):
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


def _deeper_than(value: Any, levels: int) -> bool:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_deeper_than(item, levels - 1) for item in below if isinstance(item, dict | list))


def check_shape(raw: dict[str, Any]) -> None:
    """Hold a report, its hash taken away, to the types of its parts.

    Raises:
        ValueError: names the first part that is not as it should be.
    """
    for name, kind in _TYPES.items():
        if name in raw and (not isinstance(raw[name], kind) or isinstance(raw[name], bool)):
            raise ValueError(f"{name} is {_shown(raw[name])}")
    _require(raw.get("status") in _STATUS, "status", raw.get("status"))
    _require(_texts(raw["warnings"]), "warnings", raw["warnings"])
    for name in ("files", "imported"):
        _require(_texts(raw.get(name, {}).values()), name, raw.get(name))
    if raw["error"] is not None:
        _require(set(raw["error"]) == {"class", "message"} and _texts(raw["error"].values()), "error", raw["error"])
    for name, figure in raw["figures"].items():
        _check_figure(name, figure)
    _check_case(raw["case"])
    _check_division(raw["division"])
    for one in raw.get("published", []):
        _require(isinstance(one, dict) and _number_or_null(one.get("value")), "published", one)
    for one in raw.get("points", []):
        plain = isinstance(one, dict) and all(value is None or isinstance(value, _PLAIN) for value in one.values())
        _require(plain, "points", one)
    if raw.get("publication") is not None:
        _check_publication(raw["publication"])


def _check_figure(name: str, figure: Any) -> None:
    _require(isinstance(figure, dict) and figure.keys() <= _FIGURE, f"figures.{name}", figure)
    _require(_number_or_null(figure["value"]), f"figures.{name}.value", figure["value"])
    _require(isinstance(figure["unit"], str), f"figures.{name}.unit", figure["unit"])
    reason, interval = figure.get("reason"), figure.get("interval")
    _require(reason is None or isinstance(reason, str), f"figures.{name}.reason", reason)
    ends = interval if isinstance(interval, list) and len(interval) == 2 else [None]  # noqa: PLR2004 -- its two ends
    _require(interval is None or all(map(_number, ends)), f"figures.{name}.interval", interval)
    repeats = figure.get("repeats")
    _require(repeats is None or _numbers(repeats), f"figures.{name}.repeats", repeats)


def _check_case(case: dict[str, Any]) -> None:
    for name, value in case.items():
        if name == "quality_targets":
            _require(isinstance(value, dict) and all(map(_number, value.values())), f"case.{name}", value)
        else:
            _require(value is None or isinstance(value, str | int | float), f"case.{name}", value)


def _check_division(division: dict[str, Any]) -> None:
    _require(division.get("name") in ("closed", "open"), "division.name", division.get("name"))
    changed = division.get("changed", [])
    _require(isinstance(changed, list), "division.changed", changed)
    for change in changed:
        whole = isinstance(change, dict) and {"key", "reference", "value", "allowed"} <= change.keys()
        _require(whole and isinstance(change["key"], str), "division.changed", change)


def _check_publication(publication: dict[str, Any]) -> None:
    for name, kind in (("asked", dict), ("parts", list), ("by_run", bool), ("rules", list)):
        _require(isinstance(publication.get(name), kind), f"publication.{name}", publication.get(name))
    _require(all(isinstance(part, dict) for part in publication["parts"]), "publication.parts", publication["parts"])
    for rule in publication["rules"]:
        whole = isinstance(rule, dict) and rule.keys() == {"rule", "asks", "outcome", "text"}
        _require(whole and _texts(rule.values()), "publication.rules", rule)


def _require(kept: bool, name: str, value: Any) -> None:
    if not kept:
        raise ValueError(f"{name} is {_shown(value)}")


def _number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300 and math.isfinite(value)  # noqa: PLR2004 -- what float arithmetic still holds


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_number, value))


def _number_or_null(value: Any) -> bool:
    return value is None or _number(value)


def _texts(values: Any) -> bool:
    return all(isinstance(value, str) for value in values)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"  # noqa: PLR2004 -- a line of a terminal
