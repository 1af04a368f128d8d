"""Writer of MLPerf's MLLOG lines for one training run; figures of ours stand beside its keys in our namespace."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runner.core.errors import ConfigurationError
from runner.core.events import Event, Name, read_events
from runner.exchange.base.models import MLPERF_TRAINING
from runner.exchange.base.own_words import TOUCHSTONE, about, marks
from runner.exchange.mlperf.mllog import TOKEN
from runner.record.report import Report
from runner.record.task import task_named

_POINT, _START, _END = "POINT_IN_TIME", "INTERVAL_START", "INTERVAL_END"
_FILE = "runner/exchange/mlperf/mllog_writer.py"
_SHARE_A_BATCH = ("tensor ", "pipeline ")
"""How the parts of a case's `layout` begin whose ranks work on one batch."""
_BENCHMARKS = {ours: theirs for theirs, ours in MLPERF_TRAINING.items()}


def write(results: Sequence[tuple[Path, Report]]) -> str:
    """The lines of one run, in the order of time where its events tell it.

    Raises:
        ConfigurationError: not exactly one result, or not one of training.
    """
    if len(results) != 1:
        raise ConfigurationError(
            f"An MLLOG file holds one run, and there are {len(results)}. Name a single run folder."
        )
    folder, report = results[0]
    task = task_named(report.case.get("task"))
    if task is None or not task.trains:
        raise ConfigurationError(f"MLLOG holds a training run, and {folder} is task={report.case.get('task')}.")
    return "".join(f"{TOKEN}{json.dumps(line)}\n" for line in _lines(report, _events(folder)))


def _events(folder: Path) -> list[Event]:
    log = folder / "events" / "rank0.log"
    return read_events(log)[0] if log.is_file() else []


def _lines(report: Report, events: list[Event]) -> Iterator[dict[str, Any]]:
    case = report.case
    started, ended = _first(events, Name.TRAIN_START), _first(events, Name.TRAIN_END)
    seconds = _value(report, "time/to_target_s") or _value(report, "time/train_s") or 0.0
    begin_ms = started if started is not None else 0
    end_ms = begin_ms + round(1e3 * seconds) if seconds else ended if ended is not None else begin_ms
    first_ms = events[0].time_ms if events else begin_ms
    point = _Line(first_ms)
    yield point("submission_benchmark", _benchmark(case))
    yield point("submission_division", report.division.name)
    yield point("submission_org", TOUCHSTONE)
    chip = case.get("chip") or case.get("vendor")
    if chip:
        yield point("submission_platform", f"{case['devices']}x{chip}" if case.get("devices") else str(chip))
    yield point("submission_status", "research")
    if marks(report):
        yield point("submission_mark", marks(report))
    yield point.own("case", about(report))
    for key, value in _numbers(report):
        yield point(key, value)
    yield _Line(first_ms)("init_start", None, _START)
    yield _Line(begin_ms)("init_stop", None, _END)
    yield _Line(begin_ms)("run_start", None, _START)
    yield from _evaluations(report, events, begin_ms, end_ms)
    reached = report.status == "done" and _value(report, "quality/reached") != 0.0
    yield _Line(end_ms)("run_stop", None, _END, status="success" if reached else "aborted")
    for name, figure in report.figures.items():
        told = {"reason": figure.reason} if figure.reason else {}
        yield _Line(end_ms).own("figure", figure.value, name=name, unit=figure.unit, **told)


def _benchmark(case: dict[str, Any]) -> str:
    """MLPerf's name of the model; ours where it has none; of an imported result without a model, its file's."""
    model = case.get("model")
    return str(_BENCHMARKS.get(str(model), model) or case.get("mlperf_benchmark") or case.get("name") or "unknown")


class _Line:
    """Lines of one moment, in milliseconds of the epoch; of a run without events, from its beginning."""

    def __init__(self, time_ms: int) -> None:
        self.time_ms = time_ms

    def __call__(self, key: str, value: Any, kind: str = _POINT, **metadata: Any) -> dict[str, Any]:
        return self._made("", key, value, kind, metadata)

    def own(self, key: str, value: Any, **metadata: Any) -> dict[str, Any]:
        """A line of ours, which MLPerf does not have."""
        return self._made(TOUCHSTONE.lower(), key, value, _POINT, metadata)

    def _made(self, namespace: str, key: str, value: Any, kind: str, metadata: dict[str, Any]) -> dict[str, Any]:
        return {
            "namespace": namespace,
            "time_ms": self.time_ms,
            "event_type": kind,
            "key": key,
            "value": value,
            "metadata": {"file": _FILE, "lineno": 1, **metadata},
        }


def _first(events: list[Event], name: Name) -> int | None:
    return next((event.time_ms for event in events if event.name == name), None)


def _value(report: Report, name: str) -> float | None:
    figure = report.figures.get(name)
    return None if figure is None else figure.value


def _numbers(report: Report) -> Iterator[tuple[str, Any]]:
    """MLPerf's global batch is of one optimizer step over all devices; null in one factor, and it is not written."""
    case = report.case
    steps = case.get("gradient_accumulation_steps")
    factors = [one for one in (case.get("batch_size"), _batches(case), steps) if isinstance(one, int)]
    if len(factors) == 3:  # noqa: PLR2004 -- all of them
        yield "global_batch_size", math.prod(factors)
    if isinstance(steps, int):
        yield "gradient_accumulation_steps", steps
    if isinstance(case.get("seed"), int):
        yield "seed", case["seed"]


def _batches(case: dict[str, Any]) -> int | None:
    """Batches of one pass over all devices, of which those of a tensor group or a pipeline share theirs."""
    devices, layout = case.get("devices"), str(case.get("layout") or "")
    axes = [part.split(" ") for part in layout.split(", ") if part.startswith(_SHARE_A_BATCH)]
    return devices // math.prod(int(size) for _, size in axes) if isinstance(devices, int) else None


def _evaluations(report: Report, events: list[Event], begin_ms: int, end_ms: int) -> Iterator[dict[str, Any]]:
    """Every evaluation of the run's main metric that its events tell; else the last one, which the report has."""
    ends = [name for name in report.figures if name.startswith("quality/") and name.endswith("_last")]
    if not ends:
        return
    metric = ends[0].removeprefix("quality/").removesuffix("_last")
    told = [event for event in events if event.name == Name.EVALUATE and metric in event.value.get("quality", {})]
    for event in told:
        count = event.value.get("samples")
        yield _Line(min(event.time_ms, max(end_ms, begin_ms)))(
            "eval_accuracy", event.value["quality"][metric], metric=metric, samples_count=count
        )
    last = _value(report, ends[0])
    if not told and last is not None:
        samples = _value(report, "convergence/samples_to_target")
        count = {} if samples is None else {"samples_count": int(samples)}
        yield _Line(end_ms)("eval_accuracy", last, metric=metric, **count)
