"""Marks that are set when results are there, in the order in which work was submitted."""

from __future__ import annotations

import threading
import time

import pytest

from hardware.runtimes.completion import CompletedEvent, CompletionWatch

DELAY_S = 0.1


def test_a_mark_is_set_when_the_result_is_there_not_when_it_was_submitted() -> None:
    watch = CompletionWatch(time.sleep)
    start, end = CompletedEvent(watch), CompletedEvent(watch)
    begun = time.perf_counter()
    start.record()
    watch.submitted(DELAY_S)
    end.record()
    assert time.perf_counter() - begun < DELAY_S / 2
    assert end.at_s is None
    watch.drain()
    assert time.perf_counter() - begun >= DELAY_S
    assert start.at_s is not None and end.at_s is not None
    assert end.at_s - start.at_s >= DELAY_S * 0.99


def test_a_mark_waits_for_those_before_it() -> None:
    """The later result is there at once, as a batch is that was copied while a step ran."""
    first = threading.Event()
    watch = CompletionWatch(lambda result: result.wait(5))
    there = threading.Event()
    there.set()
    marks = [CompletedEvent(watch), CompletedEvent(watch)]
    watch.submitted(first)
    marks[0].record()
    watch.submitted(there)
    marks[1].record()
    time.sleep(0.02)
    assert marks[1].at_s is None
    first.set()
    watch.drain()
    assert marks[0].at_s is not None and marks[1].at_s is not None and marks[0].at_s <= marks[1].at_s


def test_what_the_device_could_not_do_is_told_at_the_next_edge_and_once() -> None:
    def fail(result: object) -> None:
        raise ValueError("out of memory")

    watch = CompletionWatch(fail)
    watch.submitted("something")
    with pytest.raises(RuntimeError, match="out of memory"):
        watch.drain()
    watch.submitted(None)
    watch.drain()
