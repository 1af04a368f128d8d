"""The table of FlagPerf's training cells: whether each composes here, and how it went when it was run.

Runs are those of the newest `benchmarks/results/flagperf_cells_*.json`, filed by `python -m benchmarks.flagperf_cells`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra import compose

from runner.config.checks import check_for_elsewhere
from runner.config.compose import composing, to_case
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, TouchstoneError
from runner.tools.supported.coverage import ListedCell, cells
from runner.tools.supported.evidence import RESULTS, ROOT

FILES = "flagperf_cells_*.json"
CELL_HEAD = ("`model=`", "FlagPerf's framework", "`framework=`", "`vendor=`", "Composes", "Runs tiny, emulated")
LONGEST = 160
"""Letters of a reason; the file has all of it."""


def cell_rows(root: Path = ROOT) -> Iterator[tuple[str, ...]]:
    """A row for each cell, composed from its command line, with the vendor's tuning.

    Args:
        root: of the project.

    Raises:
        ConfigurationError: the file of the runs cannot be read.
    """
    runs = {(row["model"], row["framework"], row["vendor"]): row for row in _rows(root)}
    with composing():
        for one in cells():
            case = to_case(compose("config", overrides=list(one.overrides)))
            problem, not_here = refused(replace(case, emulate=False)), refused(case)
            run = runs.get((one.model, one.framework, one.vendor))
            yield (
                *(f"`{one.model}`", one.theirs, f"`{one.framework}`{_because(one)}", f"`{one.vendor}`"),
                "yes" if problem is None else f"no: {_short(problem)}",
                _told(run) if not_here is None else f"no: {_short(not_here)}",
            )


def refused(case: Case) -> str | None:
    """Why a case makes no sense on whatever machine; None: it composes."""
    try:
        check_for_elsewhere(case)
    except TouchstoneError as error:
        return str(error)
    return None


def _because(one: ListedCell) -> str:
    return "" if one.why is None else f": {one.why}"


def _told(run: dict[str, Any] | None) -> str:
    if run is None:
        return "not run"
    return "yes" if run["status"] == "done" else f"no: {_short(run['reason'])}"


def _short(reason: str) -> str:
    text = " ".join(reason.split()).rstrip(".")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _rows(root: Path) -> list[dict[str, Any]]:
    files = sorted((root / RESULTS).glob(FILES))
    if not files:
        return []
    try:
        rows: list[dict[str, Any]] = json.loads(files[-1].read_text())["rows"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(
            f"{files[-1]} cannot be read: {error}. Make it: python -m benchmarks.flagperf_cells"
        ) from error
    return rows
