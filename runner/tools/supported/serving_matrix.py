"""The table of served models by engine: how near its outputs are to the framework's in float32, or why there are none.

Made from the newest `benchmarks/results/served_zoo_*.json`, which `python -m benchmarks.served_zoo` files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.core import packages
from runner.core.errors import ConfigurationError
from runner.tools.supported.evidence import RESULTS, ROOT

FILES = "served_zoo_*.json"
LONGEST = 70
"""Letters of a reason; the file has all of it."""


def matrix(root: Path = ROOT) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows: a row for each model with an `infer:` section, a column for each engine that was tried.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    found = {(one["model"], _engine(one)): one for one in _rows(root)}
    engines = list(dict.fromkeys(engine for _, engine in found))
    head = ("`model=`", *(f"`{engine}`" for engine in engines))
    rows = [
        (f"`{model}`", *(_cell(found.get((model, engine))) for engine in engines))
        for model in packages.choices("model", outside=False)
        if _is_served(model)
    ]
    return head, rows


def _rows(root: Path) -> Iterator[dict[str, Any]]:
    files = sorted((root / RESULTS).glob(FILES))
    if not files:
        return
    try:
        yield from json.loads(files[-1].read_text())["rows"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(
            f"{files[-1]} cannot be read: {error}. Make it: python -m benchmarks.served_zoo"
        ) from error


def _is_served(model: str) -> bool:
    path = packages.leaf("model", model)
    return path is not None and "\ninfer:" in path.read_text()


def _engine(row: dict[str, Any]) -> str:
    return str(row["compiler"]) + ("" if row["precision"] == "fp32" else f" {row['precision']}")


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "not verified"
    if row["status"] == "done":
        return "exact" if row["exact"] else f"{row['snr_db']:.0f} dB"
    reason = " ".join(str(row["reason"]).split()).rstrip(".")
    return f"not supported: {reason if len(reason) <= LONGEST else reason[:LONGEST] + '…'}"
