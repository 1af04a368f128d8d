"""ByteMLPerf micro_perf: JSON lines of one operator, a line for each case of its workload."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.core.errors import ConfigurationError
from runner.exchange.base.imported import Imported

_KEYS = frozenset({"sku_name", "op_name", "provider", "arguments", "targets"})
_NAME = re.compile(r"(.+)\((.+)\)")
_UNITS = {"us": "us", "B": "bytes", "GB/s": "gb_per_second", "tflops": "tflops"}
"""Units of the columns, as they stand in brackets, and how ours say them."""


def detect(path: Path) -> bool:
    """Whether a file is JSON lines of micro_perf, by its first line."""
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return _line(file.readline()).keys() >= _KEYS


def read(path: Path) -> list[Imported]:
    """One result with a point for each line; operators have no single figure over all shapes.

    Raises:
        ConfigurationError: a line is damaged, in an unknown unit, or of another operator or chip than the first.
    """
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    rows = [_line(line) for line in lines]
    for index, row in enumerate(rows):
        if not row.keys() >= _KEYS or not isinstance(row["targets"], dict) or not isinstance(row["arguments"], dict):
            raise ConfigurationError(f"{path}: line {index + 1} is no result of micro_perf: {lines[index][:60]}")
    first = rows[0]
    for key in ("sku_name", "op_name", "provider"):
        if len({str(row[key]) for row in rows}) > 1:
            raise ConfigurationError(f"{path} mixes several {key}: import each file of micro_perf as it was written.")
    made = Imported(
        format="bytemlperf",
        version="micro_perf",
        name=f"{first['sku_name']}_{first['op_name']}_{path.stem}",
        source=path,
        case={"task": "operator", "operator": str(first["op_name"]), "chip": str(first["sku_name"])},
        environment=_environment(first.get("env")),
        points=[_point(row, path) for row in rows],
        notes=[
            "Device times of ByteMLPerf's own clock, the mean of at most 32 calls; launching is not in them.",
            "No output was checked. int8 operators of a GPU are bf16 ones that are scaled.",
        ],
    )
    if any("algo_bw(GB/s)" in row["targets"] for row in rows):
        made.notes.append("Of several devices, the latency is the fastest one's and the bandwidth the highest.")
    if "flash" in str(first["op_name"]):
        made.drop("calc_flops_power", "with a cache its FLOPs are counted too low, by the ratio of lengths")
        made.points = [
            {key: one for key, one in row.items() if key != "calc_flops_power_tflops"} for row in made.points
        ]
    return [made]


def _environment(told: object) -> dict[str, Any]:
    return {str(key): value for key, value in told.items()} if isinstance(told, dict) else {}


def _line(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _point(row: Mapping[str, Any], path: Path) -> dict[str, Any]:
    point: dict[str, Any] = {"provider": str(row["provider"])}
    for key, value in row["arguments"].items():
        point[str(key)] = value if value is None or isinstance(value, str | int | float) else json.dumps(value)
    for key, value in row["targets"].items():
        if isinstance(value, list | dict):
            continue  # of each rank
        name = _NAME.fullmatch(key)
        if name and name[2] not in _UNITS:
            raise ConfigurationError(f"{path}: {key} is in {name[2]}; known units are {', '.join(_UNITS)}.")
        point[f"{name[1]}_{_UNITS[name[2]]}" if name else key] = value
    return point
