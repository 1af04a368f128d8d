"""Has the case's engine compile a graph, tells what it took, and holds its precision to its word."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from torch import Tensor

from hardware.engines.base import Engine
from hardware.engines.compiled import Compiled
from hardware.engines.generation import CompiledGeneration
from hardware.engines.graph import Placement, Tensors
from hardware.packages import installed_version
from hardware.precision.evidence import check_evidence
from runner.config.known import engine_of
from runner.core.events import Name
from runner.measure.context import Context
from runner.serving.served import Served, content_of, digest_of_sources, digest_of_text, hash_bytes

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
    named = dict(zip(served.model.input_names, inputs, strict=True))
    placement = _placement(context, _folder(context, served, engine, named, calibration), calibration)
    with _Told(context, engine, {"batch_size": len(inputs[0])}) as told:
        compiled = told.compiled = engine.compile(graph, placement)
    return compiled


def compile_generation(context: Context, served: Served, prompts: Tensor, new_tokens: int) -> CompiledGeneration:
    """The engine's network that continues prompts of these rows and this length.

    Raises:
        PrecisionUnsupportedError: the engine cannot serve in the case's precision, or does not.
    """
    engine = engine_of(context.case.compiler)
    graph = served.generation_graph(prompts, new_tokens, context.case.model.weights)
    folder = _folder(context, served, engine, {"prompts": prompts}, [], new_tokens=new_tokens)
    lengths = {"batch_size": len(prompts), "prompt_tokens": prompts.shape[1], "new_tokens": new_tokens}
    with _Told(context, engine, lengths) as told:
        compiled = told.compiled = engine.compile_generation(graph, _placement(context, folder, []))
    return compiled


def _placement(context: Context, folder: Path, calibration: list[Tensors]) -> Placement:
    return Placement(
        device=context.device.torch_device(context.local_rank),
        precision=context.case.precision,
        folder=folder,
        calibration=calibration,
        chip=context.device.own_identities(1)[0].name,
    )


class _Told:
    """Tells what compiling took, and holds what came of it to its precision."""

    compiled: Compiled | CompiledGeneration

    def __init__(self, context: Context, engine: Engine, sizes: dict[str, int]) -> None:
        self._context, self._engine, self._sizes, self._memory = context, engine, sizes, PeakMemory()

    def __enter__(self) -> _Told:
        self._began_s = time.monotonic()
        self._memory.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._memory.__exit__(kind, *rest)
        if kind is not None:
            return
        took = {"seconds": time.monotonic() - self._began_s, "peak_bytes": self._memory.bytes}
        versions = {"versions": {name: installed_version(name) for name in self._engine.packages}}
        events, told = self._context.events, self.compiled.evidence.told()
        events.emit(Name.COMPILE, asdict(self.compiled.made) | took | self._sizes | versions)
        events.emit(Name.PRECISION, told)
        check_evidence(told, self._context.case.precision)


def _folder(
    context: Context,
    served: Served,
    engine: Engine,
    inputs: Mapping[str, Tensor],
    calibration: list[Tensors],
    **further: Any,
) -> Path:
    """Where the engine keeps what it makes of exactly this: it is never another model's, shape's or version's."""
    case = context.case
    identity = context.device.own_identities(1)[0]
    parts = {
        "weights": served.digest,
        "model": [case.model.implementations[case.framework.name], case.model.architecture],
        "inputs": [[name, str(one.dtype), list(one.shape)] for name, one in inputs.items()],
        "outputs": served.model.output_names,
        "precision": asdict(case.precision),
        "compiler": [case.compiler.name, case.compiler.given()],
        "sources": digest_of_sources(),
        "versions": {name: installed_version(name) for name in (*COMMON, *engine.packages)},
        "device": [case.vendor.name, identity.name, case.emulate],
        "calibration": [hash_bytes(content_of(one)) for batch in calibration for one in batch],
        **further,
    }
    folder = case.data.cache_path / "engines" / case.compiler.name / digest_of_text(parts)[:32]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made_for.json").write_text(json.dumps(parts, indent=1, default=str) + "\n")
    return folder
