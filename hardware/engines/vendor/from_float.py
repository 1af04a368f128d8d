"""Float32 ONNX file → the vendor's engine, whose own switches ask for narrower types; the host's arrays in and out.

For engines that take and leave their data on the host, and for those that tell nothing of the types they compute in:
their evidence is what they were asked for, and the numerics alone hold them to it.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.engines.base import EXISTING, UnsupportedGraphError
from hardware.engines.compiled import Compiled, Coverage, Made
from hardware.engines.exported.host_arrays import to_arrays, to_tensors
from hardware.engines.exported.onnx_file import onnx_file
from hardware.engines.graph import Graph, Placement, Tensors, keep
from hardware.engines.vendor.from_onnx import Built, EngineBuildError, FromOnnx, asked, require_precision, whole_graph

if TYPE_CHECKING:
    import numpy as np

    Arrays = Sequence[np.ndarray[Any, Any]]

EARLIER = f"compiler.{EXISTING} gives an engine that was built before"


class FromFloat(FromOnnx):
    """An engine that is built from a float32 ONNX file and kept as a file, or a folder, of its own."""

    commands: ClassVar[tuple[str, ...]] = ()
    """Command line tools of the vendor's that build an engine."""

    def unavailable_reason(self) -> str | None:
        """Names every package and command that is missing."""
        needed = self.commands if self.options.get(EXISTING) is None else ()
        missing = [f"there is no command {name} on PATH" for name in needed if shutil.which(name) is None]
        return " and ".join(filter(None, (super().unavailable_reason(), *missing))) or None

    def compile(self, graph: Graph, placement: Placement) -> Compiled:
        """Build the engine, or take the one that is there, and load it.

        Raises:
            PrecisionUnsupportedError: it cannot serve in the precision.
            EngineBuildError: the vendor's compiler made nothing of the graph, or its runtime does not load it.
            FileNotFoundError: `engine_path` leads nowhere.
        """
        require_precision(self, placement.precision)
        existing = self.options.get(EXISTING)
        built = self._built(graph, placement) if existing is None else self._existing(Path(existing), placement)
        with said_by(type(self).__name__):
            return self.load(built, graph, placement)

    def coverage(self, engine: Path, model: Path) -> Coverage | None:
        """Which nodes of an ONNX file an engine made of it took; None where nothing tells."""
        return whole_graph(model) if self.takes_all else None

    def detail(self, graph: Graph, placement: Placement) -> str:
        """With which switches the precision is asked for."""
        return ""

    def _built(self, graph: Graph, placement: Placement) -> Built:
        model = onnx_file(graph, placement)
        path = placement.folder / self.engine_file
        began_s = time.perf_counter()
        with said_by(type(self).__name__):
            now = keep(path, lambda draft: self.build(model.path, graph, placement, _emptied(draft)))
        made = Made(
            compile_s=time.perf_counter() - began_s if now else None,
            compile_reason="an earlier run had built the engine",
            export_s=model.seconds,
            export_reason=model.reason,
            size_bytes=size_on_disk(path),
            coverage=self.coverage(path, model.path),
        )
        return Built(path, made, replace(asked(placement.precision), detail=self.detail(graph, placement)))

    def _existing(self, path: Path, placement: Placement) -> Built:
        if not path.exists():
            raise FileNotFoundError(f"compiler.{EXISTING}={path} does not exist")
        made = Made(
            compile_s=None,
            compile_reason=EARLIER,
            export_reason=EARLIER,
            size_bytes=size_on_disk(path),
            coverage_reason="an engine that was built before does not tell what it was built from",
        )
        return Built(path, made, replace(asked(placement.precision), detail=f"as {path.name} was built"))


class OnArrays(Compiled):
    """Runs a call of the vendor's on arrays in the host's memory; it returns when the outputs are there."""

    def __init__(
        self,
        built: Built,
        call: Callable[[Arrays], Arrays],
        *,
        types: Sequence[Any] | None = None,
        close: Callable[[], None] = lambda: None,
        concurrent: bool = False,
    ) -> None:
        """Take what is to be run.

        Args:
            built: the engine it belongs to.
            call: takes the inputs in the graph's order and returns the outputs, in arrays that nothing writes over.
            types: NumPy's, of the engine's inputs; None: those of the graph.
            close: gives back what the engine holds.
            concurrent: whether several threads may call at once.
        """
        self.made, self.evidence, self.close = built.made, built.evidence, close  # type: ignore[method-assign]
        self._call, self._types = call, types
        self._lock = None if concurrent else threading.Lock()

    def place(self, inputs: Tensors) -> Arrays:
        """The same memory, or a copy in the type that the engine takes."""
        arrays = to_arrays(inputs)
        if self._types is None:
            return arrays
        return [one.astype(kind, copy=False) for one, kind in zip(arrays, self._types, strict=True)]

    def run(self, placed: Arrays) -> Arrays:
        """Call, one thread after another unless the engine takes several."""
        if self._lock is None:
            return self._call(placed)
        with self._lock:
            return self._call(placed)

    def fetch(self, outputs: Arrays) -> Tensors:
        """The same memory."""
        return to_tensors(outputs)


@contextmanager
def said_by(tool: str) -> Iterator[None]:
    """Name the vendor's tool in what it fails with.

    Raises:
        EngineBuildError: in the place of any other exception.
    """
    try:
        yield
    except (EngineBuildError, UnsupportedGraphError, PrecisionUnsupportedError, HardwareUnavailableError):
        raise
    except Exception as error:  # vendors' bindings raise whatever they like
        raise EngineBuildError(f"{tool}: {error or type(error).__name__}") from error


def size_on_disk(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files)


def _emptied(draft: Path) -> Path:
    """What a killed run left at the draft's place is removed."""
    if draft.is_dir():
        shutil.rmtree(draft)
    draft.unlink(missing_ok=True)
    return draft
