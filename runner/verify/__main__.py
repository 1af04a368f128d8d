"""`python -m runner.verify RUN …`: whether results are intact, and whether they may be published."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from runner.config.compose import composing
from runner.config.search_path import take_search_path
from runner.core.errors import TouchstoneError
from runner.results.find import find_runs
from runner.verify.folder import verify
from runner.verify.show import page, show
from runner.verify.verdict import BROKEN
from runner.views.page import screen

SCHEMA_VERSION = 1
"""Of what `--json` prints."""


def main(arguments: list[str] | None = None) -> int:
    """Verify results.

    Returns:
        0: all are intact and publishable; 1: all are intact, not all publishable; 2: one is broken, was changed or
        cannot be read, or there is none.
    """
    options = parser().parse_args(arguments)
    try:
        take_search_path([f"hydra.searchpath=[{place}]" for place in options.searchpath])
        folders = list(dict.fromkeys(folder for path in options.runs for folder in find_runs(path)))
    except TouchstoneError as error:
        screen(sys.stderr).print(str(error), style="red", soft_wrap=True)
        return BROKEN
    with composing():
        verdicts = [verify(folder, options.searchpath) for folder in folders]
    code = max(verdict.exit_code for verdict in verdicts)
    if options.json:
        told = {"schema_version": SCHEMA_VERSION, "exit_code": code, "runs": [one.to_dict() for one in verdicts]}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return code
    show(page(verdicts))
    return code


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="python -m runner.verify",
        description="Check that results are intact and whether they may be published.",
        epilog="Exit status: 0 intact and publishable, 1 intact but not publishable, 2 broken, changed or unreadable.",
    )
    made.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a run folder, a sweep folder or outputs/")
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made.add_argument(
        "--searchpath", metavar="PLACE", nargs="+", default=[], help="configuration of your own: file:// or pkg://"
    )
    return made


if __name__ == "__main__":
    sys.exit(main())
