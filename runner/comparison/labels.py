"""What tells each run from the others, as short as it can be said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from runner.comparison.result import emulated
from runner.messages import tr
from runner.record.report import Report

_ABOUT = (
    *("task", "model", "vendor", "chip", "precision", "compiler", "framework", "topology", "devices", "scale", "data"),
    *("layout", "load"),
)
LABELLED = (*_ABOUT, "nodes", "measure", "seed")
"""Keys of the case that a label names where runs differ in them."""
_BARE = frozenset(_ABOUT) - {"devices"}
_PACKAGES = ("touchstone", "torch")
"""Whose versions tell runs apart that nothing else does."""


def labels(reports: Sequence[Report]) -> list[str]:
    """One for each report, with its number in front: `2: bf16`."""
    return [f"{index}: {one}" if one else f"{index}" for index, one in enumerate(_names(reports), 1)]


def spoken(label: str) -> str:
    """A label inside a sentence."""
    return tr("run {number}", number=label) if label.isdecimal() else label


def say(key: str, value: Any) -> str:
    """One value of the case, as a label has it."""
    if key == "devices":
        return tr("{count} device", count=value) if value == 1 else tr("{count} devices", count=value)
    return str(value) if key in _BARE else f"{key}={value}"


def _names(reports: Sequence[Report]) -> list[str]:
    differ = [key for key in LABELLED if len({str(report.case.get(key)) for report in reports}) > 1]
    names = [
        " ".join(say(key, report.case[key]) for key in differ if report.case.get(key) is not None) for report in reports
    ]
    if len({emulated(report) for report in reports}) > 1:
        names = [
            " ".join([name, tr("emulated")]) if emulated(report) else name
            for name, report in zip(names, reports, strict=True)
        ]
    changes = [
        {f"{change['key']}={change['value']}" for change in report.division.changed if not report.imported}
        for report in reports
    ]
    for own in (_without_common(changes), _without_common([_versions(report) for report in reports])):
        often = Counter(names)
        names = [
            " ".join([name, *sorted(further - set(name.split()))]).strip() if often[name] > 1 else name
            for name, further in zip(names, own, strict=True)
        ]
    return names


def _without_common(sets: Sequence[set[str]]) -> list[set[str]]:
    common = set.intersection(*sets)
    return [one - common for one in sets]


def _versions(report: Report) -> set[str]:
    packages = report.environment.get("packages")
    told = packages if isinstance(packages, dict) else {}
    return {f"{name}-{told[name]}" for name in _PACKAGES if name in told}
