"""What is measured beside the case's window: without copies, and at the model's other batch sizes."""

from __future__ import annotations

from typing import Any

from hardware.engines.compiled import Compiled
from hardware.engines.graph import Tensors
from runner.core.events import Name
from runner.core.statistics import quantile
from runner.measure.context import Context
from runner.serving.compile import compile_served
from runner.serving.load.offline import Offline
from runner.serving.load.session import ServingSession
from runner.serving.load.system import ForwardSystem, PlacedSystem, System
from runner.serving.served import Served, batches_of


def measure_points(
    context: Context,
    served: Served,
    compiled: Compiled,
    session: ServingSession,
    *,
    size: int,
    calibration: list[Tensors],
) -> None:
    """A row for the served batch size without copies; with `load=offline`, two for each further size."""
    inputs = served.inputs()
    samples = served.model.count(served.batches[0]).samples
    context.preparing("measuring without copies")
    _point(context, session, PlacedSystem(compiled, inputs, samples), size, copies=False)
    if context.case.load.name != "offline":
        return
    for other in sorted({*context.case.model.inference.batch_sizes} - {size}):
        context.preparing(f"compiling for batch size {other}")
        batches = batches_of(served.model, context.case, other)
        others = [served.model.inputs(batch) for batch in batches]
        samples = served.model.count(batches[0]).samples
        fitting = compile_served(context, served, others[0], calibration)
        context.preparing(f"measuring batch size {other}")
        _point(context, session, ForwardSystem(fitting, others, samples), other, copies=True)
        _point(context, session, PlacedSystem(fitting, others, samples), other, copies=False)
        fitting.close()


def _point(context: Context, session: ServingSession, system: System, size: int, *, copies: bool) -> None:
    load = context.case.load
    arrival = Offline(load, system, seed=context.case.seed, folder=context.folder)
    stretch, steady = session.point(arrival)
    told: dict[str, Any] = {
        "batch_size": size,
        "copies": copies,
        "samples_per_second": stretch.samples / stretch.seconds,
        "requests": len(stretch.requests),
        "seconds": stretch.seconds,
        "steady": steady,
    }
    if copies:
        latencies = [one.latency_s for one in stretch.requests]
        for name, fraction in (("latency_p50_ms", 0.5), ("latency_p99_ms", 0.99)):
            value = quantile(latencies, fraction)
            told[name] = None if value is None else 1e3 * value
    context.events.emit(Name.POINT, told)
