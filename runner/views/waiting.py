"""A bar on the screen while many results are read; only at a terminal, and only where that takes a while."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from runner.views.page import screen

AFTER_S = 0.5
"""Seconds after which there is a bar."""


@contextmanager
def waiting(text: str) -> Iterator[Callable[[int, int], None]]:
    """Gives what is to be told how many of how many have been read; the bar is gone afterwards.

    Args:
        text: what is done, in the reader's language.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=screen(sys.stderr), transient=True)
    shown = bar.add_task(text, total=None)
    began_s = time.monotonic()

    def tell(done: int, total: int) -> None:
        if not bar.live.is_started and bar.console.is_terminal and time.monotonic() - began_s > AFTER_S:
            bar.start()
        bar.update(shown, completed=done, total=total)

    try:
        yield tell
    finally:
        if bar.live.is_started:  # else it would write an empty line
            bar.stop()
