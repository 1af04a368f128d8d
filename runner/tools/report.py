"""`python -m runner.report PATH …`: results as tables and as a page with charts, for people and for programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.commandline.language import language_of
from runner.core.errors import ConfigurationError, TouchstoneError
from runner.messages import LANGUAGES, speaking, tr
from runner.results.find import LEFT_OUT, find_runs, is_run, load_all
from runner.results.index import summaries
from runner.tools import report_formats as formats
from runner.views import comparable
from runner.views.comparable import RunResult
from runner.views.page import WIDTH, Page, screen, to_markdown, to_rich, to_text
from runner.views.report import overview
from runner.views.waiting import waiting

WIDEST = 160
"""Columns that the rows of a set may take on a wide terminal."""


def main(argv: list[str] | None = None) -> int:
    """Show results; returns the exit code: 0, or 2 with a paragraph that says what is wrong."""
    options = _parser().parse_args(argv)
    try:
        with speaking(language_of(options.lang)):
            return _show(options)
    except TouchstoneError as error:
        screen(sys.stderr).print(str(error), style="red", soft_wrap=True)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runner.report",
        description="Show results: one run as its table, several as a row each; as a page with charts with --out.",
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="a run folder, a sweep folder or outputs/")
    parser.add_argument(
        "--format", metavar="FORMAT", help=f"{', '.join(formats.names())}; default: by the ending of --out, else table"
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="write to a file instead of the screen")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --out")
    parser.add_argument("--plots", metavar="FOLDER", type=Path, help="write each chart as PNG and SVG, too")
    parser.add_argument(
        "--lang", metavar="LANGUAGE", help=f"{' or '.join(LANGUAGES)}; default: TOUCHSTONE_LANG, else en"
    )
    parser.add_argument("--detail", action="store_true", help="of several runs, every figure side by side")
    parser.add_argument("--sort", metavar="FIGURE", help="best run first, e.g. throughput/steady")
    parser.add_argument(
        "--force", action="store_true", help="with --detail: runs that must not be compared, without a ranking"
    )
    return parser


def _show(options: argparse.Namespace) -> int:
    form = formats.chosen(options.format, options.out)
    if options.out is not None and options.out.is_file() and not options.overwrite:
        raise ConfigurationError(f"--out {options.out}: there is such a file. Choose another name, or add --overwrite.")
    many = _several(options.paths)
    if many and form in ("table", "markdown") and not options.detail and options.plots is None:
        count = _overview(options, form)
    else:
        runs = _sorted(_load(options.paths), options.sort, force=options.force)
        _write(options, form, runs)
        count = len(runs)
    if options.out is not None:
        said = tr("Wrote {file}: {count} runs as {form}.", file=options.out, count=count, form=form)
        screen(sys.stderr).print(said, soft_wrap=True)
    return 0


def _several(paths: Sequence[Path]) -> bool:
    return len(paths) > 1 or not is_run(_folder(paths[0]))


def _folder(path: Path) -> Path:
    return path.parent if path.is_file() else path


def _overview(options: argparse.Namespace, form: str) -> int:
    """A row per run; returns how many there are."""
    with waiting(tr("Reading results")) as progress:
        found, problems = summaries(options.paths, progress=progress)
    _tell(problems, found=bool(found), explicit=_explicit(options.paths))
    found = overview.sorted_by(found, options.sort) if options.sort else found
    if len(found) == 1:
        runs = _load(options.paths)
        _write(options, form, runs)
        return 1
    page = overview.page(found)
    if form == "markdown":
        formats.put(to_markdown(page), options.out)
    elif options.out is not None:
        formats.put(to_text(page, width=WIDEST), options.out)
    else:
        terminal = screen()
        terminal.width = min(terminal.width, WIDEST) if terminal.is_terminal else WIDEST
        terminal.print(to_rich(page, width=terminal.width))
    return len(found)


def _explicit(paths: Sequence[Path]) -> bool:
    return all(is_run(_folder(path)) for path in paths)


def _load(paths: Sequence[Path]) -> list[RunResult]:
    """The results at and below the paths. A bad one among many is said; when it is all there is, it is the error."""
    folders = list(dict.fromkeys(folder for path in paths for folder in find_runs(path)))
    found, problems = load_all(folders)
    _tell(problems, found=bool(found), explicit=_explicit(paths))
    return [RunResult(report=report, folder=folder) for folder, report in found]


def _tell(problems: Sequence[str], *, found: bool, explicit: bool) -> None:
    """Say what could not be read.

    Raises:
        ConfigurationError: it was asked for by name, or nothing else is there.
    """
    left_out = [problem for problem in problems if problem.startswith(LEFT_OUT)]
    if not found or (left_out and explicit):
        raise ConfigurationError(" ".join(problem.removeprefix(LEFT_OUT) for problem in problems))
    for problem in problems:
        _say(problem)


def _sorted(runs: list[RunResult], figure: str | None, *, force: bool) -> list[RunResult]:
    if figure is None:
        return runs
    ranked = comparable.sort_runs(runs, figure)
    if force and len(comparable.groups(runs)) > 1:
        _say(f"--sort has no effect: with --force, these runs are not ranked by {figure}.")
        return runs
    return ranked


def _say(text: str) -> None:
    screen(sys.stderr).print(text, style="yellow", soft_wrap=True)


def _write(options: argparse.Namespace, form: str, runs: list[RunResult]) -> None:
    if options.plots is not None:
        files = formats.save_plots(runs, options.plots)
        _say(tr("Wrote {count} pictures into {folder}.", count=files, folder=options.plots))
        if options.out is None and options.format is None:
            return
    if form not in ("table", "markdown"):
        formats.put(formats.text_of(form, runs), options.out)
        return
    pages = formats.detail_pages(runs, explicit=_explicit(options.paths), force=options.force)
    if form == "markdown":
        formats.put("\n".join(to_markdown(page) for page in pages), options.out)
    elif options.out is not None:
        formats.put("\n".join(to_text(page) for page in pages), options.out)
    else:
        _print(pages)


def _print(pages: Sequence[Page]) -> None:
    terminal = screen()
    for index, page in enumerate(pages):
        terminal.print(*([""] if index else []), to_rich(page, width=min(terminal.width, WIDTH)), sep="\n")
