"""What of a run's time lies before and behind training or serving, so that its parts add up to all of it."""

from __future__ import annotations

from collections.abc import Sequence

from runner.core.events import Event, Name
from runner.record.run_record import RunRecord
from runner.record.values import Missing, Value, Values

APART = "several nodes: the runner's clock need not be that of the first rank's machine"


def phases(run_record: RunRecord) -> Values:
    """`time/launch_s`, `time/setup_s` and `time/ending_s` of the last start, by the first rank's events.

    With `time/init_s`, which lies between the first two, and `time/train_s` they are the time from end to end of a run
    that was not resumed. A served model has its warm-up and its window in place of training.
    """
    began, started = _last(run_record.parent, Name.LAUNCH_TRAINING), _last(run_record.events, Name.INIT_START)
    ready, ended = _last(run_record.events, Name.INIT_END), _last(run_record.parent, Name.LAUNCH_END)
    apart = run_record.case.topology.nodes > 1
    since = [event for event in run_record.events if ready is not None and event.monotonic_s >= ready.monotonic_s]
    done = _last(since, Name.TRAIN_END) or (None if _last(since, Name.TRAIN_START) else _last(since, Name.SEGMENT_END))
    return {
        "time/launch_s": Missing(APART) if apart else _between(_at(began), _at(started), "the worker did not come up"),
        "time/setup_s": _between(_at(ready), _work_began_s(since), "the run ended before it was set up"),
        "time/ending_s": Missing(APART)
        if apart
        else _between(_at(done), _at(ended), "the run did not come to its end"),
    }


def _work_began_s(since: Sequence[Event]) -> float | None:
    """When training began; of a served model, which is not trained, its warm-up."""
    start = next((event for event in since if event.name == Name.TRAIN_START), None)
    warm = next((event for event in since if event.name == Name.WARMUP_END), None)
    if start is not None:
        return start.monotonic_s
    return None if warm is None else warm.monotonic_s - float(warm.value["seconds"])


def _last(events: Sequence[Event], name: Name) -> Event | None:
    return next((event for event in reversed(events) if event.name == name), None)


def _at(event: Event | None) -> float | None:
    return None if event is None else event.monotonic_s


def _between(begin_s: float | None, end_s: float | None, reason: str) -> Value:
    if begin_s is None or end_s is None or end_s < begin_s:
        return Missing(reason)
    return end_s - begin_s
