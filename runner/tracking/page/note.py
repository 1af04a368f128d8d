"""A run's description on its page in MLflow: what was run, three numbers, what to keep in mind, how to repeat it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from runner.config.schema import Case
from runner.messages import tr, tr_recorded
from runner.record.names import written
from runner.record.report import Report
from runner.record.task import task_named
from runner.results.publication.rules import reasons
from runner.tracking.page.command import command
from runner.views.meanings import known
from runner.views.tables import marks, measures, publishable

NUMBERS = 3
_COLON = re.compile("[:\uff1a]")
"""English or Chinese: before it stands a mark's name, after it what it means."""
_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\|*_`[]<>#"})


def note(report: Report, case: Case, place: str) -> str:
    """The description, as Markdown. MLflow's page shows its first three lines before somebody asks for more.

    Args:
        report: the run's.
        case: what it ran.
        place: its folder, as people type it.
    """
    names = headline(report)
    told = marks(report)
    parts = [f"**{_escaped(_subject(report.case, case))}**"]
    parts += [" · ".join(f"**{_escaped(_COLON.split(mark)[0])}**" for mark in told)] if told else []
    parts += _ending(report)
    parts += [" · ".join(_number(name, report) for name in names)] if names else []
    parts += _listed(tr("Keep in mind:"), told)
    parts += _listed(tr("Not measured:"), [_reason(name, report) for name in missing(report)])
    parts += _publication(report)
    parts += _listed(tr("Warnings:"), [tr_recorded(warning) for warning in report.warnings])
    parts += [
        tr("Run it again:"),
        f"```\n{command(case, report.division.changed)}\n```",
        tr("Run folder: {place}. All figures:", place=f"`{place}`"),
        f"```\npython -m runner.report {shlex.quote(place)}\n```",
    ]
    return "\n\n".join(parts)


def headline(report: Report) -> list[str]:
    """The figures that matter most and were measured."""
    return [name for name in _main(report) if report.figures[name].value is not None][:NUMBERS]


def missing(report: Report) -> list[str]:
    """The figures that matter most and are null."""
    return [name for name in _main(report) if report.figures[name].value is None]


def _main(report: Report) -> list[str]:
    task = task_named(report.case.get("task"))
    return [name for name in (task.main_figures(report.case) if task else ()) if name in report.figures]


def _subject(told: dict[str, Any], case: Case) -> str:
    """What was run, in one line; the chip that was found rather than the one that was named."""
    chip = told.get("chip") or case.vendor.chip
    devices = f" x {case.topology.ranks}" if case.topology.ranks != 1 else ""
    model = [case.model.name, f"scale={case.scale}"] if case.has_model else []
    on = f"{case.vendor.title}{f' ({chip})' if chip else ''}{devices}"
    by = f"{case.framework.name}/{case.compiler.name}"
    batch = [f"batch={told['batch_size']}"] if told.get("batch_size") else []
    load = [f"load={told['load']}"] if told.get("load") else []
    settings = [*load, *batch, f"data={case.data.name}", f"measure={case.measure.name}"]
    return " · ".join([case.task.name, *model, case.precision.name, on, by, *settings])


def _ending(report: Report) -> list[str]:
    if report.error is None:
        return []
    return [f"**{report.error['class']}** (exit {report.exit_code}): {_escaped(tr_recorded(report.error['message']))}"]


def _number(name: str, report: Report) -> str:
    """`Throughput, steady: 9,100 images/s (95 %: 8,900 to 9,300)`."""
    meant, figure = known(name, report), report.figures[name]
    assert figure.value is not None
    value = _escaped(" ".join(written(figure.value, figure.unit, meant.form)).strip())
    title = _escaped(tr(meant.title))
    if figure.interval is None:
        return f"{title}: **{value}**"
    low, high = (written(end, figure.unit, meant.form, like=figure.value)[0] for end in figure.interval)
    return f"{title}: **{value}** ({tr('95 % interval: {low} to {high}', low=low, high=high)})"


def _reason(name: str, report: Report) -> str:
    return f"{tr(known(name, report).title)} ({name}): {tr_recorded(report.figures[name].reason or '')}"


def _publication(report: Report) -> list[str]:
    if not measures(report) or publishable(report):
        return []
    return _listed(tr("Not publishable, because of:"), [tr_recorded(reason) for reason in reasons(report)])


def _listed(title: str, sentences: Sequence[str]) -> list[str]:
    """A title and a list below it; nothing where there is nothing to list."""
    return ["\n".join([title, "", *(f"- {_escaped(sentence)}" for sentence in sentences)])] if sentences else []


def _escaped(text: str) -> str:
    """One line, with nothing in it that Markdown would take for its own."""
    return " ".join(text.split()).translate(_SPECIAL)
