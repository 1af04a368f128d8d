"""Measures a served model: warm-up under the load that is measured, then a window between synchronised edges.

The same decisions, events and files as in training: a request takes the place of an optimizer step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from runner.core.events import Name
from runner.measure.context import Context
from runner.measure.edges import Edges
from runner.measure.ranks import Ranks
from runner.measure.step_records import StepRecord, StepsFile
from runner.measure.window import WarmUpWatch, steps_for
from runner.serving.load.arrival import Arrival
from runner.serving.load.requests import Request, append_requests


@dataclass(kw_only=True, slots=True, frozen=True)
class Stretch:
    """Requests between two synchronised edges."""

    begin_s: float
    end_s: float
    requests: list[Request]

    @property
    def seconds(self) -> float:
        """Between the edges."""
        return self.end_s - self.begin_s

    @property
    def samples(self) -> int:
        """Of all requests, each of which was answered between the edges."""
        return sum(one.samples for one in self.requests)

    def total(self, name: Literal["tokens", "input_tokens"]) -> int | None:
        """Tokens of all requests; None where one has none."""
        counts = [getattr(one, name) for one in self.requests]
        return None if None in counts else sum(counts)


class ServingSession:
    """Warms up and measures; `window` is the case's one window, `point` a further one that is told as a row."""

    def __init__(self, context: Context, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._context, self._clock = context, clock
        self._steps_file = StepsFile(context.folder / "steps.csv", rank=context.rank)
        self._sent = 0
        self._steps = 0

    def window(self, arrival: Arrival) -> list[Request]:
        """Warm up, then measure the case's window: it has the energy, the steps and the requests of the run.

        A segment that was over sooner than warm-up let expect is followed by another, as in training.

        Returns:
            The requests of the window.
        """
        self._context.preparing("warming up")
        watch = self._warm_up(arrival)
        told = {"steady": watch.steady, "steps": watch.steps, "seconds": watch.elapsed_s, "reason": watch.reason}
        self._context.events.emit(Name.WARMUP_END, told)
        spec, mean_s = self._context.case.measure.window, watch.means_s[-1]
        requests: list[Request] = []
        segment, seconds = 0, 0.0
        while count := steps_for(spec, arrival.request_s(mean_s), done_steps=len(requests), done_s=seconds):
            expected = {"planned_steps": count, "expected_s": count * arrival.request_s(mean_s)}
            self._context.events.emit(Name.SEGMENT_BEGIN, {"segment": segment, **expected})
            stretch = self._between_edges(arrival, count, arrival.measure, segment=segment)
            self._tell(segment, stretch, own_s=arrival.own_s(stretch.seconds, stretch.requests))
            requests += stretch.requests
            segment, seconds = segment + 1, seconds + stretch.seconds
            mean_s = arrival.pace_s(stretch.seconds, stretch.requests)
        return requests

    def point(self, arrival: Arrival) -> tuple[Stretch, bool]:
        """Warm up and measure once more, beside the case's window; says whether warm-up ended steady."""
        watch = self._warm_up(arrival, write=False)
        count = steps_for(self._context.case.measure.window, arrival.request_s(watch.means_s[-1]))
        return self._between_edges(arrival, count, arrival.measure), watch.steady

    def _warm_up(self, arrival: Arrival, *, write: bool = True) -> WarmUpWatch:
        """Blocks under the load itself, so that warm-up covers the concurrency that is measured."""
        watch = WarmUpWatch(spec=self._context.case.measure.warmup)
        while not watch.over:
            block = self._between_edges(arrival, arrival.block_of(watch.spec.block_steps), arrival.send)
            watch.add(arrival.pace_s(block.seconds, block.requests), len(block.requests))
            if write:
                self._write("warmup", block)
        return watch

    def _between_edges(
        self, arrival: Arrival, count: int, send: Callable[[int, int], list[Request]], *, segment: int | None = None
    ) -> Stretch:
        edges = Edges(device=arrival.system, ranks=Ranks(), mark=self._context.mark, clock=self._clock)
        begin_s = edges.open(None if segment is None else f"segment_begin:{segment}")
        requests = send(count, self._sent)
        end_s = edges.close(None if segment is None else f"segment_end:{segment}")
        self._sent += len(requests)
        return Stretch(begin_s=begin_s, end_s=end_s, requests=requests)

    def _tell(self, segment: int, stretch: Stretch, *, own_s: float | None) -> None:
        self._write("window", stretch)
        append_requests(self._context.folder, segment, stretch.requests)
        edges = {"segment": segment, "begin_s": stretch.begin_s, "end_s": stretch.end_s}
        counts = {"samples": stretch.samples, "tokens": stretch.total("tokens")}
        times = {"seconds": stretch.seconds, "core_s": None, "own_s": own_s}
        self._context.events.emit(Name.SEGMENT_END, {**edges, "steps": len(stretch.requests), **counts, **times})

    def _write(self, phase: str, stretch: Stretch) -> None:
        """Rows of `steps.csv`: between one answer and the next, by the harness's clock."""
        previous, records = stretch.begin_s, []
        for one in sorted(stretch.requests, key=lambda request: request.ended_s):
            self._steps += 1
            records.append(
                StepRecord(
                    step=self._steps,
                    seconds=max(0.0, one.ended_s - previous),
                    core_seconds=None,
                    samples=one.samples,
                    tokens=one.tokens,
                    loss=None,
                    learning_rate=0.0,
                    offset_s=one.ended_s - stretch.begin_s,
                )
            )
            previous = one.ended_s
        self._steps_file.append(phase, records)
