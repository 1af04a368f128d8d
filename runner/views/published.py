"""What others published for a model, the nearest first, beside what was measured here."""

from __future__ import annotations

import math
from typing import Any

from hardware.chips import find_chip
from runner.messages import tr
from runner.record.names import written
from runner.record.report import Report
from runner.views.meanings import known
from runner.views.page import NULL, Grid

SHOWN = 6
"""Rows of the nearest; `conf/published` has all."""
HEADER = ["Figure", "Published", "Measured here", "Unit", "Chip", "Precision", "Source"]


def nearest(report: Report) -> list[dict[str, Any]]:
    """The published figures of the report's model: first those that it has, too, of its chip, precision and devices."""
    return sorted(report.published, key=lambda item: _distance(item, report))[:SHOWN]


def published_grid(report: Report) -> Grid:
    """A row for each of the nearest; a figure per device stands beside ours divided by the devices."""
    return Grid(
        header=[tr(title) for title in HEADER],
        rows=[_row(item, report) for item in nearest(report)],
        right=frozenset({1, 2}),
    )


def _row(item: dict[str, Any], report: Report) -> list[str]:
    name = str(item.get("figure", ""))
    meaning = known(name, report)
    unit = meaning.unit.format(unit=report.case.get("unit", "samples"))
    each = item.get("per") == "device"
    here = report.figures[name].value if name in report.figures else None
    if here is not None and each:
        here /= float(report.case.get("devices") or 1)
    theirs = item.get("value")
    value, shown_unit = written(theirs, unit, meaning.form) if theirs is not None else (NULL, "")
    ours = NULL if here is None else written(here, unit, meaning.form, like=theirs)[0]
    chip = f"{item.get('devices', '?')} x {item.get('chip', '?')}"
    shown_unit = tr("{unit} per device", unit=shown_unit) if each else shown_unit
    return [name, value, ours, shown_unit, chip, str(item.get("precision", "")), str(item.get("source", ""))]


def _distance(item: dict[str, Any], report: Report) -> tuple[bool, bool, bool, float]:
    devices, ours = item.get("devices") or 1, report.case.get("devices") or 1
    return (
        item.get("figure") not in report.figures,
        _chip(item.get("chip")) != _chip(report.case.get("chip")),
        item.get("precision") != report.case.get("precision"),
        abs(math.log(devices / ours)),
    )


def _chip(name: Any) -> str | None:
    """A chip's name in the catalogue, whose names others spell their own way."""
    found = find_chip(str(name))
    return str(name) if found is None else found.name
