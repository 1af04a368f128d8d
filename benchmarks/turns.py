"""Two programs alive at once that take short turns: one is stopped by signal while the other runs.

Where a virtual machine shares its cores with others unseen, the same program is a fifth slower within minutes.
Turns that follow each other within seconds meet the same machine, so the ratio of neighbouring turns tells what the
programs themselves differ by. A step counts when it began and ended within one turn, after whatever woke late has
caught up; the one that a signal cut is left out.
"""

from __future__ import annotations

import contextlib
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import psutil

from benchmarks.record import interleaved

CATCH_UP_S = 0.2
"""Left out at the beginning of each turn: timers that fell due meanwhile, and cold caches."""
LEAST_STEPS = 3
"""Whole steps that a turn must hold to count."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Turn:
    """One side's stretch of monotonic time."""

    side: str
    begin_s: float
    end_s: float


def tree(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The process with all its descendants."""
    root = psutil.Process(process.pid)
    return [root, *root.children(recursive=True)]


def stop(process: subprocess.Popen[str]) -> None:
    """Stop a program where it stands, with all its processes."""
    _signal(process, signal.SIGSTOP)


def go_on(process: subprocess.Popen[str]) -> None:
    """Let a stopped program run."""
    _signal(process, signal.SIGCONT)


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in tree(process):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(number)


@contextmanager
def ended_with(sides: Mapping[str, subprocess.Popen[str]]) -> Iterator[None]:
    """End whatever still lives of these programs when the block is left by an error: a stopped one waits for ever."""
    try:
        yield
    except BaseException:
        for process in sides.values():
            _signal(process, signal.SIGKILL)
        raise


def run_in_turns(sides: Mapping[str, subprocess.Popen[str]], *, pairs: int, turn_s: float) -> list[Turn]:
    """Let two stopped programs run by turns A B, B A, …; at the end both are stopped.

    Args:
        sides: name to program; every one is stopped.
        pairs: how many turns each gets.
        turn_s: length of a turn, in seconds.
    """
    turns = []
    for _, side in interleaved(pairs, list(sides)):
        begin_s = time.monotonic()
        go_on(sides[side])
        time.sleep(turn_s)
        end_s = time.monotonic()  # finding the processes to stop takes a while, and processor time from the side
        stop(sides[side])
        turns.append(Turn(side=side, begin_s=begin_s, end_s=end_s))
    return turns


def rates(turns: Sequence[Turn], ends_s: Mapping[str, Sequence[float]]) -> list[float | None]:
    """Steps per second of each turn, over the whole steps that count; null with fewer than `LEAST_STEPS`.

    Args:
        turns: as they were taken.
        ends_s: side to the monotonic times at which its steps ended, in order; a step begins where the one before ends.
    """
    found: list[float | None] = []
    for turn in turns:
        whole = [
            (begin_s, end_s)
            for begin_s, end_s in pairwise(ends_s[turn.side])
            if turn.begin_s + CATCH_UP_S <= begin_s and end_s <= turn.end_s
        ]
        enough = len(whole) >= LEAST_STEPS
        found.append(len(whole) / sum(end_s - begin_s for begin_s, end_s in whole) if enough else None)
    return found


def ratios(turns: Sequence[Turn], ends_s: Mapping[str, Sequence[float]], *, over: str) -> list[float]:
    """Speed of the other side divided by that of `over`, for each pair of neighbouring turns that both count."""
    told = list(zip(turns, rates(turns, ends_s), strict=True))
    found = []
    for one, other in zip(told[::2], told[1::2], strict=True):
        (_, above), (_, below) = (other, one) if one[0].side == over else (one, other)
        if above is not None and below is not None:
            found.append(above / below)
    return found


def middle(values: Sequence[float]) -> float:
    """Median of a pair's turns.

    Raises:
        SystemExit: no turn counts.
    """
    if not values:
        raise SystemExit("No turn holds enough whole steps: give longer turns.")
    return statistics.median(values)
