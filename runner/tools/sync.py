"""`python -m runner.sync`: files runs that could not be filed while they went on, and repairs killed ones."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import Timeout
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from runner.core.errors import ConfigurationError
from runner.core.owner import parent_state
from runner.messages import tr
from runner.record.reading import UnreadableFolderError, reading
from runner.record.report import CHANGED, Report, load_report, parse_report
from runner.results.index import Root, roots_of
from runner.tools.filed import Filed, Outcome, Settled
from runner.tracking import store
from runner.tracking.cursor import FILE, load_cursor
from runner.tracking.local import StoreUnusableError
from runner.tracking.sweep import finish_sweep, is_sweep
from runner.tracking.uploader import Uploader
from runner.views.waiting import waiting

STYLE: dict[Outcome, str] = {
    "uploaded": "green",
    "already there": "dim",
    "skipped": "yellow",
    "bad folder": "red",
    "not filed": "red",
}
EXIT_CODE: dict[Outcome, int] = {"bad folder": 2, "not filed": 1}
LISTED = 20
"""Folders that are filed already are listed one by one when there are no more than this."""
LIMITS = store.http_limits(timeout_s=30, retries=2)


@dataclass(kw_only=True, slots=True)
class Sync:
    """Files folders one after the other."""

    uri: str | None = None
    """Another store than the one the runs name."""
    _down: dict[str, str] = field(default_factory=dict)
    """Stores that did not answer, with the reason: nobody waits for them twice."""
    _unusable: dict[str, str] = field(default_factory=dict)
    """Stores that nothing can be filed in, with the reason, which says what to do."""

    def folder(self, folder: Path) -> tuple[Outcome, str]:
        """File one run; what became of it, and a remark."""
        try:
            with reading(folder):
                return self._read_and_file(folder)
        except UnreadableFolderError as error:
            return "bad folder", f"this folder cannot be read: {error.cause}"

    def _read_and_file(self, folder: Path) -> tuple[Outcome, str]:
        try:
            why = self._nothing_to_file(folder)
            if why is not None:
                return "skipped", why
            with Uploader(folder, uri=self.uri) as uploader:
                report = self._report(folder)
                if report is None:
                    return "skipped", "it is running, or was on another machine: file it there"
                return self._file(uploader, report)
        except Timeout:
            return "skipped", "it is running, or another process is filing it"

    def _nothing_to_file(self, folder: Path) -> str | None:
        """Why a folder holds no run of a valid case; None where it does."""
        path = folder / "report.json"
        if not path.exists():
            return None
        report = load_report(path)
        if report.imported:
            return f"measured by another tool ({report.imported['format']}): MLflow holds runs of this one"
        if report.case.get("identity", "") is None:
            return "a value of its case was not valid: there is nothing to file"
        return None

    def _report(self, folder: Path) -> Report | None:
        """The run's report, built now if its parent was killed before it could; null while the parent lives."""
        path = folder / "report.json"
        if path.exists():
            report, _, intact = parse_report(path)
            if not intact:
                raise ValueError(f"{CHANGED}. It is not filed; python -m runner.verify says more")
            return report
        if parent_state(folder) != "gone":
            return None
        from runner.results.build import build
        from runner.views.charts.run import draw

        report = build(folder)
        report.save(path)
        with suppress(ModuleNotFoundError):  # a machine that measures may lack what draws
            draw(folder, report)
            report.save(path)  # once more: its hash covers the plots too
        return report

    def _file(self, uploader: Uploader, report: Report) -> tuple[Outcome, str]:
        shown = store.public_uri(uploader.uri)
        cursor = load_cursor(uploader.folder)
        if self.uri is None and cursor is not None and cursor.finished and cursor.uri != shown:
            return "already there", f"at {cursor.uri}"
        for known in (self._down, self._unusable):
            if shown in known:
                return "not filed", known[shown]
        try:
            if uploader.filed(report):
                return "already there", ""
            uploader.finish(report)
        except store.failures() as error:
            return "not filed", self._blame(uploader, error)
        return "uploaded", report.status

    def _blame(self, uploader: Uploader, error: BaseException) -> str:
        """Why a run was not filed; a store that does not answer at all is remembered."""
        problem = store.reason(error, uploader.uri)
        if isinstance(error, StoreUnusableError):
            self._unusable[store.public_uri(uploader.uri)] = problem
            return problem
        try:
            store.connect(uploader.uri, uploader.case.tracking.experiment)
        except store.failures():
            self._down[store.public_uri(uploader.uri)] = problem
        return problem

    def sweep(self, folder: Path) -> str | None:
        """Give a sweep's run its status when no process is working on it; null, or why that was not possible."""
        try:
            if not (folder / FILE).exists():
                return None
            with reading(folder):
                if is_sweep(folder) and parent_state(folder) != "alive":
                    finish_sweep(folder, uri=self.uri)
        except UnreadableFolderError as error:
            return error.cause
        return None

    @property
    def remedy(self) -> str | None:
        """What to do about stores that did not answer."""
        if not self._down:
            return None
        names = ", ".join(self._down)
        return f"No answer from {names}. Start the server, or name another with --uri, and run this command again."


def main(argv: list[str] | None = None) -> int:
    """File runs in MLflow.

    Returns:
        0: all is filed that can be; 1: a store did not answer, or refused; 2: a folder is no run's, or is damaged.
    """
    arguments = _parser().parse_args(argv)
    console = Console(soft_wrap=True)
    roots: list[Root] = []
    outcomes = Counter[Outcome]()
    for path in arguments.folders or [path for path in (Path("outputs"),) if path.is_dir()]:
        try:
            roots += roots_of([path])
        except ConfigurationError as error:
            if arguments.folders:
                outcomes["bad folder"] += 1
                console.print(_line("bad folder", path, str(error)))
    folders = list(dict.fromkeys(folder for root in roots for folder in root.folders))
    settled: dict[Path, Settled] = {}
    sweeps = list(dict.fromkeys(folder.parent for folder in folders))
    if not arguments.recheck:
        with waiting(tr("Reading what was filed")) as progress:
            settled, closed = Filed(roots=roots, uri=arguments.uri, progress=progress).of(folders)
        sweeps = [folder for folder in sweeps if folder not in closed]
    _show_settled(settled, outcomes, console)
    left = [folder for folder in folders if folder not in settled]
    with store.environment(LIMITS):
        return _sync_all(Sync(uri=arguments.uri), left, sweeps, outcomes, console)


def _sync_all(sync: Sync, folders: list[Path], sweeps: list[Path], outcomes: Counter[Outcome], console: Console) -> int:
    columns = (TextColumn("filing runs"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for folder in progress.track(folders):
            outcome, remark = sync.folder(folder)
            outcomes[outcome] += 1
            progress.console.print(_line(outcome, folder, remark))
        for parent in sweeps:
            problem = sync.sweep(parent)
            if problem is not None:
                outcomes["not filed"] += 1
                progress.console.print(_line("not filed", parent, problem))
    console.print(
        ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()) or "There are no runs to file."
    )
    if sync.remedy:
        console.print(escape(sync.remedy))
    return max((EXIT_CODE.get(outcome, 0) for outcome in outcomes), default=0)


def _show_settled(settled: Mapping[Path, Settled], outcomes: Counter[Outcome], console: Console) -> None:
    """Count the folders that nothing must be done about; few are shown one by one, of many only how many."""
    outcomes.update(outcome for outcome, _ in settled.values())
    if len(settled) <= LISTED:
        for folder, (outcome, remark) in settled.items():
            console.print(_line(outcome, folder, remark))
        return
    for (outcome, remark), count in Counter(settled.values()).items():
        console.print(_line(outcome, f"{count} run{'' if count == 1 else 's'}", remark))


def _line(outcome: Outcome, folder: Path | str, remark: str) -> str:
    return f"[{STYLE[outcome]}]{outcome}[/]  {escape(str(folder))}" + (f": {escape(remark)}" if remark else "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runner.sync", description=__doc__)
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="run folders or trees of them; default: outputs"
    )
    parser.add_argument("--uri", help="file the runs in this MLflow store instead of the one they name")
    parser.add_argument(
        "--recheck",
        action="store_true",
        help="ask the store for every run, also for those that were filed: finds those that a server has lost since",
    )
    return parser
