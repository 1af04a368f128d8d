"""Compiled programs: compiled when a shape comes for the first time, never without a word."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax

from runner.core.events import EventWriter, Name

BACKEND = "/jax/core/compile/backend_compile_duration"
"""What JAX tells of every program that it compiles (`jax.monitoring`)."""


class XlaPrograms:
    """Traces, lowers and compiles ahead of the call, so that a call only runs; tells each compilation's seconds."""

    def __init__(self, events: EventWriter) -> None:
        """Compile nothing yet."""
        self._events = events
        self._compiled: dict[Hashable, Any] = {}
        self._busy = False
        self._watching = False

    def run(self, what: str, function: Any, batch: Mapping[str, Any], *arguments: Any) -> Any:
        """Call a program with a batch and what else it takes.

        Args:
            what: the program, for people and as part of its key.
            function: `jax.jit`'s; of one name always the same.
            batch: its first argument; other shapes are another program.
            arguments: of the same shapes in every call.
        """
        key = (what, *((name, one.shape, one.dtype) for name, one in batch.items()))
        program = self._compiled.get(key)
        if program is None:
            program = self._compiled[key] = self.compiled(what, lambda: function.lower(batch, *arguments).compile())
        return program(batch, *arguments)

    def compiled(self, what: str, compile_it: Callable[[], Any]) -> Any:
        """Compile something and tell it."""
        self._busy, begun = True, time.monotonic()
        try:
            program = compile_it()
        finally:
            self._busy = False
        self._tell(what, time.monotonic() - begun)
        return program

    def watch(self) -> None:
        """From now on tell whatever JAX compiles beside these programs: nothing should."""
        if not self._watching:
            self._watching = True
            jax.monitoring.register_event_duration_secs_listener(self._heard)

    def _heard(self, event: str, seconds: float, **_: Any) -> None:
        if event == BACKEND and not self._busy:
            self._tell("an operation outside the step", seconds)

    def _tell(self, what: str, seconds: float) -> None:
        self._events.emit(Name.COMPILED, {"what": what, "seconds": seconds})
