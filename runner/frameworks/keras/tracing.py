"""Functions that are traced, and by XLA compiled, when a shape comes for the first time: never without a word."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any

import tensorflow as tf

from models.ports.port import Arrays

Told = Callable[[str, float], None]
"""(Name of a function, seconds that it took to trace it, and with XLA to compile it and run it once)."""


class TracedFunction:
    """Traces ahead of the first call of a shape, so that every call only runs the graph.

    XLA compiles in the first call; the seconds that are told hold that whole call, so that none are left out.
    """

    def __init__(self, body: Callable[..., Any], name: str, *, xla: bool, told: Told, any_length: bool = False) -> None:
        """Trace nothing yet.

        Args:
            body: a batch and further tensors to tensors; Python in it runs while tracing alone.
            name: for people.
            xla: whether XLA compiles it.
            told: hears of every trace.
            any_length: whether batches of other lengths are the same function; XLA's are not.
        """
        self._name, self._told, self._xla, self._any_length = name, told, xla, any_length and not xla
        self._function = tf.function(body, autograph=False, jit_compile=xla)
        self._traced: dict[Hashable, Any] = {}

    def __call__(self, batch: Arrays, *arguments: Any) -> Any:
        """Run it.

        Args:
            batch: tensors by name.
            arguments: tensors whose types and shapes never change.
        """
        begin = 1 if self._any_length else 0
        key = tuple((name, tuple(one.shape[begin:]), one.dtype) for name, one in batch.items())
        graph = self._traced.get(key)
        if graph is not None:
            return graph(batch, *arguments)
        began_s = time.perf_counter()
        specs = {name: self._spec(one) for name, one in batch.items()}
        graph = self._traced[key] = self._function.get_concrete_function(specs, *arguments)
        if not self._xla:
            self._told(self._name, time.perf_counter() - began_s)
            return graph(batch, *arguments)
        result = graph(batch, *arguments)
        self._told(self._name, time.perf_counter() - began_s)
        return result

    def graph(self, batch: Arrays, *arguments: Any) -> Any:
        """The graph of such a call; not run, and not kept for later ones."""
        return self._function.get_concrete_function(batch, *arguments).graph

    def _spec(self, tensor: Any) -> Any:
        shape = [None, *tensor.shape[1:]] if self._any_length else tensor.shape
        return tf.TensorSpec(shape, tensor.dtype)
