"""Batches of one rank: endless ones to train on, each example once to evaluate on, or the same one for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from models.datasets.base import Batch, Datasets, EndlessSampler, evaluation_loader, training_loader
from models.datasets.batching import SizedSampler, StreamSampler
from models.trainable import Trainable
from runner.core.errors import ConfigurationError
from runner.measure.context import Context


class SyntheticLoader:
    """The same batch for ever, already on the device: what is left is the device's own speed."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self._batch


def build_training_loader(
    context: Context, trainable: Trainable, datasets: Datasets | None, *, done_steps: int = 0
) -> Iterable[Batch]:
    """Endless batches of this rank's share, from where an earlier part stopped; `datasets` None means synthetic.

    From here on each rank has random numbers of its own, and a part that was resumed has others than the one before it:
    dropout, augmentation and mixing are neither the same on all ranks nor begin again.
    """
    case = context.case
    if context.rank or done_steps:
        own = np.random.SeedSequence([case.seed, context.rank, done_steps])
        context.device.seed(int(own.generate_state(1)[0]))
    if datasets is None:
        with context.device.torch_device(context.local_rank):
            return SyntheticLoader(trainable.synthetic_batch(case.model.training.batch_size))
    sampler = _sampler(context, datasets, done_steps * case.model.training.gradient_accumulation_steps)
    pin = context.device.pins_memory()
    return training_loader(datasets.train, sampler, trainable.collate, workers=case.data.workers, pin=pin)


def _sampler(context: Context, datasets: Datasets, start_batch: int) -> Sampler[list[int]]:
    """The order of batches that the recipe asks for.

    Raises:
        ConfigurationError: the data does not allow it.
    """
    training = context.case.model.training
    place: dict[str, Any] = {"rank": context.rank, "world": context.world, "start_batch": start_batch}
    data: Any = datasets.train
    try:
        if training.batching.by == "size":
            assert training.batching.max_size is not None
            if not hasattr(data, "sizes"):
                raise ValueError("this data does not tell the size of its examples")
            return SizedSampler(data.sizes(), max_size=training.batching.max_size, seed=context.case.seed, **place)
        if training.batching.by == "streams":
            return StreamSampler(length=len(data), batch_size=training.batch_size, **place)
    except ValueError as error:
        by = training.batching.by
        raise ConfigurationError(f"model.train.batching.by={by} is not possible here: {error}.") from error
    size, repeats = training.batch_size, training.batching.repeats
    return EndlessSampler(length=len(data), batch_size=size, seed=context.case.seed, repeats=repeats, **place)


def build_evaluation_loader(context: Context, trainable: Trainable, datasets: Datasets) -> Iterable[Batch]:
    """This rank's share of the evaluation examples."""
    training = context.case.model.training
    return evaluation_loader(
        datasets.evaluation,
        trainable.collate,
        batch_size=training.batch_size,
        limit=training.quality.samples,
        rank=context.rank,
        world=context.world,
        workers=context.case.data.workers,
    )
