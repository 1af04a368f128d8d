"""`python -m runner.import`: other tools' results as run folders, shown and compared like ours, never publishable."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.core.errors import ConfigurationError, TouchstoneError
from runner.exchange.as_report import to_report
from runner.exchange.base.imported import Imported
from runner.exchange.base.titles import TITLES
from runner.exchange.formats import FORMATS, find
from runner.exchange.keep import Kept, keep
from runner.exchange.supplied import KEYS, parse_supplied
from runner.messages import tr, tr_recorded
from runner.record.report import Report
from runner.views.page import NULL, Grid, Page, screen, to_rich
from runner.views.tables import value_and_unit

_SHOWN = 20
"""Results that are shown one by one; of more, those that failed and a count."""
_ONE_CASE = ("model", "chip", "vendor", "precision", "devices", "batch_size", "compiler", "task")
"""Keys that must not be supplied for unlike results at once, where their files call them by different names."""
DEFAULT_ROOT = Path("outputs/imported")


@dataclass(kw_only=True, slots=True)
class _Read:
    imported: Imported
    report: Report
    kept: Kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Import; the exit code is 0, or that of the error."""
    asked = _parser().parse_args(arguments)
    try:
        supplied = parse_supplied(asked.set)
        pairs = [pair for path in asked.paths for pair in find(path, asked.format)]
        found = [one for path, form in pairs for one in form.read(path)]
        _require_one_case(found, supplied)
        reports = [to_report(one, supplied) for one in found]
        read = [
            _Read(imported=one, report=report, kept=keep(one, report, asked.to))
            for one, report in zip(found, reports, strict=True)
        ]
    except TouchstoneError as error:
        screen(sys.stderr).print(f"{type(error).__name__}: {error}", style="red", soft_wrap=True)
        return error.exit_code
    except OSError as error:
        screen(sys.stderr).print(f"{error.filename}: {error.strerror}.", style="red", soft_wrap=True)
        return 2
    screen().print(to_rich(_page(read, asked.to)))
    return 0


def _parser() -> argparse.ArgumentParser:
    known = ", ".join(f"{name} = {TITLES[name]}" for name in FORMATS)
    parser = argparse.ArgumentParser(
        prog="python -m runner.import",
        description="Read other tools' results. What a file does not tell stays null; nothing is overwritten.",
    )
    parser.add_argument("paths", metavar="FILE_OR_FOLDER", nargs="+", type=Path, help="files, or folders to search")
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=DEFAULT_ROOT, help=f"default: {DEFAULT_ROOT}")
    parser.add_argument("--format", choices=sorted(FORMATS), help=f"default: what the file is. {known}")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help=f"what the file does not tell, recorded as supplied by hand: {', '.join(KEYS)}",
    )
    return parser


def _require_one_case(found: Sequence[Imported], supplied: dict[str, object]) -> None:
    """Refuse to give one model or chip to results that their files tell apart.

    Raises:
        ConfigurationError: names the key and the results.
    """
    told = {(one.format, str(_their_model(one))) for one in found}
    keys = [key for key in supplied if key in _ONE_CASE]
    if "model" in keys and len(told) > 1:
        names = ", ".join(sorted(name for _, name in told))
        raise ConfigurationError(
            f"--set model={supplied['model']} would call {len(told)} different models the same: {names}. "
            "Import them one by one."
        )


def _their_model(one: Imported) -> object:
    for key in ("served_model", "mlperf_model", "mlperf_benchmark", "model"):
        if one.case.get(key):
            return one.case[key]
    return one.name


def _page(read: Sequence[_Read], root: Path) -> Page:
    page = Page()
    many = len(read) > _SHOWN
    page.note(tr("Results read: {count}", count=len(read)), "title")
    shown = [one for one in read if one.report.status != "done"][:_SHOWN] if many else list(read)
    for one in shown:
        _show(page, one)
    if many:
        page.note(tr("More than {count} results: only those that failed are shown.", count=_SHOWN))
        _sum_up(page, read)
    outcomes = Counter(one.kept.outcome for one in read)
    for outcome, count in outcomes.items():
        there = outcome == "already there"
        page.note(tr("Already there: {count}", count=count) if there else tr("Imported: {count}", count=count), "good")
    page.note(tr("Shown by: python -m runner.report {folder}", folder=read[0].kept.folder if len(read) == 1 else root))
    return page


def _show(page: Page, one: _Read) -> None:
    """What was read of one result, what was not and why."""
    report = one.report
    case = [report.case.get(key) for key in ("task", "model", "chip", "precision")]
    page.note(f"{TITLES[one.imported.format]} · {one.imported.name}", "heading")
    page.note(" · ".join(str(part) if part else tr("not told") for part in case))
    if report.error:
        page.note(tr_recorded(report.error["message"]), "error")
    rows = [
        [name, *value_and_unit(name, figure, report)]
        for name, figure in report.figures.items()
        if figure.value is not None and not name.startswith("run/")
    ]
    if rows:
        page.blocks.append(Grid(header=[tr("Figure"), tr("Value"), tr("Unit")], rows=rows, right=frozenset({1})))
    if report.points:
        page.note(tr("{count} rows beside it", count=len(report.points)))
    if one.imported.dropped:
        lost = [[dropped.name, tr_recorded(dropped.why)] for dropped in one.imported.dropped]
        page.blocks.append(Grid(header=[tr("Not taken over"), tr("Why")], rows=lost))
    if not rows and not report.points:
        page.note(tr("No figure of it could be taken over."), "mark")
    for note in report.warnings:
        if not note.startswith("Not taken over: "):
            page.note(tr_recorded(note), "item")
    page.note(f"{tr('Already there') if one.kept.outcome == 'already there' else tr('Saved')}: {one.kept.folder}")


def _sum_up(page: Page, read: Sequence[_Read]) -> None:
    """Of many results: how often each figure was read, and each thing left out."""
    figures = Counter(
        name
        for one in read
        for name, figure in one.report.figures.items()
        if figure.value is not None and not name.startswith("run/")
    )
    lost = Counter((dropped.name, dropped.why) for one in read for dropped in one.imported.dropped)
    rows = [[name, f"{count:,}"] for name, count in figures.most_common()]
    page.blocks.append(Grid(header=[tr("Figure"), tr("Results")], rows=rows or [[NULL, "0"]], right=frozenset({1})))
    if lost:
        rows = [[name, f"{count:,}", tr_recorded(why)] for (name, why), count in lost.most_common(_SHOWN)]
        header = [tr("Not taken over"), tr("Results"), tr("Why")]
        page.blocks.append(Grid(header=header, rows=rows, right=frozenset({1})))
