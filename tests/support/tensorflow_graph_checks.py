"""Checks of what surrounds a step in TensorFlow: traces, the probe of types, waiting for the device."""

from __future__ import annotations

import time
from typing import Any

import tensorflow as tf
from hardware_specs import vendor
from tensorflow.python.eager import context, executor

from hardware.runtimes.tensorflow import TensorflowDevice
from hardware.vendors.cpu import Cpu
from runner.frameworks.keras.probing import kept_bits, product_types
from runner.frameworks.keras.tracing import TracedFunction


def traces() -> Any:
    """Which calls are told as traces: other rates are not, other shapes are, other lengths only where they matter."""
    told: list[str] = []
    common: Any = {"xla": False, "told": lambda name, seconds: told.append(f"{name} {seconds > 0}")}

    def body(batch: Any, rate: Any) -> Any:
        return tf.reduce_sum(batch["x"]) * rate

    values, counts = [], []
    fixed = TracedFunction(body, "fixed", **common)
    for shape, rate in (((4, 3), 1.0), ((4, 3), 2.0), ((2, 3), 2.0), ((4, 3), 3.0)):
        values.append(float(fixed({"x": tf.ones(shape)}, tf.constant(rate))))
        counts.append(len(told))
    evaluated = TracedFunction(body, "any", any_length=True, **common)
    for shape in ((4, 3), (2, 3), (4, 5)):
        values.append(float(evaluated({"x": tf.ones(shape)}, tf.constant(1.0))))
        counts.append(len(told))
    compiled = TracedFunction(body, "xla", xla=True, told=common["told"], any_length=True)
    for shape in ((4, 3), (2, 3), (4, 3)):
        values.append(float(compiled({"x": tf.ones(shape)}, tf.constant(1.0))))
        counts.append(len(told))
    return {"values": values, "counts": counts, "told": told}


def probed() -> Any:
    """Types of products inside branches and called functions are found; the host keeps all bits."""

    @tf.function(autograph=False)
    def inner(x: Any) -> Any:
        return tf.matmul(tf.cast(x, tf.bfloat16), tf.cast(x, tf.bfloat16))

    def branch(x: Any) -> Any:
        return tf.matmul(tf.cast(x, tf.float16), tf.cast(x, tf.float16))

    @tf.function(autograph=False)
    def outer(x: Any) -> Any:
        some = tf.cond(tf.reduce_sum(x) > 0, lambda: branch(x), lambda: tf.cast(x, tf.float16))
        return some, inner(x)

    spec = tf.TensorSpec((4, 4), tf.float32)
    nested = product_types(outer.get_concrete_function(spec).graph)
    none = product_types(tf.function(lambda x: x + 1).get_concrete_function(spec).graph)
    return {"nested": nested, "none": none, "bits": [kept_bits("/device:CPU:0", xla=xla) for xla in (False, True)]}


def waited() -> Any:
    """An operator that takes its time on an asynchronous executor: marks and edges come after it, calls before."""

    class AsynchronousHost(TensorflowDevice):
        asynchronous_on_host = True

    device = AsynchronousHost(Cpu(vendor("cpu")), on_host=True)

    def late(x: Any) -> Any:
        time.sleep(0.3)
        return x * 2

    delayed = tf.function(lambda x: tf.py_function(late, [x], tf.float32), autograph=False)
    delayed = delayed.get_concrete_function(tf.TensorSpec((), tf.float32))
    with context.executor_scope(executor.new_executor(True)):
        opening = device.event()
        opening.record()
        began_s = time.perf_counter()
        marks = []
        for _ in range(2):
            result = delayed(tf.constant(1.0))
            device.submitted(result)
            marks.append(device.event())
            marks[-1].record()
        submitted_s = time.perf_counter() - began_s
        device.synchronize()
        synchronised_s = time.perf_counter() - began_s
        steps = [device.elapsed_s(opening, marks[0]), device.elapsed_s(marks[0], marks[1])]

        class Failing:
            """A result whose device met an error."""

            def numpy(self) -> None:
                raise tf.errors.InternalError(None, None, "the device met an error")

        device.submitted(Failing())
        device.event().record()
        try:
            device.synchronize()
            failure = ""
        except RuntimeError as error:
            failure = str(error)
    return {"submitted_s": submitted_s, "synchronised_s": synchronised_s, "steps": steps, "failure": failure}
