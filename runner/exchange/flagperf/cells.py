"""Cells of FlagPerf's README tables as figures of ours."""

from __future__ import annotations

from runner.core.errors import ConfigurationError
from runner.exchange.base.imported import Imported, number_of, scaled
from runner.exchange.base.models import known_model
from runner.exchange.flagperf.finished import in_our_unit, metric_of
from runner.record.task import serves
from runner.record.values import Missing

_COLUMNS = {
    "e2e_time": "time/e2e_s",
    "p_whole": "throughput/whole",
    "p_train": "throughput/train",
    "p_core": "throughput/core",
    "p_infer_whole": "infer/samples_per_second",
    "p_infer_core": "infer/core_samples_per_second",
}
_WHOLE, _PAINTS = "infer/samples_per_second", "stable_diffusion_v1_4"
PLAIN = frozenset({*_COLUMNS, "配置", "推理工具", "precision", "fix_hp", "bs", "mem", "parallel", "token/p/s"})
NOT_TAKEN = {
    "p_val_whole": "the framework's validation run, which no figure of ours is",
    "p_val_core": "the framework's validation run, which no figure of ours is",
    "loss": "the loss of a training step, no quality",
    "lmlossvalue": "the loss of a training step, no quality",
}
_MFU = "FlagPerf's counts multiply-adds once, or 7e9 parameters, and on fp32 the TF32 peak"


def is_there(cell: str) -> bool:
    """Whether a cell holds anything."""
    return cell.strip() not in ("", "/", "-", "N/A")


def take_cell(column: str, cell: str, own: bool, made: Imported) -> None:
    """One cell. What our writer wrote is a fraction; what others wrote may be in per cent, or prose."""
    if not is_there(cell):
        return
    if column in NOT_TAKEN:
        made.drop(column, NOT_TAKEN[column])
    elif column == "MFU" and not own:
        made.missing("compute/mfu", "MFU", _MFU)
    elif column in _COLUMNS or column == "MFU":
        made.values[_COLUMNS.get(column, "compute/mfu")] = _value(cell, column, made)
    elif column not in PLAIN and serves(made.case.get("task")):
        _take_accuracy(column, cell, own, made)
    elif column not in PLAIN:
        _take_quality(column, cell, own, made)


def _number(cell: str, column: str, made: Imported) -> float | None:
    """A cell's number; a cell that people wrote prose into is left out by name."""
    try:
        return number_of(cell, what=column, source=made.source)
    except ConfigurationError:
        made.drop(column, f"the cell says {cell[:40]!r}, which is no number")
        return None


def _value(cell: str, column: str, made: Imported) -> float | Missing:
    found = _number(cell, column, made)
    return Missing("the table has none") if found is None else found


def _ratio(text: str, metric: str, own: bool, column: str, made: Imported) -> float | None:
    """A ratio as a fraction; None, said, where it is no number or nobody knows whether it is in per cent."""
    found = _number(text.strip().removesuffix("%"), column, made)
    if found is None or own:
        return found
    if text.strip().endswith("%"):
        return scaled(found, "0.01")
    value = in_our_unit(metric, found, made.case.get("model"))
    if value is None:
        made.drop(column, "per cent or a fraction? Its case tells, and the model is not known")
    return value


def _take_quality(column: str, cell: str, own: bool, made: Imported) -> None:
    metric = column if own else metric_of(column.removeprefix("final_"), made.case.get("model"))
    if metric is None:
        made.drop(column, "no figure of ours is known to mean this")
        return
    value = _ratio(cell, metric, own, column, made)
    if value is not None:
        made.metrics = (*made.metrics, metric)
        made.values[f"quality/{metric}_last"] = value


def _take_accuracy(column: str, cell: str, own: bool, made: Imported) -> None:
    """`engine/validation`, in per cent or as fractions."""
    known = known_model(str(made.case.get("model")))
    metric = known.served_metric if known else None
    if metric is None:
        made.drop(column, "which metric it is, the model tells, and it is not known")
        return
    if metric == "mask_iou" and not own:
        made.drop(column, "the share of equal pixels, which is no IoU")
        return
    engine, _, reference = cell.partition("/")
    value = _ratio(engine, metric, own, column, made)
    if value is not None:
        made.metrics = (metric,)
        made.values[f"accuracy/{metric}"] = value
    if own and is_there(reference):
        made.values["accuracy/reference"] = _value(reference, column, made)
    elif is_there(reference):
        made.drop(f"{column} of the validation run", "in the case's precision; our reference runs in fp32")


def settle_rate(made: Imported) -> None:
    """What FlagPerf's inference counts is no sample of ours where a model writes, or paints in steps."""
    model = made.case.get("model")
    known = known_model(model) if model else None
    if known is not None and known.unit != "questions" and model != _PAINTS:
        return
    whole = made.values.get(_WHOLE)
    if model is None:
        why = "what it counts, the model tells, and it is not known"
    elif model == _PAINTS:
        why = "it counts steps of denoising, not images"
        made.values |= {} if whole is None else {"infer/steps_per_second": whole}
    else:
        why = "it counts tokens of the prompts, not questions"
        made.values |= {} if whole is None else {"infer/input_tokens_per_second": whole}
    for theirs, ours in (("p_infer_whole", _WHOLE), ("p_infer_core", "infer/core_samples_per_second")):
        if ours in made.values:
            made.missing(ours, theirs, why)


def take_tokens(cell: str, made: Imported) -> None:
    """The job's tokens per second of what every card did."""
    each = _number(cell, "token/p/s", made)
    devices = made.case.get("devices")
    if each is None or not devices:
        made.missing("throughput/tokens_per_second", "token/p/s", "it is per card, and the number of cards is not told")
    else:
        made.values["throughput/tokens_per_second"] = each * devices


def take_memory(cell: str, made: Imported) -> None:
    """`used/there` in GiB."""
    used, _, total = cell.partition("/")
    if not is_there(used):
        return
    made.values["memory/device_peak_used_gib"] = _value(used, "mem", made)
    if is_there(total) and total != "?":
        made.environment["device_memory_gib"] = _number(total, "mem", made)
