"""Throughput, times and step statistics of a training run."""

from __future__ import annotations

import statistics

from runner.core.errors import TargetNotReachedError
from runner.core.events import Name
from runner.core.statistics import quantile, variation
from runner.core.tasks import TASKS
from runner.record.run_record import RunRecord
from runner.record.values import Missing, Value, Values, divide, known
from runner.results.phases import phases
from runner.results.publication.rule import UNEVEN
from runner.serving.load.requests import read_requests

PARTS, FEWEST_STEPS = 5, 10
"""Parts of equal steps that a window is cut into to see whether its speed changed, and steps of each at least."""
NO_EVENTS = "the stack has no device events, and the host's clock tells only when a step was handed over"
TOLD = (0.5, 1.1)
"""Share of the window that its steps' device times may add up to: what lies outside is no device time."""
STEP_NAMES = ("step/mean_ms", "step/p50_ms", "step/p90_ms", "step/p99_ms", "step/cv")
PER_DEVICE = ("steady", "whole", "train", "core")


def speed(run_record: RunRecord, devices: int) -> Values:
    """`throughput/*`: window and, as FlagPerf defines them, whole, train and core; `run/skipped_steps` of all training.

    Samples are those of steps that changed the weights: the ranks count none of a step that the scaler skipped.
    """
    segments = [event.value for event in run_record.all(Name.SEGMENT_END)]
    no_window = Missing("no window was completed")
    samples: Value = float(sum(segment["samples"] for segment in segments)) if segments else no_window
    seconds: Value = sum(segment["seconds"] for segment in segments) if segments else no_window
    tokens: Value = no_window
    if segments:
        counted = [segment["tokens"] for segment in segments]
        tokens = Missing("the model has no tokens") if None in counted else float(sum(counted))
    figures: Values = {
        "throughput/steady": divide(samples, seconds),
        "throughput/tokens_per_second": divide(tokens, seconds),
        "run/window_s": seconds,
    }
    figures |= _whole_train_core(run_record)
    unfinished = "training did not come to its end"
    figures["run/skipped_steps"] = known((run_record.last(Name.TRAIN_END) or {}).get("skipped_steps"), unfinished)
    figures |= {f"throughput/{name}_per_device": divide(figures[f"throughput/{name}"], devices) for name in PER_DEVICE}
    return figures


def _whole_train_core(run_record: RunRecord) -> Values:
    names = [f"throughput/{name}" for name in ("whole", "train", "core")]
    totals = run_record.last(Name.TRAIN_END)
    if totals is None:
        return dict.fromkeys(names, Missing("training did not come to its end"))
    doubt = _doubt(run_record)
    core = Missing(doubt) if doubt else known(totals["core_s"], NO_EVENTS)
    spans = (totals["training_s"], totals["training_s"] - totals["evaluate_s"], core)
    return {name: divide(float(totals["samples"]), span) for name, span in zip(names, spans, strict=True)}


def times(run_record: RunRecord) -> Values:
    """`time/*` but for compiling and the time to target: end to end over all parts of the run."""
    totals = run_record.last(Name.TRAIN_END) or {}
    initialised = run_record.last(Name.INIT_END) or {}
    unfinished = "training did not come to its end"
    return {
        "time/e2e_s": _end_to_end(run_record),
        "time/init_s": known(initialised.get("seconds"), "the worker did not come up"),
        **phases(run_record),
        "time/train_s": known(totals.get("training_s"), unfinished),
        "time/eval_s": known(totals.get("evaluate_s"), unfinished),
    }


def _end_to_end(run_record: RunRecord) -> Value:
    """Over all parts of a case that came to its end, whether or not its target was met: a failed one took no time."""
    began = [event for event in run_record.parent if event.name == Name.LAUNCH_TRAINING]
    ended = [event for event in run_record.parent if event.name == Name.LAUNCH_END]
    if not ended or len(ended) < len(began):
        return Missing("the runner was killed before the end")
    if ended[-1].value["exit_code"] not in (0, TargetNotReachedError.exit_code):
        return Missing("the case failed before its end")
    return sum(end.monotonic_s - begin.monotonic_s for begin, end in zip(began, ended, strict=False))


def steps(run_record: RunRecord) -> Values:
    """`step/*` and the engine's own cost, over the optimizer steps of the window (first rank)."""
    rows = run_record.steps("window")
    segments = [event.value for event in run_record.all(Name.SEGMENT_END)]
    window_s = sum(segment["seconds"] for segment in segments)
    if not rows or not segments:
        return dict.fromkeys((*STEP_NAMES, "overhead/fraction"), Missing("no window was completed"))
    overhead: Values = {"overhead/fraction": sum(segment["own_s"] for segment in segments) / window_s}
    seconds = _seconds(rows)
    if seconds is None:
        return dict.fromkeys(STEP_NAMES, Missing(NO_EVENTS)) | overhead
    if doubt := _doubt(run_record):
        return dict.fromkeys(STEP_NAMES, Missing(doubt)) | overhead
    figures: Values = {"step/mean_ms": 1e3 * statistics.fmean(seconds)}
    for name, fraction in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        value = quantile(seconds, fraction)
        few = f"the window has {len(seconds)} steps; {name} needs {round(1 / (1 - fraction))}"
        figures[f"step/{name}_ms"] = Missing(few) if value is None else 1e3 * value
    figures["step/cv"] = known(variation(seconds), "the window has a single step")
    return figures | overhead


def _doubt(run_record: RunRecord) -> str | None:
    """Why the device's events cannot be believed: their steps do not fill the window; null where they do."""
    seconds = _seconds(run_record.steps("window", skipped=True))
    window_s = sum(event.value["seconds"] for event in run_record.all(Name.SEGMENT_END))
    if not seconds or not window_s or TOLD[0] <= sum(seconds) / window_s <= TOLD[1]:
        return None
    return f"by the device's events the steps took {sum(seconds):.3g} s of a window of {window_s:.3g} s"


def _seconds(rows: list[dict[str, str]]) -> list[float] | None:
    """Device time of each step; null where the stack has no device events."""
    told = [row["seconds"] for row in rows]
    return [float(text) for text in told] if all(told) else None


def slowest_over_fastest(run_record: RunRecord) -> float | None:
    """Time per step of the window's slowest fifth over its fastest one's; null where too few steps tell it."""
    fifths = _fifths(run_record)
    return max(fifths) / min(fifths) if fifths and min(fifths) > 0 else None


def unevenness(run_record: RunRecord) -> list[str]:
    """What a reader must know of a window whose speed changed on the way; nothing where too few steps tell it."""
    parts = _fifths(run_record)
    if not parts or max(parts) < UNEVEN * min(parts):
        return []
    slowest, fastest = (f"{1e3 * part:,.4g} ms" for part in (max(parts), min(parts)))
    what, picture = ("request", "latency") if TASKS.find(run_record.case.task.name).serves else ("step", "throughput")
    return [
        f"Uneven window: a {what} took {slowest} in its slowest fifth and {fastest} in its fastest. "
        f"The throughput is the mean over all of it; plots/{picture}.png shows when it changed."
    ]


def _fifths(run_record: RunRecord) -> list[float]:
    """Mean seconds per step of each fifth of the window; empty where a fifth has too few steps, or none has a time.

    Where requests arrive by themselves, when they come is chance: there it is how long the answers took.
    """
    if run_record.case.load.by_rate and (requests := read_requests(run_record.folder)):
        seconds = [one.ended_s - one.begun_s for one in requests]
    else:
        seconds = [] if _doubt(run_record) else _seconds(run_record.steps("window")) or []
    length = len(seconds) // PARTS
    if length < FEWEST_STEPS:
        return []
    return [statistics.fmean(seconds[begin : begin + length]) for begin in range(0, PARTS * length, length)]
