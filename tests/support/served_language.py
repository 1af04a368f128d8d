"""Tiny models that are served, with a first batch of their sample."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from language_samples import recipe, sample_spec
from torch import Tensor
from zoo import model_class

from models.datasets.base import Batch
from models.inferable import Inferable

ROWS = 4


@cache
def inferable(name: str) -> Inferable:
    """A tiny one with random weights, in evaluation; nobody changes it."""
    torch.manual_seed(0)
    model = model_class(name)(recipe(name)).eval()
    assert isinstance(model, Inferable)
    return model


def rows_of(name: str, data: Any, count: int = ROWS) -> Batch:
    """The first rows of a data set of the model, as a batch."""
    return inferable(name).collate([data[index] for index in range(count)])


@cache
def first_batch(name: str) -> Batch:
    """The first rows of the sample that is scored."""
    return rows_of(name, inferable(name).evaluation_data(sample_spec()))


@torch.inference_mode()
def answered(name: str, batch: Batch) -> tuple[Tensor, ...]:
    """What the served network says."""
    model = inferable(name)
    outputs: tuple[Tensor, ...] = model.served().eval()(*model.inputs(batch))
    return outputs
