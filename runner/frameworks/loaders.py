"""Batches of one rank: endless ones to train on, each example once to evaluate on, or the same one for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch.utils.data import Sampler

from models.datasets.base import Batch, Datasets, EndlessSampler, evaluation_loader, training_loader
from models.datasets.batching import AspectSampler, SizedSampler, StreamSampler
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
    """Endless batches of this rank's share, from where an earlier part stopped; `datasets` None means synthetic."""
    case = context.case
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
        if training.batching.by == "aspect":
            if not hasattr(data, "aspect_ratios"):
                raise ValueError("this data does not tell the aspect ratio of its images")
            size, seed = training.batch_size, context.case.seed
            return AspectSampler(data.aspect_ratios(), batch_size=size, seed=seed, **place)
        if training.batching.by == "streams":
            return StreamSampler(length=len(data), batch_size=training.batch_size, **place)
    except ValueError as error:
        by = training.batching.by
        raise ConfigurationError(f"model.train.batching.by={by} is not possible here: {error}.") from error
    return EndlessSampler(length=len(data), batch_size=training.batch_size, seed=context.case.seed, **place)


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
