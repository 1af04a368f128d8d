"""The forms in which `runner.report` writes results."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from runner.core.errors import ConfigurationError
from runner.messages import tr
from runner.results.ecosystem.adaptation import adaptation
from runner.results.index.summary import summary_of
from runner.views import comparable, compare, tables
from runner.views.comparable import RunResult
from runner.views.export import to_csv, to_json
from runner.views.page import Page, screen

_BY_ENDING = {
    ".txt": "table",
    ".md": "markdown",
    ".markdown": "markdown",
    ".json": "json",
    ".csv": "csv",
    ".html": "html",
    ".htm": "html",
}
OWN = ("table", "markdown", "json", "csv", "html", "adaptation")
FOREIGN = ("flagperf", "bytemlperf", "mllog")
"""Of other tools; `runner.exchange.writers` writes them."""


def names() -> list[str]:
    """What `--format` takes."""
    return [*OWN, *FOREIGN]


def chosen(asked: str | None, out: Path | None) -> str:
    """The format that was asked for, else the one that the file's ending stands for.

    Raises:
        ConfigurationError: none of the known ones.
    """
    if asked is not None:
        if asked not in names():
            raise ConfigurationError(f"--format {asked}: there is no such format. Choose one of: {', '.join(names())}.")
        return asked
    if out is None:
        return "table"
    found = _BY_ENDING.get(out.suffix.lower())
    if found is None:
        what = f"{out.suffix} stands for no format" if out.suffix else "its name has no ending"
        raise ConfigurationError(
            f"--out {out}: {what}. The known endings are {', '.join(_BY_ENDING)}; or say which one with "
            f"--format {'|'.join(names())}."
        )
    return found


def text_of(form: str, runs: Sequence[RunResult]) -> str:
    """The runs in a format for programs or browsers."""
    own: dict[str, Callable[[Sequence[RunResult]], str]] = {
        "json": to_json,
        "csv": to_csv,
        "html": to_html,
        "adaptation": adaptation_json,
    }
    return own[form](runs) if form in own else _foreign(form, runs)


def to_html(runs: Sequence[RunResult]) -> str:
    """One run's page, or that of a set."""
    from runner.views.charts.run import run_charts

    if len(runs) == 1:
        from runner.views.report.run_page import run_page

        return run_page(runs[0].folder, runs[0].report, run_charts(runs[0].folder, runs[0].report))
    from runner.views.charts.several import set_charts
    from runner.views.report.set_page import set_page

    rows = [summary_of(run.report, run.folder) for run in runs]
    return set_page(rows, runs, set_charts(runs), run_charts)


def adaptation_json(runs: Sequence[RunResult]) -> str:
    """What each vendor's and each engine's software took of what was asked, as JSON."""
    pairs = [(run.folder, run.report) for run in runs]
    found = {by: [one.to_dict() for one in adaptation(pairs, by=by)] for by in ("vendor", "compiler")}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _foreign(form: str, runs: Sequence[RunResult]) -> str:
    where = "runner.exchange.writers"
    if find_spec("runner.exchange") is None or find_spec(where) is None:
        raise ConfigurationError(f"--format {form}: this installation lacks {where}.")
    written: str = import_module(where).WRITERS[form](runs)
    return written


def detail_pages(runs: Sequence[RunResult], *, explicit: bool, force: bool) -> list[Page]:
    """One run: its table. Several named ones: one comparison. Those found in a folder: one per comparable group."""
    if len(runs) == 1:
        return [_single(runs[0], every_figure=True)]
    if force:
        return [compare.page(runs)]
    if explicit:
        comparable.require_comparable(runs)
    groups = comparable.groups(runs)
    return [compare.page(group) if len(group) > 1 else _single(group[0], every_figure=False) for group in groups]


def _single(run: RunResult, *, every_figure: bool) -> Page:
    page = tables.page(run.report, every_figure=every_figure)
    page.note(tr("Run folder"), "heading")
    page.note(str(run.folder))
    return page


def save_plots(runs: Sequence[RunResult], folder: Path) -> int:
    """Write each chart as PNG and SVG, those of a set's runs into a folder each.

    Returns:
        How many files were written.
    """
    from runner.views.charts.parts.chart import save
    from runner.views.charts.run import run_charts
    from runner.views.charts.several import set_charts
    from runner.views.report.overview import short_names

    files = 0
    try:
        names = {run.folder: name.strip("…") for run, name in _named(runs, short_names)}
        for run in runs:
            place = folder / names[run.folder] if len(runs) > 1 else folder
            for drawn in run_charts(run.folder, run.report):
                files += len(save(drawn, place, emulated=tables.emulated(run.report)))
        for drawn in set_charts(runs) if len(runs) > 1 else []:
            files += len(save(drawn, folder, emulated=False))
    except OSError as error:
        raise ConfigurationError(f"--plots {folder}: it cannot be written: {error.strerror}.") from error
    return files


def _named(
    runs: Sequence[RunResult], short: Callable[[Sequence[Path]], dict[Path, str]]
) -> list[tuple[RunResult, str]]:
    names = short([run.folder for run in runs])
    return [(run, names[run.folder]) for run in runs]


def _print(text: str) -> None:
    """Every character as it is: a console for people would take control characters out, and scripts have hashes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        screen().on_broken_pipe()


def put(text: str, out: Path | None) -> None:
    """Write to a file, or to the screen.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    if out is None:
        _print(text)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}.") from error
