"""What an engine is given to compile, and for what."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hardware.spec import PrecisionSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Tensors = tuple["Tensor", ...]
"""Inputs or outputs of a network, in order; all lead with the batch dimension unless the graph says otherwise."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Graph:
    """A network in evaluation, in float32, on the host: positional tensors in, a tuple of tensors out."""

    network: nn.Module
    inputs: Tensors
    """Real inputs at the batch size that is served, on the host: shapes and types are fixed to theirs."""
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


@dataclass(kw_only=True, slots=True, frozen=True)
class Placement:
    """Where and how a graph is to run."""

    device: torch.device
    precision: PrecisionSpec
    folder: Path
    """For what the engine makes of this graph in this precision; kept between runs, under a hash of all that
    decides it: weights, shapes, precision, options, versions. It is there and may be empty."""
    calibration: Sequence[Tensors] = ()
    """Real batches like the graph's inputs, for engines that choose the ranges of integers by them; never the
    evaluation's own."""
    chip: str | None = None
    """The device's name, as its driver tells it."""


def calibration_batches(graph: Graph, placement: Placement) -> list[Tensors]:
    """The placement's calibration rows in batches of the graph's size, which may be another than theirs.

    Rows that fill no batch are left out; where there are fewer than one batch holds, they repeat within it.

    Raises:
        ValueError: there are none.
    """
    import torch

    if not placement.calibration:
        raise ValueError("ranges of integers are chosen by calibration batches, and there are none")
    size = len(graph.inputs[0])
    columns = [torch.cat(parts) for parts in zip(*placement.calibration, strict=True)]
    rows = torch.arange(max(size, len(columns[0]) // size * size)) % len(columns[0])
    return [tuple(column[some] for column in columns) for some in rows.view(-1, size)]


def keep(path: Path, make: Callable[[Path], None]) -> bool:
    """Have `make` write `path`, unless an earlier run has; returns whether it was made now.

    Written beside its place and moved there when it is whole: a killed run leaves no half of it behind. Of two runs
    that make the same at the same time, each has a draft of its own, and the one that is done first is kept.
    """
    if path.exists():
        return False
    draft = path.with_name(f".{path.name}.draft{os.getpid()}")
    make(draft)
    try:
        draft.replace(path)
    except OSError:  # a folder does not replace one that holds something
        if not path.is_dir():
            raise
        shutil.rmtree(draft)
    return True
