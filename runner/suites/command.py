"""`python -m runner.suite list` and `python -m runner.suite score FOLDER --reference …`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from runner.commandline.catalogue import choices
from runner.commandline.language import language_of
from runner.commandline.suite import GROUP, Suite, load_suite
from runner.core.errors import ConfigurationError, GateMissedError, TouchstoneError
from runner.messages import LANGUAGES, speaking, tr
from runner.suites.against import own_reference, read_reference, score
from runner.suites.score_page import page, to_json
from runner.suites.systems import read_sweep
from runner.views.page import WIDTH, Grid, Page, screen, to_markdown, to_rich, to_text

FORMATS = ("text", "markdown", "json")


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 0, 2 with a paragraph that says what is wrong, 8 where a missing case leaves no score."""
    options = _parser().parse_args(argv)
    try:
        with speaking(language_of(options.lang)):
            if options.command == "list":
                return _list(options)
            return _score(options)
    except TouchstoneError as error:
        screen(sys.stderr).print(str(error), style="red", soft_wrap=True)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runner.suite", description="Lists of cases, and their scores.")
    commands = parser.add_subparsers(dest="command", required=True)
    listed = commands.add_parser("list", help="the suites there are, and how each is run")
    scored = commands.add_parser("score", help="a suite's run against a reference system")
    scored.add_argument("folder", metavar="FOLDER", type=Path, help="of a sweep: outputs/DATE/TIME_sweep")
    scored.add_argument(
        "--reference",
        metavar="SYSTEM",
        help="published:CHIP, for instance published:A100-SXM4-40GB, or the folder of another run of the suite",
    )
    scored.add_argument("--per-device", action="store_true", help="divide speeds by the devices of each system")
    for one in (listed, scored):
        languages = " or ".join(LANGUAGES)
        one.add_argument("--lang", metavar="LANGUAGE", help=f"{languages}; default: TOUCHSTONE_LANG, else en")
        one.add_argument("--format", choices=FORMATS, default="text")
        one.add_argument("--out", metavar="FILE", type=Path, help="write to a file instead of the screen")
    return parser


def _score(options: argparse.Namespace) -> int:
    system = read_sweep(options.folder)
    reference = options.reference or own_reference(system)
    found = score(system, read_reference(reference), per_device=options.per_device)
    about = {"system": str(options.folder), "reference": reference}
    if options.format == "json":
        _write(to_json(found, **about), options.out)
    else:
        _show(page(found, **about), options)
    return 0 if found.score is not None else GateMissedError.exit_code


def _list(options: argparse.Namespace) -> int:
    suites = [load_suite(name) for name in choices(GROUP)]
    made = Page()
    made.note(tr("Suites"), "title")
    rows = [[suite.name, suite.title, str(len(suite.cases) or "-"), _how(suite)] for suite in suites]
    made.blocks.append(Grid(header=[tr("Suite"), tr("What"), tr("Lines"), tr("Run it with")], rows=rows))
    if options.format == "json":
        _write(json.dumps([asdict(suite) for suite in suites], indent=1) + "\n", options.out)
    else:
        _show(made, options)
    return 0


def _how(suite: Suite) -> str:
    return suite.command or f"python -m runner -m suite={suite.name}"


def _show(made: Page, options: argparse.Namespace) -> None:
    if options.format == "markdown":
        _write(to_markdown(made), options.out)
    elif options.out is not None:
        _write(to_text(made, width=160), options.out)
    else:
        on = screen()
        on.print(to_rich(made, width=max(WIDTH, on.width)))


def _write(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    try:
        out.write_text(text)
    except OSError as error:
        raise ConfigurationError(f"--out {out} cannot be written: {error.strerror}.") from error
