"""Functions over MindSpore's tensors, compiled as graphs where that is asked for; each compilation is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import mindspore
from mindspore import Tensor

from runner.core.events import EventWriter, Name


class Programs:
    """Compiles functions, one graph per shape of their arguments."""

    def __init__(self, events: EventWriter, *, compiles: bool) -> None:
        """Compile nothing yet.

        Args:
            events: where compilations are told.
            compiles: whether functions are compiled; else they run operator by operator.
        """
        self._events, self._compiles = events, compiles
        self._met: set[tuple[Any, ...]] = set()

    def of(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, compiled when it is called for the first time with arguments of a shape.

        MindSpore compiles inside that call, which returns when the graph is submitted: its seconds are what is told.

        Args:
            what: it does, for people.
            function: of tensors alone.
        """
        if not self._compiles:
            return function
        graph = mindspore.jit(function)

        def call(*arguments: Tensor) -> Any:
            key = (what, *((tuple(one.shape), str(one.dtype)) for one in arguments))
            if key in self._met:
                return graph(*arguments)
            begun = time.monotonic()
            made = graph(*arguments)
            self._met.add(key)
            self._events.emit(Name.COMPILED, {"what": what, "seconds": time.monotonic() - begun})
            return made

        return call
