"""Has the case's engine compile a graph, tells what it took, and holds its precision to its word."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from hardware.engines.base import Engine
from hardware.engines.compiled import Compiled
from hardware.engines.graph import Graph, Placement, Tensors
from hardware.precision.evidence import check_evidence
from runner.config.known import engine_of
from runner.core.events import Name
from runner.measure.context import Context
from runner.serving.served import Served, digest_of_sources, digest_of_text

COMMON = ("torch", "transformers", "torchvision", "numpy")
PERIOD_S = 0.02


class PeakMemory:
    """Follows how much memory this process and its children hold, while something runs."""

    def __enter__(self) -> PeakMemory:
        self.bytes = self._now()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.bytes = max(self.bytes, self._now())

    def _follow(self) -> None:
        while not self._end.wait(PERIOD_S):
            self.bytes = max(self.bytes, self._now())

    def _now(self) -> int:
        own, held = psutil.Process(), 0
        for one in (own, *own.children(recursive=True)):
            try:
                held += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return held


def compile_served(context: Context, served: Served, inputs: Tensors, calibration: list[Tensors]) -> Compiled:
    """The engine's network for the shapes of `inputs`.

    Raises:
        PrecisionUnsupportedError: the engine cannot serve in the case's precision, or does not.
    """
    engine, graph = engine_of(context.case.compiler), served.graph(inputs)
    placement = Placement(
        device=context.device.torch_device(context.local_rank),
        precision=context.case.precision,
        folder=_folder(context, served, engine, inputs),
        calibration=calibration,
        chip=context.device.own_identities(1)[0].name,
    )
    began_s = time.monotonic()
    with PeakMemory() as memory:
        compiled = engine.compile(graph, placement)
    _tell(context, engine, graph, compiled, {"seconds": time.monotonic() - began_s, "peak_bytes": memory.bytes})
    context.events.emit(Name.PRECISION, compiled.evidence.told())
    check_evidence(compiled.evidence.told(), context.case.precision)
    return compiled


def _tell(context: Context, engine: Engine, graph: Graph, compiled: Compiled, took: dict[str, Any]) -> None:
    versions = {name: _version(name) for name in engine.packages}
    batch = {"batch_size": len(graph.inputs[0]), "versions": versions}
    context.events.emit(Name.COMPILE, asdict(compiled.made) | took | batch)


def _folder(context: Context, served: Served, engine: Engine, inputs: Tensors) -> Path:
    """Where the engine keeps what it makes of exactly this: it is never another model's, shape's or version's."""
    case = context.case
    identity = context.device.own_identities(1)[0]
    parts = {
        "weights": served.digest,
        "model": [case.model.implementations[case.framework.name], case.model.architecture],
        "inputs": [[name, str(one.dtype), list(one.shape)] for name, one in _named(served, inputs)],
        "outputs": served.model.output_names,
        "precision": asdict(case.precision),
        "compiler": [case.compiler.name, case.compiler.given()],
        "sources": digest_of_sources(),
        "versions": {name: _version(name) for name in (*COMMON, *engine.packages)},
        "device": [case.vendor.name, identity.name, case.emulate],
        "calibration": [case.data.name, case.data.root, getattr(case.task, "calibration_samples", None)],
    }
    folder = case.data.cache_path / "engines" / case.compiler.name / digest_of_text(parts)[:32]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made_for.json").write_text(json.dumps(parts, indent=1, default=str) + "\n")
    return folder


def _named(served: Served, inputs: Tensors) -> list[tuple[str, Any]]:
    return list(zip(served.model.input_names, inputs, strict=True))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
