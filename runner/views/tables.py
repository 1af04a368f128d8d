"""The page of one result: what was measured, against what, and why anything is missing.

Uses these keys of `Report.case` where they are there: task, model, scale, precision, vendor, chip, framework, compiler,
topology, devices, data, measure, seed, unit, quality_mode, quality_targets, emulated.
"""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType

from runner.comparison.result import emulated as emulated  # noqa: PLC0414 -- other views take it from here
from runner.messages import tr, tr_recorded
from runner.record.migrate import DATA
from runner.record.names import FIGURES, LAST, is_accuracy, is_quality, number, written
from runner.record.report import Figure, Report
from runner.record.task import matches, task_named
from runner.results.publication.rules import reasons
from runner.views.meanings import known
from runner.views.page import NULL, WIDTH, Grid, Page, to_rich
from runner.views.points_table import add_points
from runner.views.published import published_grid

EMULATED = "EMULATED on the host CPU: says nothing about this vendor's chips; never compare with real runs."
TINY = "TINY: the same code path at a size for a small CPU; never compare with reference results."
NOT_PUBLISHABLE = "NOT PUBLISHABLE: measured too briefly (measure={measure}); shows only that the case works."
_AS_ABOVE = "as above"
_ENDINGS = {"done": "done", "failed": "FAILED", "killed": "KILLED"}
"""How a run ended, in words."""
_VERDICTS = {True: "may be changed", False: "may not be changed"}
"""Of a changed key, whether a vendor may change it."""
_SETTINGS = frozenset({"quality/target", "quality/reached", "run/steady", "run/emulated", "run/publishable"})
"""Known without measuring."""


def table(report: Report, *, every_figure: bool = False, with_error: bool = True, width: int = WIDTH) -> RenderableType:
    """One result for a terminal; the console and `python -m runner.report` show this.

    Args:
        report: the result.
        every_figure: after the first screen, all figures under their stable names.
        with_error: false when the error has just been shown.
        width: columns of the terminal, at most.
    """
    return to_rich(page(report, every_figure=every_figure, with_error=with_error), width=width)


def page(report: Report, *, every_figure: bool = False, with_error: bool = True) -> Page:
    """One result as text and grids; the arguments are `table`'s."""
    made = Page()
    _head(made, report, with_error=with_error)
    headline = [name for name in report.figures if _on_first_screen(name, report)]
    _measured(made, report, sorted(headline, key=order))
    if every_figure and _anything_measured(report):
        made.note(tr("All figures"), "heading")
        made.blocks.append(_grid(report, sorted(report.figures, key=order), titles=False))
    if every_figure:
        _what_to_do(made, report)
    add_points(made, report)
    if report.warnings:
        made.note(tr("Warnings"), "heading")
        for warning in report.warnings:
            made.note(tr_recorded(warning), "warning")
    _not_publishable(made, report)
    _published(made, report)
    _division(made, report)
    return made


def publishable(report: Report) -> bool:
    """Whether the report says that it may be published; where nobody knows, it may not."""
    figure = report.figures.get("run/publishable")
    return figure is not None and bool(figure.value)


def marks(report: Report) -> list[str]:
    """What a reader must know before any number."""
    found = [tr(EMULATED)] if emulated(report) else []
    found += [tr(TINY)] if report.case.get("scale") == "tiny" else []
    if measures(report) and not publishable(report):
        # A run can be unpublishable for other reasons than its length; those are said by the marks above.
        smoke = report.case.get("measure") == "smoke"
        found += [tr(NOT_PUBLISHABLE, measure="smoke")] if smoke else [] if found else [tr("NOT PUBLISHABLE.")]
    return found


def measures(report: Report) -> bool:
    """Whether its task measures something; one that this installation does not have is taken for one that does."""
    task = task_named(report.case.get("task"))
    return task is None or task.on_device


def on_first_screen(name: str, report: Report) -> bool:
    """Whether the report's task shows a figure first; of a task that is not installed here, whatever was measured."""
    task = task_named(report.case.get("task"))
    if task is not None:
        return task.on_first_screen(name)
    return name in report.figures and report.figures[name].value is not None


def first_line(reason: str) -> str:
    """The first line of a reason: what a cell holds."""
    return reason.strip().partition("\n")[0]


def _said(reason: str) -> str:
    """The first line of a reason, in the reader's language."""
    return first_line(tr_recorded(reason))


def value_and_unit(name: str, figure: Figure, report: Report) -> tuple[str, str]:
    """A figure as people read it; `-` when it was not measured."""
    if figure.value is None:
        return NULL, ""
    return written(figure.value, figure.unit, known(name, report).form)


def _head(made: Page, report: Report, *, with_error: bool) -> None:
    case = report.case
    chip = f"{case.get('vendor')} ({case['chip']})" if case.get("chip") else case.get("vendor")
    subject = [case.get("task"), case.get("model"), case.get("scale"), case.get("precision"), chip]
    made.note(" · ".join(str(part) for part in subject if part), "title")
    made.note(_circumstances(case))
    for mark in marks(report):
        made.note(mark, "mark")
    if report.status == "done" and report.exit_code == 0:
        made.note(tr(_ENDINGS["done"]), "good")
        return
    ending, code = tr(_ENDINGS[report.status]), report.exit_code
    if report.error:
        made.note(tr("{ending} (exit {code}, {cause})", ending=ending, code=code, cause=report.error["class"]), "error")
    else:
        made.note(tr("{ending} (exit {code})", ending=ending, code=code), "error")
    if report.error and with_error:
        made.note(tr_recorded(report.error["message"]), "error")


def _circumstances(case: dict[str, Any]) -> str:
    devices = case.get("devices")
    several = tr("{count} device", count=devices) if devices == 1 else tr("{count} devices", count=devices)
    counted = [several] if isinstance(devices, int) else []
    plain = [str(case[key]) for key in ("framework", "compiler", "topology") if isinstance(case.get(key), str)]
    counted += [str(case["layout"])] if case.get("layout") not in (None, DATA) else []
    named = [f"{key}={case[key]}" for key in ("data", "measure", "seed") if isinstance(case.get(key), str | int)]
    return ", ".join(plain + counted + named)


def _on_first_screen(name: str, report: Report) -> bool:
    task = task_named(report.case.get("task"))
    if task is not None and report.figures[name].value is None and matches(name, task.only_measured):
        return False
    return on_first_screen(name, report)


def order(name: str) -> tuple[int, str]:
    """Qualities and the engine's accuracy first, then the registry's order, then what it does not know."""
    if is_quality(name) or is_accuracy(name):
        return -1, name
    names = list(FIGURES)
    return (names.index(name), "") if name in FIGURES else (len(names), name)


def _anything_measured(report: Report) -> bool:
    return any(figure.value is not None for name, figure in report.figures.items() if name not in _SETTINGS)


def _measured(made: Page, report: Report, names: list[str]) -> None:
    if _anything_measured(report):
        made.blocks.append(_grid(report, names, titles=True))
        return
    reasons = dict.fromkeys(_said(reason).rstrip(".。") for name in names if (reason := report.figures[name].reason))
    said = "; ".join(reasons) or tr("the report has no figures")
    made.note(tr("Nothing was measured: {reasons}.", reasons=said))


def _grid(report: Report, names: list[str], *, titles: bool) -> Grid:
    intervals = any(report.figures[name].interval for name in names)
    rows: list[list[str]] = []
    previous = ""
    for name in names:
        figure = report.figures[name]
        value, unit = value_and_unit(name, figure, report)
        note = _said(figure.reason) if figure.reason else _against(name, report) if titles else ""
        row = [tr(known(name, report).title) if titles else name, value, unit]
        row += [_interval(name, figure, report)] if intervals else []
        rows.append([*row, tr(_AS_ABOVE) if figure.reason and note == previous else note])
        previous = note
    group = [name.split("/")[0] for name in names]
    ends = frozenset(index for index in range(len(names) - 1) if group[index] != group[index + 1])
    task = task_named(report.case.get("task"))
    first = tr("Computed") if task and task.table_title == "Computed" else tr("Measured")
    header = [first if titles else tr("Figure"), tr("Value"), tr("Unit")]
    header += [tr("95 % interval")] if intervals else []
    return Grid(header=[*header, tr("Note")], rows=rows, right=frozenset({1}), groups=frozenset() if titles else ends)


def _interval(name: str, figure: Figure, report: Report) -> str:
    if figure.interval is None:
        return ""
    form = known(name, report).form
    low, high = (written(end, figure.unit, form, like=figure.value)[0] for end in figure.interval)
    return tr("{low} to {high}", low=low, high=high)


def _against(name: str, report: Report) -> str:
    """What the value of a first-screen row is held against."""
    if is_quality(name) and not name.endswith(LAST):
        return _target(name.removeprefix("quality/"), report)
    if name == "roofline/throughput_samples_per_second":
        fraction = report.figures.get("roofline/fraction")
        if fraction is None:
            return ""
        return (
            tr("{percent} % of it reached", percent=number(100 * fraction.value, 3))
            if fraction.value is not None
            else tr("reached: - ({reason})", reason=_said(fraction.reason or NULL))
        )
    if name == "run/steady" and not report.figures[name].value:
        return tr("the speed still changed when measuring began")
    return ""


def _target(metric: str, report: Report) -> str:
    targets = report.case.get("quality_targets")
    goal: float | None = targets.get(metric) if isinstance(targets, dict) else None
    if goal is None and not isinstance(targets, dict) and _first_metric(report) == metric:
        figure = report.figures.get("quality/target")
        goal = figure.value if figure else None
    if goal is None:
        return ""
    value, mode = report.figures[f"quality/{metric}"].value, report.case.get("quality_mode")
    if mode not in ("max", "min") or value is None:
        return tr("target {goal}", goal=f"{goal:g}")
    reached = value >= goal if mode == "max" else value <= goal
    asked = f"{'≥' if mode == 'max' else '≤'} {goal:g}"
    return tr("target {goal}: reached", goal=asked) if reached else tr("target {goal}: not reached", goal=asked)


def _first_metric(report: Report) -> str | None:
    """The metric that `quality/target` belongs to, where the case does not say: the only one there is."""
    metrics = [name.removeprefix("quality/") for name in report.figures if is_quality(name) and not name.endswith(LAST)]
    return metrics[0] if len(metrics) == 1 else None


def _what_to_do(made: Page, report: Report) -> None:
    """The rest of reasons that have more than one line: what a reader can do about a missing figure, once each."""
    reasons = dict.fromkeys(figure.reason.strip() for figure in report.figures.values() if figure.reason)
    long = [reason for reason in reasons if reason != first_line(reason)]
    if long:
        made.note(tr("What to do about missing figures"), "heading")
    for reason in long:
        made.note(tr_recorded(reason))


def _not_publishable(made: Page, report: Report) -> None:
    """The rules of publication that a run does not keep; a failed one has said why already."""
    if report.status == "done" and measures(report) and not publishable(report):
        made.note(tr("Not publishable"), "heading")
        for reason in reasons(report):
            made.note(tr_recorded(reason), "item")


def _published(made: Page, report: Report) -> None:
    if report.published:
        made.note(tr("Published by others, for orientation: other hardware and software"), "heading")
        made.blocks.append(published_grid(report))


def _division(made: Page, report: Report) -> None:
    division = report.division
    open_ = division.name == "open"
    changed = "more was changed than a vendor may change" if open_ else "only what a vendor may change was changed"
    meaning = tr(changed) if division.changed else tr("the reference composition, unchanged")
    made.note(tr("Division: open") if open_ else tr("Division: closed"), "heading")
    made.note(meaning, "mark" if open_ else "plain")
    for change in division.changed:
        allowed = change.get("allowed")
        verdict = "" if allowed is None else f" ({tr(_VERDICTS[bool(allowed)])})"
        made.note(f"{change.get('key')}: {change.get('reference')} → {change.get('value')}{verdict}", "item")
