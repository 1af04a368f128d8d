"""How good the answers are: every sample of the evaluation data once, at the served batch size, tails included."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hardware.engines.graph import Tensors
from models.datasets.base import evaluation_loader
from models.inferable import Inferable
from models.weights import RANDOM
from runner.config.schema import Case
from runner.serving.served import content_of

Answer = Callable[[Tensors], Tensors]
"""From inputs of the served batch size on the host to outputs on the host."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Accuracy:
    """What an evaluation came to."""

    metrics: dict[str, float]
    samples: int
    digest: str
    """Of every batch that was answered: two evaluations with the same one saw the same data."""


def no_accuracy(case: Case) -> str | None:
    """Why the answers of a case cannot be judged; None where they can."""
    if case.model.inference.metric is None:
        return f"model={case.model.name} has no metric: it is a part of something larger, or its data has no labels"
    if case.model.weights == RANDOM:
        return "the weights are random: give weights=PATH, a checkpoint or the folder of a run of task=converge"
    if case.data.name == "synthetic":
        return "random data has no right answers: choose data=sample or data=dataset"
    return None


def evaluate(model: Inferable, case: Case, answer: Answer) -> Accuracy:
    """Answer every sample and score it.

    An engine is compiled for one batch size: the last batch is filled up by its own last row, and the answers to the
    filling are thrown away before they are scored.
    """
    size = case.model.inference.batch_size
    for metric in model.metrics.values():
        metric.reset()
    hashed, samples = hashlib.sha256(), 0
    loader = evaluation_loader(
        model.evaluation_data(case.data),
        model.collate,
        batch_size=size,
        limit=case.model.inference.samples,
        rank=0,
        world=1,
        workers=case.data.workers,
    )
    for batch in loader:
        inputs = model.inputs(batch)
        rows = len(inputs[0])
        outputs = tuple(one[:rows] for one in answer(tuple(filled(one, size) for one in inputs)))
        model.score(outputs, batch)
        samples += rows
        add_content(hashed, batch)
    metrics = {name: float(metric.compute()) for name, metric in model.metrics.items()}
    return Accuracy(metrics=metrics, samples=samples, digest=hashed.hexdigest())


def filled(tensor: Tensor, size: int) -> Tensor:
    """A tensor with its last row repeated up to `size` rows."""
    missing = size - len(tensor)
    return tensor if missing <= 0 else torch.cat([tensor, tensor[-1:].expand(missing, *tensor.shape[1:])])


def add_content(hashed: Any, value: Any) -> None:
    """Add a batch to a hash: the tensors in its lists and dictionaries whole, for their text leaves numbers out."""
    if isinstance(value, Tensor):
        hashed.update(repr((value.dtype, tuple(value.shape))).encode())
        hashed.update(content_of(value))
    elif isinstance(value, Mapping):
        for name in sorted(value):
            hashed.update(repr(name).encode())
            add_content(hashed, value[name])
    elif isinstance(value, list | tuple):
        hashed.update(f"{type(value).__name__} of {len(value)}".encode())
        for one in value:
            add_content(hashed, one)
    else:
        hashed.update(repr(value).encode())


def kept_share(accuracy: float, reference: float, mode: str) -> float:
    """Share of the reference's accuracy that is kept; of an error, which is to be low, reference ÷ error.

    NaN where there is none: an accuracy of zero or less, or a negative error, leaves nothing to keep a share of.
    """
    if not (math.isfinite(accuracy) and math.isfinite(reference)):
        return math.nan
    if mode == "max":
        return accuracy / reference if reference > 0 else math.nan
    if min(accuracy, reference) < 0:
        return math.nan
    if accuracy == reference:
        return 1.0
    return reference / accuracy if accuracy else math.inf
