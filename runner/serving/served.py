"""The model of a case as it is served: its graph, real inputs, and the digest of all that decides its answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from torch import Tensor, nn

from hardware.child import ROOT
from hardware.engines.generation import GenerationGraph
from hardware.engines.graph import Graph, Tensors
from hardware.stacks.host import seed_host
from models.datasets.base import Batch
from models.generative import Generative
from models.inferable import Inferable
from models.inference import Generation
from models.weights import RANDOM
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, OutOfMemoryError
from runner.frameworks.implementations import build_inferable

PACKAGES = ("models", "hardware/engines")
MOST_BYTES = 2**28
"""Of the inputs that are kept in memory to be asked with."""
GIB = 2**30
"""Bytes."""
MOST_BATCHES = 32
COMPARED = 2
"""Batches whose outputs are compared with the reference's."""
FURTHER = 4
"""Tokens behind a prompt after each of which the scores are compared, too."""


@dataclass(kw_only=True, slots=True)
class Served:
    """A model, the batches it is asked with, and the digest of its weights."""

    model: Inferable
    batches: list[Batch]
    """Of the served size, from the evaluation data or, with `data=synthetic`, random."""
    digest: str
    generation: Generation | None = None
    """None: one forward pass answers a request."""

    @property
    def writing(self) -> Generative:
        """The model, of which `generation` has been checked to be one that writes."""
        assert isinstance(self.model, Generative)
        return self.model

    def inputs(self) -> list[Tensors]:
        """What the compared network takes of each batch: of one that writes, prompts with what follows them."""
        if self.generation is None:
            return [self.model.inputs(batch) for batch in self.batches]
        length = self.generation.prompt_tokens + further(self.generation)
        return [(self.writing.prompts(batch, length),) for batch in self.batches]

    def compared(self) -> nn.Module:
        """The network whose outputs are compared: of one that writes, a forward pass without a cache."""
        if self.generation is None:
            return self.model.served().eval()
        return self.writing.last_logits(1 + further(self.generation)).eval()

    def generation_graph(self, prompts: Tensor, new_tokens: int, checkpoint: str) -> GenerationGraph:
        """The graph that continues prompts of these rows and this length."""
        rows, length = prompts.shape
        return GenerationGraph(
            network=self.writing.writer().eval(),
            prompts=prompts,
            new_tokens=new_tokens,
            cache_shape=self.writing.cache_size.shape(rows, length + new_tokens),
            checkpoint=None if checkpoint == RANDOM else Path(checkpoint).expanduser(),
        )

    def graph(self, inputs: Tensors) -> Graph:
        """The graph for the shapes of these inputs."""
        names = {"input_names": self.model.input_names, "output_names": self.model.output_names}
        return Graph(network=self.model.served().eval(), inputs=inputs, **names)


def build_served(case: Case) -> Served:
    """The case's model with the batches it is asked with; two processes that call this have the same.

    Raises:
        ConfigurationError: the model cannot be built.
        DataError: weights or data cannot be read.
    """
    seed_host(case.seed)
    model, generation = build_inferable(case), case.model.inference.generation
    if generation is not None:
        _check_lengths(model, generation)
    batches = batches_of(model, case, case.model.inference.batch_size)
    if generation is not None and isinstance(model, Generative):
        try:
            model.prompts(
                batches[0], max(generation.prompt_tokens + further(generation), *generation.prompt_lengths, 0)
            )
        except ValueError as error:
            raise ConfigurationError(f"model.infer.generation asks for {error}.") from None
    return Served(model=model, batches=batches, digest=digest_of(model), generation=generation)


def further(generation: Generation) -> int:
    """Tokens that follow a prompt where scores are compared."""
    return min(FURTHER, generation.new_tokens - 1)


def _check_lengths(model: Inferable, generation: Generation) -> None:
    """Refuse what the network cannot place: prompts and answers that are too long together."""
    if not isinstance(model, Generative):
        raise ConfigurationError("model.infer.generation is given, but the model does not write.")
    prompt = max(generation.prompt_tokens, *generation.prompt_lengths, 0)
    new = max(generation.new_tokens, *generation.new_lengths, 0)
    if prompt + new > model.longest:
        raise ConfigurationError(
            f"model.infer.generation asks for {prompt} tokens of prompt and {new} new ones; the network has places for "
            f"{model.longest}."
        )


def batches_of(model: Inferable, case: Case, size: int) -> list[Batch]:
    """Batches of a size, as many as memory allows: the first of the evaluation data, or random ones.

    Data with fewer rows than a batch begins again within it.

    Raises:
        OutOfMemoryError: the host has no room for one batch.
    """
    if case.data.name == "synthetic":
        _check_room(model.served_batch(1), size)
        seed_host(case.seed + 1)
        return _within_memory(model.served_batch(size) for _ in range(MOST_BATCHES))
    seed_host(case.seed + 1)
    data: Any
    if case.model.inference.generation is not None and isinstance(model, Generative):
        data = model.prompt_data(case.data)
    else:
        data = model.evaluation_data(case.data)
    length = min(len(data), case.model.inference.samples or len(data))
    _check_room(model.collate([data[0]]), size)
    count = max(1, min(MOST_BATCHES, length // size))
    rows = ([data[(number * size + row) % length] for row in range(size)] for number in range(count))
    return _within_memory(model.collate(examples) for examples in rows)


def _check_room(row: Batch, size: int) -> None:
    """Refuse a batch that the host cannot hold before its rows are read, which would end in a killed process."""
    needed = size * _bytes_of(row)
    free = psutil.virtual_memory().available
    if needed > free:
        raise OutOfMemoryError(
            f"The inputs of a batch of {size:,} take {needed / GIB:,.1f} GiB, and this host has {free / GIB:,.1f} GiB "
            "left. Lower model.infer.batch_size."
        )


def _bytes_of(batch: Batch) -> int:
    return sum(one.nbytes for one in batch.values() if isinstance(one, Tensor))


def _within_memory(batches: Iterable[Batch]) -> list[Batch]:
    kept: list[Batch] = []
    held = 0
    for batch in batches:
        kept.append(batch)
        held += _bytes_of(batch)
        if held >= MOST_BYTES and len(kept) >= COMPARED:
            break
    return kept


def digest_of(network: nn.Module) -> str:
    """SHA-256 over names, types, shapes and values of all parameters and buffers."""
    hashed = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hashed.update(content_of(tensor))
    return hashed.hexdigest()


def content_of(tensor: Tensor) -> memoryview:
    """A tensor's values as bytes, on the host."""
    plain = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return plain.numpy().data


@cache
def digest_of_sources() -> str:
    """SHA-256 over the source of every model and every engine: what they make is not kept beyond a change of theirs."""
    hashed = hashlib.sha256()
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        hashed.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return hashed.hexdigest()


def digest_of_text(parts: Any) -> str:
    """SHA-256 over plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def hash_bytes(content: bytes | memoryview) -> str:
    """SHA-256."""
    return hashlib.sha256(content).hexdigest()


class Calibration(NamedTuple):
    """Batches of the served size by which an engine chooses the ranges of integers, none of which is scored."""

    batches: list[Tensors]
    real: bool
    """Whether they are of the data set; else they are random."""


def calibration_of(served: Served, case: Case) -> Calibration:
    """As many batches as `task.calibration_samples` asks for; none where the precision has no integers.

    Random ones where the model has no data for it.
    """
    if case.precision.served is None:
        return Calibration([], real=True)
    size = case.model.inference.batch_size
    wanted = max(1, getattr(case.task, "calibration_samples", 1) // size)
    data: Any = None if case.data.name == "synthetic" else served.model.calibration_data(case.data)
    if data is None:
        seed_host(case.seed + 2)
        random = [served.model.inputs(served.model.served_batch(size)) for _ in range(wanted)]
        return Calibration(random, real=False)
    rows = ([data[(number * size + row) % len(data)] for row in range(size)] for number in range(wanted))
    return Calibration([served.model.inputs(served.model.collate(examples)) for examples in rows], real=True)
