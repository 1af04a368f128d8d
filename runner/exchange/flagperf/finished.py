"""FlagPerf's FINISHED event, whose keys and units differ from case to case, as figures of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from runner.exchange.base.imported import Imported, number_of, scaled
from runner.exchange.base.models import known_model
from runner.record.values import Missing

_RATE = re.compile(r"throughput\((\w+)\)_(raw|no_eval|pure_compute)")
_RATES = {"raw": "throughput/whole", "no_eval": "throughput/train", "pure_compute": "throughput/core"}
_TRAINED = re.compile(r"training_(\w+)_per_second")
_COUNTED = ("images", "sequences", "tokens")
"""What `training_…_per_second` may name; its `items` and `ntokens` are whatever the model counts."""
_SECONDS = {"e2e_time": "time/e2e_s", "train_time": "time/train_s", "raw_train_time": "time/train_s"}
_NO_FIGURE = {
    "train_no_eval_time": "no figure of ours is this time; throughput/train comes from it",
    "pure_training_computing_time": "no figure of ours is this time; throughput/core comes from it",
    "init_time": "it begins after the imports and ends at another point in every case; ours is the whole start-up",
    "final_loss": "the loss of a training step, no quality",
    "train_loss": "the loss of a training step, no quality",
}
METRICS = {
    **{"acc1": "top1", "acc5": "top5", "mlm_accuracy": "mlm_accuracy", "mAP": "box_map", "map_bbox": "box_map"},
    **{"map_segm": "mask_map", "ppl": "perplexity", "auc": "auc", "accuracy": "accuracy", "acc": "accuracy"},
    **{"mlm_acc": "mlm_accuracy", "map": "box_map", "lambada_acc": "lambada_accuracy", "val_loss": "validation_loss"},
    **{"bleu": "bleu", "rouge1": "rouge1"},
}
"""FlagPerf's name of a metric, without `final_`, to ours."""
_VAGUE = ("acc1", "accuracy", "acc", "mlm_accuracy", "mAP")
"""Names that cases use for whatever their target is: bigtransfer's mAP is a top-1, cpm's mlm_accuracy is a cosine."""
NO_RATIO = ("perplexity", "validation_loss", "clip_score")
"""Metrics that are no share of anything: they are as they are."""
PERCENT = ("resnet50", "mobilenetv2", "efficientnet", "vit", "swin_transformer", "t5_small", "transformer")
"""Cases that tell their metric in per cent, by their own targets."""
SYNCHRONISED = ("resnet50", "bert_hf", "swin_transformer", "llama2_7b_finetune", "WaveGlow")
"""Cases that wait for the device before they read the clock of p_core."""


def take_finished(finished: Mapping[str, Any], evaluations: Sequence[Mapping[str, Any]], imported: Imported) -> None:
    """Take over the figures of a FINISHED event.

    Args:
        finished: its value.
        evaluations: the values of the EVALUATE events before it.
        imported: gets figures, notes and what is left out; its case may tell the model.

    Raises:
        ConfigurationError: a figure is no number.
    """
    for key, raw in finished.items():
        if key == "converged":
            imported.values["quality/reached"] = float(_yes(raw))
            continue
        value = None if isinstance(raw, str | list | dict) else number_of(raw, what=key, source=imported.source)
        if value is None:
            imported.drop(key, f"it holds {str(raw)[:40]}, no number")
            continue
        if not _take_rate(key, value, imported) and not _take_time(key, value, imported):
            _take_quality(key, value, evaluations, imported)
    if len(imported.metrics) > 1:
        several = Missing("each metric's best may be of another evaluation: of a model that there never was")
        imported.values |= {f"quality/{metric}": several for metric in imported.metrics}
    _say_of_core(imported)


def _yes(raw: object) -> bool:
    return raw is True or str(raw).lower() in ("true", "1")


def _take_rate(key: str, value: float, imported: Imported) -> bool:
    rate, trained = _RATE.fullmatch(key), _TRAINED.fullmatch(key)
    if rate:
        imported.values[_RATES[rate[2]]] = value
        return True
    if not trained:
        return False
    if trained[1] in _COUNTED:
        imported.counts = trained[1]
    if imported.values.setdefault("throughput/whole", value) != value:
        imported.drop(key, "throughput(…)_raw tells throughput/whole")
    return True


def _take_time(key: str, value: float, imported: Imported) -> bool:
    if key in _NO_FIGURE:
        imported.drop(key, _NO_FIGURE[key])
        return True
    if key not in _SECONDS:
        return False
    imported.values[_SECONDS[key]] = value
    if key == "e2e_time":
        imported.notes.append("time/e2e_s: FlagPerf's clock starts after the imports; ours starts with the command.")
    return True


def _take_quality(key: str, value: float, evaluations: Sequence[Mapping[str, Any]], imported: Imported) -> None:
    theirs = key.removeprefix("final_")
    metric = metric_of(theirs, imported.case.get("model"))
    if metric is None:
        imported.drop(key, "no figure of ours is known to mean this")
        return
    last = in_our_unit(metric, value, imported.case.get("model"))
    if last is None:
        imported.drop(
            key, "per cent or a fraction? Its case tells, and the model is not known: import the round folder"
        )
        return
    imported.metrics = (*imported.metrics, metric)
    imported.values[f"quality/{metric}_last"] = last
    best = _best(theirs, metric, evaluations, imported)
    if best is not None:
        imported.values[f"quality/{metric}"] = best


def metric_of(theirs: str, model: str | None) -> str | None:
    """Our name of FlagPerf's metric; where names are used for any target, the model's own single target."""
    known = known_model(model) if model else None
    if known and theirs in _VAGUE and len(known.targets) == 1:
        return known.targets[0]
    return METRICS.get(theirs)


def in_our_unit(metric: str, value: float, model: str | None) -> float | None:
    """A ratio as a fraction; None where nobody knows whether it is in per cent."""
    if metric in NO_RATIO:
        return value
    if value > 1 or model in PERCENT:
        return scaled(value, "0.01")
    return value if model else None


def _best(theirs: str, metric: str, evaluations: Sequence[Mapping[str, Any]], imported: Imported) -> float | None:
    """The best of the evaluations that were logged; None where there is none, or which way is better is not known."""
    model = imported.case.get("model")
    known = known_model(model) if model else None
    raw = [
        one.get(name) for one in evaluations for name in (theirs, f"eval_{theirs}", f"final_{theirs}") if name in one
    ]
    read = [number_of(one, what=f"EVALUATE {theirs}", source=imported.source) for one in raw]
    values = [in_our_unit(metric, one, model) for one in read if one is not None]
    found = [one for one in values if one is not None]
    if not found or known is None or known.mode is None:
        return None
    return max(found) if known.mode == "max" else min(found)


def _say_of_core(imported: Imported) -> None:
    model, core = imported.case.get("model"), imported.values.get("throughput/core")
    if isinstance(core, float) and (model not in SYNCHRONISED or imported.case.get("devices") == 1):
        imported.notes.append(
            "throughput/core may be too high: this case reads the clock without waiting for the device, so that work "
            "which was only handed over counts as done."
        )
