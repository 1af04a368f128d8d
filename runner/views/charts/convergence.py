"""Quality against the samples, the time and the energy that it took, with its target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hardware.sampling.trace import Trace
from runner.core.events import Event, Name
from runner.messages import tr
from runner.record.report import Report
from runner.record.run_record import RunRecord
from runner.results.power import device_energy, load_trace
from runner.views.charts.parts.chart import BLUE, ORANGE, Chart, Row, finished
from runner.views.charts.parts.layers import Key, levels, line, x_axis, y_axis

MOST_READINGS = 2_000_000
"""Readings of the trace that are gone through for the energies of all evaluations together."""
At = Callable[[Event], float | None]


class _Over(NamedTuple):
    """What quality is drawn against."""

    name: str
    title: str
    x_title: str
    at: At


def charts(run_record: RunRecord, report: Report) -> list[Chart | None]:
    """For each metric that was evaluated a chart over samples, one over time, and one over joules where all are known.

    Args:
        run_record: of a training.
        report: the run's.
    """
    began = run_record.all(Name.TRAIN_START)
    train = run_record.case.model.train
    evaluations = [event for event in run_record.events if event.name in (Name.INIT_EVALUATION, Name.EVALUATE)]
    if train is None or not evaluations:
        return []
    origin_s = began[0].monotonic_s if began else evaluations[0].monotonic_s
    unit = report.case.get("unit") or run_record.case.model.unit
    over = [
        _Over("samples", tr("Quality against samples"), tr("training samples ({unit})", unit=unit), _samples),
        _Over("time", tr("Quality against time"), tr("training time, evaluations included (s)"), _training_s(origin_s)),
    ]
    if len(began) == 1:  # the energy of a killed part is not known to its end
        joules = _joules(run_record, origin_s, evaluations)
        if joules:
            at: At = lambda event: joules.get(event.monotonic_s)  # noqa: E731
            over.append(_Over("energy", tr("Quality against energy"), tr("energy of the devices (J)"), at))
    found: list[Chart | None] = []
    for place, goal in enumerate(train.quality.targets.items()):
        suffix = "" if place == 0 else f"_{goal[0]}"
        found += [_chart(one, goal, suffix, evaluations) for one in over]
    return found


def _chart(over: _Over, goal: tuple[str, float], suffix: str, evaluations: Sequence[Event]) -> Chart | None:
    metric, target = goal
    rows: list[Row] = []
    for event in evaluations:
        value, x = (event.value.get("quality") or {}).get(metric), over.at(event)
        if isinstance(value, int | float) and x is not None:
            rows.append({"x": x, "mean": value, "low": value, "high": value, "series": tr("evaluations")})
    if not rows:
        return None
    aim = tr("target: {value}", value=f"{target:g}")
    key, x_ = Key({tr("evaluations"): BLUE, aim: ORANGE}), x_axis(over.x_title)
    y_title = tr("{metric} (ratio or score, no unit)", metric=metric)
    level = levels([{"mean": target, "series": aim}], key, y_axis("mean", y_title, zero=False))
    return finished(
        f"quality_{over.name}{suffix}", over.title, [*level, *line(rows, key, x_, y_title, zero=False, point=True)]
    )


def _samples(event: Event) -> float | None:
    return float(event.value.get("samples") or 0)


def _training_s(origin_s: float) -> At:
    """Training time at an evaluation: as the worker counted it over all parts of a run, else since training began."""

    def at(event: Event) -> float | None:
        if event.name == Name.INIT_EVALUATION:
            return 0.0
        counted = event.value.get("training_s")
        return float(counted) if counted is not None else event.monotonic_s - origin_s

    return at


def _joules(run_record: RunRecord, origin_s: float, evaluations: Sequence[Event]) -> dict[float, float]:
    """Energy of the devices from the beginning of training to each evaluation, by its moment; only known ones.

    Of so many that it takes too long, some are left out; that which reached the target and the last are kept.
    """
    if run_record.case.topology.nodes > 1:  # each node has a trace on a clock of its own
        return {}
    trace = load_trace(run_record)
    later = [event for event in evaluations if event.name == Name.EVALUATE and event.monotonic_s > origin_s]
    step = 1 + len(later) * _readings(trace) // MOST_READINGS
    reached = next((event for event in later if event.value.get("reached")), None)
    chosen = [one for place, one in enumerate(later) if place % step == 0 or one is reached or one is later[-1]]
    first = [event for event in evaluations if event.name == Name.INIT_EVALUATION]
    found = {event.monotonic_s: 0.0 for event in first}
    for event in chosen:
        reading = device_energy(run_record, trace, origin_s, event.monotonic_s)
        if reading.joules is not None:
            found[event.monotonic_s] = reading.joules
    return found if len(found) > len(first) else {}


def _readings(trace: Trace) -> int:
    return sum(len(one.numbers["monotonic_s"]) for one in trace.series)
