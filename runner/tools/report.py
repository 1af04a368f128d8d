"""`python -m runner.report PATH …`: results as tables, side by side, for people and for programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.core.errors import ConfigurationError, TouchstoneError
from runner.results.find import LEFT_OUT, find_runs, is_run, load_all
from runner.views import comparable, compare, tables
from runner.views.comparable import RunResult
from runner.views.export import to_csv, to_json
from runner.views.html import Section, plots_of, to_html
from runner.views.page import WIDTH, Page, screen, to_markdown, to_rich, to_text

FORMATS = ("table", "markdown", "json", "csv", "html")
_BY_ENDING = {
    ".txt": "table",
    ".md": "markdown",
    ".markdown": "markdown",
    ".json": "json",
    ".csv": "csv",
    ".html": "html",
    ".htm": "html",
}


def main(argv: list[str] | None = None) -> int:
    """Show results; returns the exit code: 0, or 2 with a paragraph that says what is wrong."""
    options = _parser().parse_args(argv)
    try:
        chosen = options.format or _by_ending(options.out)
        runs = _load(options.paths)
        runs = _sorted(runs, options.sort, force=options.force)
        explicit = all(is_run(_folder(path)) for path in options.paths)
        if chosen in ("json", "csv"):
            _write(to_json(runs) if chosen == "json" else to_csv(runs), options.out)
        else:
            _show(_sections(runs, explicit=explicit, force=options.force), chosen, options.out)
    except TouchstoneError as error:
        screen(sys.stderr).print(str(error), style="red", soft_wrap=True)
        return error.exit_code
    if options.out is not None:
        count = f"{len(runs)} run{'' if len(runs) == 1 else 's'}"
        screen(sys.stderr).print(f"Wrote {options.out}: {count} as {chosen}.", soft_wrap=True)
    return 0


def _by_ending(out: Path | None) -> str:
    """The format that a file's ending stands for.

    Raises:
        ConfigurationError: none of the known ones.
    """
    if out is None:
        return "table"
    chosen = _BY_ENDING.get(out.suffix.lower())
    if chosen is None:
        what = f"{out.suffix} stands for no format" if out.suffix else "its name has no ending"
        known = ", ".join(_BY_ENDING)
        raise ConfigurationError(
            f"--out {out}: {what}. The known endings are {known}; or say which one with --format {'|'.join(FORMATS)}."
        )
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runner.report", description="Show results: one run as its table, several side by side."
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="a run folder, a sweep folder or outputs/")
    parser.add_argument("--format", choices=FORMATS, help="default: by the ending of --out, else table")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write to a file instead of the screen")
    parser.add_argument("--sort", metavar="FIGURE", help="best run first, e.g. throughput/steady")
    parser.add_argument(
        "--force", action="store_true", help="show runs side by side that must not be compared, without a ranking"
    )
    return parser


def _folder(path: Path) -> Path:
    return path.parent if path.is_file() else path


def _load(paths: Sequence[Path]) -> list[RunResult]:
    """The results at and below the paths. A bad one among many is said; when it is all there is, it is the error."""
    folders = list(dict.fromkeys(folder for path in paths for folder in find_runs(path)))
    found, problems = load_all(folders)
    left_out = [problem for problem in problems if problem.startswith(LEFT_OUT)]
    if not found or (left_out and all(is_run(_folder(path)) for path in paths)):
        raise ConfigurationError(" ".join(problem.removeprefix(LEFT_OUT) for problem in problems))
    for problem in problems:
        _say(problem)
    return [RunResult(report=report, folder=folder) for folder, report in found]


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


def _sections(runs: list[RunResult], *, explicit: bool, force: bool) -> list[Section]:
    """One run: its table. Several named ones: one comparison. Those found in a folder: one per comparable group."""
    if len(runs) == 1:
        return [_single(runs[0], every_figure=True)]
    if force:
        return [Section(page=compare.page(runs))]
    if explicit:
        comparable.require_comparable(runs)
    groups = comparable.groups(runs)
    return [
        Section(page=compare.page(group)) if len(group) > 1 else _single(group[0], every_figure=False)
        for group in groups
    ]


def _single(run: RunResult, *, every_figure: bool) -> Section:
    page: Page = tables.page(run.report, every_figure=every_figure)
    page.note("Run folder", "heading")
    page.note(str(run.folder))
    return Section(page=page, plots=plots_of(run.folder))


def _show(sections: list[Section], chosen: str, out: Path | None) -> None:
    pages = [section.page for section in sections]
    if chosen == "html":
        _write(to_html(sections), out)
    elif chosen == "markdown":
        _write("\n".join(to_markdown(page) for page in pages), out)
    elif out is not None:
        _write("\n".join(to_text(page) for page in pages), out)
    else:
        terminal = screen()
        for index, page in enumerate(pages):
            terminal.print(*([""] if index else []), to_rich(page, width=min(terminal.width, WIDTH)), sep="\n")


def _write(text: str, out: Path | None) -> None:
    if out is None:
        screen().out(text, end="", highlight=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}.") from error
