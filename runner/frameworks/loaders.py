"""Batches of one rank: endless ones to train on, each example once to evaluate on, or the same one for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Sampler

from models.datasets.base import Batch, Datasets, EndlessSampler, evaluation_loader, training_loader
from models.datasets.batching import AspectSampler, SizedSampler, StreamSampler
from models.datasets.skipping import Part, ReadableBatches, TolerantCollate, TolerantDataset, skipped
from models.trainable import Trainable
from runner.core.errors import ConfigurationError
from runner.core.events import Name
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

    From here on each batch has random numbers of its own, and a part that was resumed has others than the one before
    it: dropout, augmentation and mixing are neither the same on all ranks nor begin again.
    """
    case = context.case
    if context.batch_rank or done_steps:
        own = np.random.SeedSequence([case.seed, context.batch_rank, done_steps])
        context.device.seed(int(own.generate_state(1)[0]))
    if datasets is None:
        with context.device.torch_device(context.local_rank):
            return SyntheticLoader(trainable.synthetic_batch(case.model.training.batch_size))
    sampler = _sampler(context, datasets, done_steps * case.model.training.gradient_accumulation_steps)
    pin = context.device.pins_memory()
    data, collate = _tolerant(context, datasets.train, trainable, "train")
    loader = training_loader(data, sampler, collate, workers=case.data.workers, pin=pin)
    return ReadableBatches(loader) if isinstance(collate, TolerantCollate) else loader


def _sampler(context: Context, datasets: Datasets, start_batch: int) -> Sampler[list[int]]:
    """The order of batches that the recipe asks for.

    Raises:
        ConfigurationError: the data does not allow it.
    """
    training = context.case.model.training
    place: dict[str, Any] = {"rank": context.batch_rank, "world": context.batches, "start_batch": start_batch}
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
    size, repeats = training.batch_size, training.batching.repeats
    return EndlessSampler(length=len(data), batch_size=size, seed=context.case.seed, repeats=repeats, **place)


def build_evaluation_loader(context: Context, trainable: Trainable, datasets: Datasets) -> Iterable[Batch]:
    """This rank's share of the evaluation examples."""
    training = context.case.model.training
    data, collate = _tolerant(context, datasets.evaluation, trainable, "evaluation")
    loader = evaluation_loader(
        data,
        collate,
        batch_size=training.batch_size,
        limit=training.quality.samples,
        rank=context.batch_rank,
        world=context.batches,
        workers=context.case.data.workers,
    )
    return ReadableBatches(loader) if isinstance(collate, TolerantCollate) else loader


def _tolerant(
    context: Context, dataset: Dataset[Any], trainable: Trainable, part: Part
) -> tuple[Dataset[Any], Callable[[list[Any]], Any]]:
    """A data set and its collation as `data.on_error` asks for them."""
    if context.case.data.on_error == "fail":
        return dataset, trainable.collate
    return TolerantDataset(dataset, part=part, notes=_notes(context)), TolerantCollate(trainable.collate)


def tell_skipped(context: Context) -> None:
    """Tell how many of this rank's examples were left out, and what was wrong with the first."""
    if context.case.data.on_error == "fail":
        return
    found = skipped(_notes(context))
    context.events.emit(Name.SKIPPED, {"train": found.train, "evaluation": found.evaluation})
    if found.problems:
        message = f"{found.train + found.evaluation} examples could not be read and were left out, among them: "
        context.events.emit(Name.WARNING, {"message": message + " ".join(found.problems)})


def _notes(context: Context) -> Path:
    return context.folder / "skipped" / f"rank{context.rank}.jsonl"
