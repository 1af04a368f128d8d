"""Reader of MLPerf Training's logs: lines `:::MLLOG {…}` with times in milliseconds of the epoch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core.errors import ConfigurationError
from runner.exchange.base.imported import Imported, number_of
from runner.exchange.base.models import MLPERF_TRAINING, known_model
from runner.exchange.base.own_words import TOUCHSTONE, take_about
from runner.record.names import FIGURES
from runner.record.task import reaches_target
from runner.record.values import Missing

NAME = "mllog"
TOKEN = ":::MLLOG "
_HEAD_BYTES = 1 << 18
_KEYS = ("time_ms", "event_type", "key", "value", "metadata")
_QUALITY = {
    **{"resnet": ("top1", "max"), "bert": ("mlm_accuracy", "max"), "dlrm_dcnv2": ("auc", "max")},
    **{
        "retinanet": ("box_map", "max"),
        "ssd": ("box_map", "max"),
        "unet3d": ("dice", "max"),
        "rgat": ("accuracy", "max"),
    },
    **{"gnn": ("accuracy", "max"), "rnnt": ("word_error_rate", "min"), "gpt3": ("log_perplexity", "min")},
    **{"llama2_70b_lora": ("evaluation_loss", "min"), "llama31_405b": ("log_perplexity", "min")},
    **{"llama31_8b": ("log_perplexity", "min"), "flux1": ("validation_loss", "min")},
}
"""What `eval_accuracy` is in each benchmark, and which way it improves: in some it is a loss."""
_ABOUT_ONE_GPU = "whether it is of one GPU or of the whole job differs between submitters"
_NOT_TAKEN = {
    "tracked_stats": f"a submitter's own figures: {_ABOUT_ONE_GPU}",
    "throughput": f"a submitter's own figure: {_ABOUT_ONE_GPU}",
    "init_stop": "MLPerf's initialisation includes compiling; ours is the start-up alone",
}
_SUBMISSION = ("submission_org", "submission_platform", "submission_division", "submission_status")


@dataclass(kw_only=True, slots=True, frozen=True)
class _Event:
    time_ms: float
    key: str
    value: Any
    metadata: Mapping[str, Any]
    namespace: str


def detect(path: Path) -> bool:
    """Whether a file has an MLLOG line near its beginning."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return (TOKEN + "{").encode() in file.read(_HEAD_BYTES)


def read(path: Path) -> list[Imported]:
    """One training run.

    Raises:
        ConfigurationError: no benchmark, several runs, or lines that are of no known form.
    """
    events = _events(path)
    benchmark = _one(events, "submission_benchmark", path)
    made = Imported(format=NAME, version="MLLOG", name=_name(events, benchmark, path), source=path)
    for event in events:
        if event.namespace == TOUCHSTONE.lower() and event.key == "case":
            take_about(event.value, made)
    model = MLPERF_TRAINING.get(benchmark) or (benchmark if known_model(benchmark) else None)
    made.case = {"task": "converge", "model": model, "mlperf_benchmark": benchmark} | made.case
    made.environment |= {key: one[-1].value for key in _SUBMISSION if (one := _all(events, key))}
    if made.case["model"] is None:
        made.notes.append(f"No model of this version is MLPerf's {benchmark}; --set model=NAME says which it is.")
    _take_batch(events, made)
    _take_quality(events, benchmark, made)
    _take_run(events, made)
    _take_own(events, made)
    own = any(event.namespace == TOUCHSTONE.lower() for event in events)
    for key, why in _NOT_TAKEN.items():
        if _all(events, key) and not own:
            made.drop(key, why)
    return [made]


def _events(path: Path) -> list[_Event]:
    found = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            _, token, text = line.partition(TOKEN)
            if not token:
                continue
            try:
                told = json.loads(text)
                found.append(
                    _Event(
                        time_ms=float(told["time_ms"]),
                        key=str(told["key"]),
                        value=told["value"],
                        metadata=told["metadata"] or {},
                        namespace=str(told.get("namespace", "")),
                    )
                )
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigurationError(
                    f"{path}: line {number} is no MLLOG line with {', '.join(_KEYS)}: {line.strip()[:80]}"
                ) from error
    return found


def _all(events: list[_Event], key: str) -> list[_Event]:
    return [event for event in events if event.key == key]


def _one(events: list[_Event], key: str, path: Path) -> str:
    values = {str(event.value) for event in _all(events, key)}
    if len(values) != 1 or len(_all(events, "run_start")) > 1:
        what = "several runs" if values else f"no {key}"
        raise ConfigurationError(f"{path} holds {what}: give the log of one run, as its first rank wrote it.")
    return values.pop()


def _name(events: list[_Event], benchmark: str, path: Path) -> str:
    platform = _all(events, "submission_platform")
    return "_".join([benchmark, *(str(event.value) for event in platform[:1]), path.stem])


def _take_batch(events: list[_Event], made: Imported) -> None:
    """The global batch is no batch size of ours, which is a device's; that needs the number of devices."""
    for key in ("global_batch_size", "gradient_accumulation_steps", "seed", "train_samples"):
        values = _all(events, key)
        if values and isinstance(values[-1].value, int | float):
            made.case.setdefault(key, values[-1].value)


def _take_quality(events: list[_Event], benchmark: str, made: Imported) -> None:
    found = _all(events, "eval_accuracy")
    if not found:
        return
    metric, mode = _QUALITY.get(benchmark, ("eval_accuracy", None))
    model = known_model(str(made.case.get("model")))
    own = found[-1].metadata.get("metric")
    if isinstance(own, str):
        metric, mode = own, model.mode if model else None
    numbers = [number_of(event.value, what="eval_accuracy", source=made.source) for event in found]
    values = [one for one in numbers if one is not None]
    if not values:
        return
    made.metrics = (metric,)
    made.values[f"quality/{metric}_last"] = values[-1]
    if mode is None:
        made.notes.append(f"Which way {benchmark}'s eval_accuracy improves is not known: the best one is not told.")
        made.values[f"quality/{metric}"] = Missing("which way it improves is not known")
    else:
        made.case["quality_mode"] = mode
        made.values[f"quality/{metric}"] = max(values) if mode == "max" else min(values)
    made.environment["evaluations"] = len(values)


def _take_run(events: list[_Event], made: Imported) -> None:
    starts, stops = _all(events, "run_start"), _all(events, "run_stop")
    if not starts or not stops:
        made.error = ("NotFinished", "The log has no run_stop: the run did not come to its end.")
        return
    status = str(stops[-1].metadata.get("status", "not told"))
    seconds = (stops[-1].time_ms - starts[0].time_ms) / 1e3
    converged = reaches_target(made.case["task"])
    made.values["time/train_s"] = seconds
    if not converged:
        return
    made.values["quality/reached"] = float(status == "success")
    if status != "success":
        made.error = ("NotReached", f"run_stop says {status}: the target was not reached.")
        return
    made.values["time/to_target_s"] = seconds
    evaluations = _all(events, "eval_accuracy")
    samples = evaluations[-1].metadata.get("samples_count") if evaluations else None
    if isinstance(samples, int | float):
        made.values["convergence/samples_to_target"] = float(samples)


def _take_own(events: list[_Event], made: Imported) -> None:
    """Figures that our writer added, each under its own name and in its unit."""
    for event in events:
        if event.namespace != TOUCHSTONE.lower() or event.key != "figure":
            continue
        name, unit = str(event.metadata.get("name")), str(event.metadata.get("unit"))
        value = number_of(event.value, what=name, source=made.source)
        known = FIGURES.get(name)
        if known is None and not name.startswith("quality/"):
            made.drop(name, "no figure of this version")
            continue
        if known is not None and "{unit}" in known.unit:
            made.counts = unit.split("/", maxsplit=1)[0]
        elif known is not None and known.unit != unit:
            made.drop(name, f"it is in {unit}, and this version's is in {known.unit}")
            continue
        made.values[name] = Missing(str(event.metadata.get("reason", "not told"))) if value is None else value
