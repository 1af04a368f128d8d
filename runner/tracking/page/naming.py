"""Names of runs in MLflow, whose column shows about twenty characters: what tells runs apart comes first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.config.division import flatten
from runner.config.schema import NOT_DECIDING, Case, place_name
from runner.core.tasks import TASKS

EMULATED = "EMULATED"
MOST_CHANGES = 3
"""Changed values that a name tells; of further ones their number."""
LONGEST_VALUE = 24
_USUAL = {"compiler": "eager", "load": "offline", "scale": "reference", "topology": "x1"}
"""What a name need not say."""
_ORDER = ("model", "precision", "vendor", "topology", "task", "compiler", "load", "scale")
_CHOICES = (*_ORDER, "framework", "data", "measure")


def run_name(case: Case, *, changed: Iterable[Mapping[str, Any]] = (), first: Sequence[str] = ()) -> str:
    """For instance `resnet50 bf16 nvidia x8 train batch_size=256`.

    Args:
        case: what is run.
        changed: values that are not as in its reference composition, as a report's division lists them.
        first: keys by which the cases of a sweep differ; these come first, as usual as their values may be.
    """
    words = _words(case)
    flat = flatten(case.deciding())
    changes = {str(one["key"]): one["value"] for one in changed}
    leading = [words.get(key) or _value(key, flat.get(key)) for key in first if key not in ("emulate", "vendor.chip")]
    usual = dict(_USUAL, **({"vendor": case.vendor.name} if case.vendor.on_host and not case.emulate else {}))
    following = [words[key] for key in _ORDER if key in words and key not in first and words[key] != usual.get(key)]
    chip = [case.vendor.chip] if case.vendor.chip else []
    rest = [_value(key, value) for key, value in changes.items() if key not in first and not key.startswith("vendor.")]
    more = [f"+{len(rest) - MOST_CHANGES} changes"] if len(rest) > MOST_CHANGES else []
    marks = [EMULATED] if case.emulate else []
    return " ".join([*marks, *leading, *following, *chip, *rest[:MOST_CHANGES], *more])


def _words(case: Case) -> dict[str, str]:
    """Every choice in a word."""
    named = {key: getattr(case, key).name for key in _CHOICES if key not in ("scale", "topology")}
    words = named | {"scale": case.scale, "topology": " ".join(place_name(case.topology)) or "x1"}
    if not case.has_model:
        del words["model"]
    if not TASKS.find(case.task.name).serves:
        del words["load"]
    return words


def _value(key: str, value: Any) -> str:
    """`batch_size=256` of `model.train.batch_size`."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    short = text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
    return f"{key.rpartition('.')[2]}={short}"


def varied(cases: Sequence[Case]) -> list[str]:
    """By what the cases of a sweep differ: choices of groups by the group's name, single values by their dotted key."""
    listed = [case.to_dict() for case in cases]
    if not listed:
        return []
    sections = sorted(
        (key for key in listed[0] if key not in NOT_DECIDING),
        key=lambda key: _ORDER.index(key) if key in _ORDER else len(_ORDER),
    )
    return [key for section in sections for key in _differing(section, [one[section] for one in listed])]


def _differing(section: str, values: Sequence[Any]) -> list[str]:
    """The keys of a section in which its values differ; the section itself where another choice was made."""
    if all(value == values[0] for value in values):
        return []
    if not all(isinstance(value, dict) for value in values) or len({value["name"] for value in values}) > 1:
        return [section]
    flat = [flatten(value, f"{section}.") for value in values]
    keys = dict.fromkeys(key for one in flat for key in one)
    found = [key for key in keys if len({json.dumps(one.get(key), sort_keys=True) for one in flat}) > 1]
    return list(dict.fromkeys("topology" if key.startswith("topology.") else key for key in found))
