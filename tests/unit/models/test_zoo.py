"""What holds for every model of `conf/model`, tiny: it learns, in every precision, from data like its synthetic one."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from language_samples import recipe, sample_spec
from torch import Tensor
from zoo import MODELS, built

from models.trainable import Trainable

ROWS = 4


def sample_batch(trainable: Trainable, *, part: str = "train", rows: int = ROWS) -> dict[str, Any]:
    """The first rows of the sample data, as a loader would give them."""
    data: Any = getattr(trainable.datasets(sample_spec()), part)
    return trainable.collate([data[index] for index in range(rows)])


@pytest.mark.parametrize("model", MODELS)
def test_a_few_steps_on_one_batch_lower_its_loss(model: str) -> None:
    torch.manual_seed(0)
    trainable = built(model).train()
    batch = sample_batch(trainable)
    optimizer = torch.optim.AdamW(trainable.network.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        torch.manual_seed(1)
        trainable.reset_state()
        loss = trainable.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_gives_the_same_loss(model: str) -> None:
    losses = []
    for _ in range(2):
        torch.manual_seed(7)
        trainable = built(model).train()
        batch = sample_batch(trainable)
        trainable.reset_state()
        losses.append(trainable.loss(batch).item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("model", MODELS)
def test_batches_of_sample_and_synthetic_data_are_alike(model: str) -> None:
    trainable = built(model)
    synthetic = trainable.synthetic_batch(ROWS)
    for part in ("train", "evaluation"):
        batch = sample_batch(trainable, part=part)
        if part == "train":
            assert batch.keys() == synthetic.keys()
            for name, value in synthetic.items():
                if isinstance(value, Tensor):
                    assert batch[name].dtype == value.dtype and batch[name].ndim == value.ndim, name
        assert trainable.count(batch).samples > 0


@pytest.mark.parametrize("model", MODELS)
def test_every_target_is_measured_on_evaluation_data(model: str) -> None:
    torch.manual_seed(0)
    trainable = built(model).eval()
    trainable.require_metrics()
    trainable.reset_metrics(torch.device("cpu"))
    trainable.reset_state()
    with torch.no_grad():
        trainable.evaluate(sample_batch(trainable, part="evaluation"))
    for name in trainable.recipe.training.quality.targets:
        value = float(trainable.metrics[name].compute())
        assert not math.isnan(value), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("model", MODELS)
def test_autocast_gives_nearly_the_same_loss(model: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    trainable = built(model).train()
    batch = sample_batch(trainable)
    losses = []
    for enabled in (False, True):
        torch.manual_seed(1)
        trainable.reset_state()
        with torch.autocast("cpu", dtype=dtype, enabled=enabled):
            loss = trainable.loss(batch)
        loss.float().backward()
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.1, abs=0.1)
    assert all(bool(one.grad.isfinite().all()) for one in trainable.network.parameters() if one.grad is not None)


@pytest.mark.parametrize("model", MODELS)
def test_the_real_data_set_needs_its_folder(model: str, tmp_path: Any) -> None:
    from language_samples import dataset_spec

    from models.datasets.base import DataError

    trainable = built(model)
    for root in (None, tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError):
            trainable.datasets(dataset_spec(root))


def test_published_targets_are_at_reference_scale_and_tiny_ones_differ() -> None:
    same = [model for model in MODELS if recipe(model).training == recipe(model, "reference").training]
    assert same == []
