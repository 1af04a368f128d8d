"""What lists of many runs show of each: a row of plain values, cheap for thousands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from runner.core.events import parse_line
from runner.record.names import is_accuracy, is_quality
from runner.record.report import Figure, Report, content_hash
from runner.record.run_record import PARENT_LOG
from runner.record.task import task_named

FAMILIES = ("accuracy/", "energy/", "infer/", "memory/", "operator/", "quality/", "roofline/", "throughput/")
"""Groups of figures that a summary has, beside those of the task's first screen, where they were measured."""
ALSO = ("compute/mfu", "compute/mbu", "power/device_mean_w", "run/emulated", "run/publishable", "run/steady")
_LINES = 20
"""Of the parent's log, searched for the first event: lines of other programs may stand before it."""


@dataclass(kw_only=True, slots=True)
class Summary:
    """One run, for lists of thousands; everything else is in its report."""

    folder: Path
    digest: str
    """The hash that the report's content has: two runs of one digest are copies of one."""
    intact: bool
    """Whether that is the hash the report states."""
    status: str
    exit_code: int
    error_class: str | None
    error_message: str | None
    case: dict[str, Any]
    figures: dict[str, Figure]
    """Those of the task's first screen, null or not; of speed, quality, energy and memory those that were measured."""
    emulated: bool
    publishable: bool
    """False also where the report was changed, imported, or made on an emulated device."""
    division: str
    changed: list[dict[str, Any]]
    """The division's changed keys."""
    warnings: list[str]
    imported: dict[str, str]
    published: list[dict[str, Any]]
    started_ms: int | None
    """Unix time of its first event, in milliseconds; null where there is none."""


def summary_of(
    report: Report, folder: Path, *, digest: str | None = None, intact: bool = True, started_ms: int | None = None
) -> Summary:
    """A report as a summary.

    Args:
        report: the result.
        folder: where it lies.
        digest: the hash of its content; computed where it is not given.
        intact: whether the report states this hash.
        started_ms: Unix time of its first event, in milliseconds.
    """
    emulated = bool(report.case.get("emulated")) or _yes(report, "run/emulated")
    return Summary(
        folder=folder,
        digest=digest or content_hash(report.to_dict()),
        intact=intact,
        status=report.status,
        exit_code=report.exit_code,
        error_class=report.error["class"] if report.error else None,
        error_message=report.error["message"] if report.error else None,
        case=report.case,
        figures=_chosen(report),
        emulated=emulated,
        publishable=_yes(report, "run/publishable") and intact and not emulated and not report.imported,
        division=report.division.name,
        changed=report.division.changed,
        warnings=report.warnings,
        imported=report.imported,
        published=report.published,
        started_ms=started_ms,
    )


def started_ms_of(folder: Path) -> int | None:
    """Unix time of a run's first event, in milliseconds; null where it left none."""
    try:
        with (folder / "events" / PARENT_LOG).open(errors="replace") as file:
            lines = [file.readline(1 << 16) for _ in range(_LINES)]
    except OSError:
        return None
    return next((event.time_ms for line in lines if (event := parse_line(line)) is not None), None)


def to_plain(summary: Summary) -> dict[str, Any]:
    """A summary as plain values without its folder; `from_plain` reads it back."""
    values = {part.name: getattr(summary, part.name) for part in fields(Summary) if part.name != "folder"}
    figures = {
        name: [one.value, one.unit, one.reason, one.interval, one.repeats] for name, one in summary.figures.items()
    }
    return values | {"figures": figures}


def from_plain(plain: Mapping[str, Any], folder: Path) -> Summary:
    """The summary that `to_plain` wrote down."""
    figures = {name: _figure(*parts) for name, parts in plain["figures"].items()}
    return Summary(folder=folder, **(dict(plain) | {"figures": figures}))


def _figure(value: Any, unit: str, reason: Any, interval: Any, repeats: Any) -> Figure:
    return Figure(
        value=value,
        unit=unit,
        reason=reason,
        interval=None if interval is None else tuple(interval),
        repeats=None if repeats is None else tuple(repeats),
    )


def _chosen(report: Report) -> dict[str, Figure]:
    """The figures of a summary, in the report's order."""
    task = str(report.case.get("task"))
    return {
        name: figure
        for name, figure in report.figures.items()
        if _on_first_screen(task, name) or ((report.imported or _of_interest(name)) and figure.value is not None)
    }


@cache
def _on_first_screen(task: str, name: str) -> bool:
    found = task_named(task)
    return found is not None and found.on_first_screen(name)


def _of_interest(name: str) -> bool:
    return name.startswith(FAMILIES) or name in ALSO or is_quality(name) or is_accuracy(name)


def _yes(report: Report, name: str) -> bool:
    figure = report.figures.get(name)
    return figure is not None and bool(figure.value)
