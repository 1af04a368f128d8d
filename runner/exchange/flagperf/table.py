"""Reader of FlagPerf's README tables, published ones and those of our writer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.core.errors import ConfigurationError
from runner.exchange.base.imported import Imported
from runner.exchange.base.models import of_flagperf, of_flagperf_inference
from runner.exchange.base.own_words import TOUCHSTONE, take_about
from runner.exchange.flagperf.cells import (
    NOT_TAKEN,
    PLAIN,
    is_there,
    settle_rate,
    take_cell,
    take_memory,
    take_tokens,
)

NAME = "flagperf_table"
_COMMENT = re.compile(rf"<!-- {TOUCHSTONE}: (\{{.*\}}) -->")
_RULE = re.compile(r"^\|?[\s:|-]+\|?$")
_SHAPE = re.compile(r"(\d+)\s*x\s*(\d+)(?!\d*G)")
_BATCH = re.compile(r"(?:^|,)\s*(?:bs|batch_size)\s*=\s*(\d+)")
_CHIP = re.compile(r"^(.*?)\s*(?:单机|两机|双机|四机|八机|\d+机)")
_PLACE = re.compile(r"(?:inference/benchmarks/([^/]+)|training/[^/]+/([^/]+)-[a-z0-9_]+)/README\.md$")
_TRAINING, _SERVING = {"配置", "p_whole"}, {"推理工具", "p_infer_whole"}
_TOKENS = {"配置", "token/p/s"}
_SURE = {"amp": "fp16", "bf16": "bf16", "tf32": "tf32"}
"""FlagPerf's precisions that have one meaning. Its fp32 is TF32 on Ampere, its fp16 is bf16 in one case."""

Row = dict[str, str]


def detect(path: Path) -> bool:
    """Whether a file is Markdown with one of FlagPerf's tables of results."""
    if path.suffix.lower() not in (".md", ".markdown") or not path.is_file():
        return False
    return any(_is_known(row) for _, row, _ in _rows(path))


def read(path: Path) -> list[Imported]:
    """A result for each row of each table.

    Raises:
        ConfigurationError: a row of another length than its header, or a cell that is no number.
    """
    text = path.read_text(encoding="utf-8")
    told = [json.loads(match[1]) for match in _COMMENT.finditer(text)]
    place = _place(path)
    rows = [(model or place, row, line) for model, row, line in _rows(path) if _is_known(row)]
    if told and len(told) != len(rows):
        raise ConfigurationError(
            f"{path} was written by Touchstone with {len(told)} rows and has {len(rows)}: it was changed since, and "
            "which case a row is can no longer be told."
        )
    return [
        _read(model, row, line, told[index] if told else None, path) for index, (model, row, line) in enumerate(rows)
    ]


def _place(path: Path) -> str | None:
    """The case by the folder in which FlagPerf keeps its README; None elsewhere."""
    found = _PLACE.search(path.resolve().as_posix())
    return (found[1] or found[2]) if found else None


def _is_known(row: Row) -> bool:
    return any(row.keys() >= kind for kind in (_TRAINING, _SERVING, _TOKENS))


def _rows(path: Path) -> Iterator[tuple[str | None, Row, int]]:
    """Each row under its header's names, with the model that stands above its table, and the line."""
    model: str | None = None
    header: list[str] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.lstrip().startswith("|"):
            header = None
            continue
        cells = [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if header is None:
            header = [_plain(cell) for cell in cells]
        elif cells and cells[0] == "模型" and len(cells) > 1:
            model = cells[1]
        elif not _RULE.match(line.strip()):
            if len(cells) != len(header) and {*header} >= _TRAINING:
                raise ConfigurationError(f"{path}: line {number} has {len(cells)} cells, its header {len(header)}.")
            yield model, dict(zip(header, cells, strict=False)), number


def _plain(cell: str) -> str:
    return re.sub(r"[\\*\s]", "", cell)


def _read(model: str | None, row: Row, line: int, told: Mapping[str, Any] | None, path: Path) -> Imported:
    serves = row.keys() >= _SERVING
    title = row["推理工具" if serves else "配置"]
    name = f"{model or path.parent.name}_{title}_{row.get('precision', '')}_{row.get('fix_hp', row.get('bs', ''))}"
    excerpt = json.dumps({"line": line, "model": model, **row}, indent=1, ensure_ascii=False)
    made = Imported(format=NAME, version="README", name=name, source=path, excerpt=excerpt)
    if told is not None:
        take_about(told, made)
    else:
        _take_case(model, row, serves=serves, made=made)
    for column, cell in row.items():
        take_cell(column, cell, told is not None, made)
    if serves and told is None:
        settle_rate(made)
    if row.keys() >= _TOKENS:
        take_tokens(row["token/p/s"], made)
    take_memory(row.get("mem", ""), made)
    if serves:
        made.notes.append(
            "infer/core_samples_per_second: FlagPerf's core time has the copy of the inputs in it; ours leaves it out."
            if told is None
            else "p_val_whole and p_val_core have no figure of ours."
        )
    return made


def _take_case(model: str | None, row: Row, *, serves: bool, made: Imported) -> None:
    precision = row.get("precision", "").split(" ")[0].rstrip(",")
    ours = of_flagperf_inference if serves else of_flagperf
    made.case |= {"model": ours(model) if model else None, "precision": _SURE.get(precision)}
    if made.case["model"] is None:
        made.notes.append(
            f"No model of this version is FlagPerf's {model or 'case'}; --set model=NAME says which it is."
        )
    if made.case["precision"] is None and precision:
        why = "TF32 on Ampere" if precision == "fp32" else "fp16 or bf16, by the case"
        made.notes.append(f"FlagPerf's {precision} is {why}: --set precision=NAME says it.")
    if serves:
        made.case |= {"task": "infer", "compiler": row["推理工具"], "devices": 1}
        made.case["batch_size"] = int(row["bs"]) if row.get("bs", "").isdigit() else None
        return
    qualities = [cell for column, cell in row.items() if column not in {*PLAIN, *NOT_TAKEN, "MFU"} and is_there(cell)]
    made.case["task"] = "converge" if qualities else "train"
    shape, chip = _SHAPE.search(row["配置"]), _CHIP.match(row["配置"])
    if shape:
        made.case["devices"] = int(shape[1]) * int(shape[2])
    if chip and chip[1]:
        made.case["chip"] = chip[1]
    if batch := _BATCH.search(row.get("fix_hp", "")):
        made.case["batch_size"] = int(batch[1])
