"""Writer of FlagPerf's README tables: training with its three throughputs, and inference."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hardware.chips import find_chip
from runner.core.errors import ConfigurationError
from runner.exchange.base.own_words import TOUCHSTONE, about, marks
from runner.record.names import LAST
from runner.record.report import Report
from runner.record.task import task_named

_ONE_CARD, _CARDS = "单机单卡（1x1）", "单机{devices}卡（1x{devices}）"  # noqa: RUF001 -- as FlagPerf writes them
_NODES = "{nodes}机{devices}卡（{nodes}x{devices}）"  # noqa: RUF001 -- in the same way
NONE = "/"
"""What FlagPerf writes for what was not measured."""
TRAINING = ("配置", "precision", "fix_hp", "e2e_time", "p_whole", "p_train", "p_core")
SERVING = (
    "推理工具",
    "precision",
    "bs",
    "e2e_time",
    "p_val_whole",
    "p_val_core",
    "p_infer_whole",
    r"\*p_infer_core",
    r"\*MFU",
)
ACCURACY, MEMORY = "acc(推理/验证)", "mem"
_THREE = ("throughput/whole", "throughput/train", "throughput/core")
_SPECIAL = str.maketrans({"|": "\\|", "\n": " "})


def write(results: Sequence[tuple[Path, Report]]) -> str:
    """One section per model and way of running it, in the order in which they first appear.

    Raises:
        ConfigurationError: nothing to write, or a result that neither trains nor serves.
    """
    if not results:
        raise ConfigurationError("There is no result to write.")
    sections: dict[tuple[str, bool, str], list[Report]] = {}
    for folder, report in results:
        task = task_named(report.case.get("task"))
        if task is None or not (task.serves or task.trains):
            raise ConfigurationError(
                f"FlagPerf's tables hold training and inference, and {folder} is task={report.case.get('task')}. "
                "Leave it out."
            )
        metric = _metric(report, serves=task.serves)
        sections.setdefault((_model(report), task.serves, metric), []).append(report)
    return "\n".join(_section(*key, reports) for key, reports in sections.items())


def _model(report: Report) -> str:
    return str(report.case.get("model") or report.case.get("name") or NONE)


def _metric(report: Report, *, serves: bool) -> str:
    """The metric of the table's column; empty where the task has none."""
    if serves:
        names = [name.removeprefix("accuracy/") for name in report.figures if name.startswith("accuracy/")]
        fixed = ("reference", "drop", "kept", "gate_passed", "samples")
        return next((name for name in names if name not in fixed), "")
    ends = [name for name in report.figures if name.startswith("quality/") and name.endswith(LAST)]
    return ends[0].removeprefix("quality/").removesuffix(LAST) if ends else ""


def _section(model: str, serves: bool, metric: str, reports: Sequence[Report]) -> str:
    unit = reports[0].case.get("unit") or "samples"
    lines = [f"### {model}", "", "* 通用指标", "", "| 指标名称 | 指标值 | 特殊说明 |", "| --- | --- | --- |"]
    lines += [f"| 模型 | {model} | |", f"| 吞吐量单位 | {unit}/s | 整个作业 |"]
    if metric:
        lines.append(f"| {'推理结果' if serves else '训练结果'} | {metric} | 比值 (最后一次评估) |")
    lines += ["", "* 性能指标", ""]
    lines += [f"<!-- {TOUCHSTONE}: {_comment(report)} -->" for report in reports]
    header = (*SERVING, ACCURACY, MEMORY) if serves else (*TRAINING, metric or "acc", MEMORY)
    rows = [_serving(report, metric) if serves else _training(report, metric) for report in reports]
    lines += ["", *(f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *rows)), ""]
    return "\n".join(lines)


def _comment(report: Report) -> str:
    """The case as JSON that can stand in a comment: two hyphens would end it."""
    return json.dumps(about(report), ensure_ascii=True).replace("--", "\\u002d\\u002d")


def _training(report: Report, metric: str) -> list[str]:
    case = report.case
    changes = [one for one in report.division.changed if str(one["key"]).startswith("model.train.")]
    changed = ",".join(f"{str(one['key']).rpartition('.')[2]}={one['value']}" for one in changes)
    cells = [_setting(report), str(case.get("precision") or NONE), changed or NONE, _cell(report, "time/e2e_s")]
    cells += [_cell(report, name) for name in _THREE]
    cells += [_cell(report, f"quality/{metric}{LAST}") if metric else NONE, _memory(report)]
    return [cell.translate(_SPECIAL) for cell in cells]


def _serving(report: Report, metric: str) -> list[str]:
    case = report.case
    engine = " ".join(part for part in (marks(report), str(case.get("compiler") or NONE)) if part)
    cells = [
        engine,
        str(case.get("precision") or NONE),
        str(case.get("batch_size") or NONE),
        _cell(report, "time/e2e_s"),
    ]
    cells += [NONE, NONE, _cell(report, "infer/samples_per_second"), _cell(report, "infer/core_samples_per_second")]
    cells += [_cell(report, "compute/mfu")]
    accuracy = _cell(report, f"accuracy/{metric}") if metric else NONE
    cells += [f"{accuracy}/{_cell(report, 'accuracy/reference')}" if accuracy != NONE else NONE, _memory(report)]
    return [cell.translate(_SPECIAL) for cell in cells]


def _setting(report: Report) -> str:
    """Marks first; then chip, nodes and devices of each as FlagPerf writes them."""
    case, devices, nodes = report.case, report.case.get("devices"), report.case.get("nodes") or 1
    chip = str(case.get("chip") or case.get("vendor") or "?")
    counted = "" if devices is None else _ONE_CARD if devices == 1 else _CARDS.format(devices=devices)
    if devices is not None and nodes > 1:
        counted = _NODES.format(nodes=nodes, devices=devices // nodes)
    return " ".join(part for part in (marks(report), f"{chip}{counted}") if part)


def _cell(report: Report, name: str) -> str:
    """All digits of a figure, so that it can be read back as it was; `/` where it was not measured."""
    figure = report.figures.get(name)
    return NONE if figure is None or figure.value is None else repr(float(figure.value))


def _memory(report: Report) -> str:
    used = _cell(report, "memory/device_peak_used_gib")
    chip = find_chip(str(report.case.get("chip")))
    total = chip.memory_gib if chip else None
    return NONE if used == NONE else f"{used}/{total if total is not None else '?'}"
