"""The closing table of a sweep: how every case ended, and where more is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO

from runner.console.progress import duration
from runner.core.lasting_output import standard_output
from runner.messages import tr
from runner.record.report import Report
from runner.record.task import task_named
from runner.views.meanings import known
from runner.views.page import NULL, WIDTH, Grid, Page, screen, to_rich
from runner.views.tables import value_and_unit


def show_sweep(
    folder: Path,
    reports: Mapping[Path, Report],
    *,
    seconds: Mapping[Path, float] | None = None,
    not_run: int = 0,
    file: IO[str] | None = None,
) -> None:
    """Show how every case of a sweep ended.

    Args:
        folder: the sweep's.
        reports: the result in each run folder, that of an earlier sweep where `resume=true` found it done.
        seconds: how long each took, where that is known.
        not_run: cases that were asked for and have no result.
        file: where to; None is standard output.
    """
    page = Page()
    done = sum(report.status == "done" for report in reports.values())
    count = len(reports) + not_run
    page.note(tr("Sweep: {done} of {count} cases done", done=done, count=count), "title")
    if not_run:
        page.note(tr("{count} were not run. The same command with resume=true runs them.", count=not_run), "warning")
    rows = [_row(path, report, folder, (seconds or {}).get(path)) for path, report in reports.items()]
    if rows:
        header = [tr("Case"), tr("Status"), tr("Result"), tr("Took")]
        page.blocks.append(Grid(header=header, rows=rows, right=frozenset({3})))
    on = screen(file or standard_output())
    on.print()
    on.print(to_rich(page, width=min(WIDTH, on.width)))
    on.print()
    if done > 1:
        command = f"python -m runner.compare {folder}"
        on.print(tr("Which is faster, and how sure that is: {command}", command=command), soft_wrap=True)
    on.print(tr("Show this again: {command}", command=f"python -m runner.report {folder}"), soft_wrap=True)


def _row(path: Path, report: Report, folder: Path, took_s: float | None) -> list[str]:
    cause = f", {report.error['class']}" if report.error else ""
    status = report.status if not report.exit_code else f"{report.status} (exit {report.exit_code}{cause})"
    name = path.name if path.parent == folder else tr("{name}, done earlier", name=path.name)
    return [name, status, _result(report), NULL if took_s is None else duration(took_s)]


def _result(report: Report) -> str:
    """The figure that matters most of those that were measured."""
    task = task_named(report.case.get("task"))
    names = task.main_figures(report.case) if task else ()
    name = next((one for one in names if one in report.figures and report.figures[one].value is not None), None)
    if name is None:
        return NULL
    value, unit = value_and_unit(name, report.figures[name], report)
    return f"{value} {unit}".strip() if unit else f"{tr(known(name, report).title)} {value}"
