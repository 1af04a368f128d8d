"""What every bare loop has: a step, and a wait; and the model and batch that it shares with the engine."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import repeat
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from models.datasets.base import Batch
from models.trainable import Trainable

if TYPE_CHECKING:
    from benchmarks.bare import BarePlan


class BareLoop(Protocol):
    """A training loop by hand."""

    trainable: Trainable
    batches: Iterator[Batch]

    def step(self) -> Any:
        """One optimizer step; returns its loss without reading it back."""

    def synchronize(self) -> None:
        """Wait for the device."""

    def meet(self) -> None:
        """Wait for the device, and for the other ranks."""


@dataclass(kw_only=True, slots=True)
class Setting:
    """The original with the engine's seed, the batch that is trained on for ever, and the port's class."""

    original: Trainable
    batch: Batch
    port: type[Any]


def setting(plan: BarePlan) -> Setting:
    """As the engine builds them: the original first, then a batch of `data=synthetic`.

    Raises:
        SystemExit: the plan has what bare loops of other frameworks do not do.
    """
    training = plan.recipe.training
    if plan.data.name != "synthetic" or plan.autocast is not None or training.gradient_accumulation_steps > 1:
        raise SystemExit("Bare loops of other frameworks train fp32 on data=synthetic, a pass per step.")
    random.seed(plan.seed)
    np.random.seed(plan.seed)
    torch.manual_seed(plan.seed)
    original: Trainable = _class(plan.trainable)(plan.recipe)
    batch = original.synthetic_batch(training.batch_size)
    return Setting(original=original, batch=batch, port=_class(plan.recipe.implementations[plan.framework]))


def endless(batch: Batch) -> Iterator[Batch]:
    """The same batch for ever."""
    return repeat(batch)


def _class(path: str) -> type[Any]:
    module, _, name = path.rpartition(".")
    found: type[Any] = getattr(import_module(module), name)
    return found
