"""What holds for every model of `conf/model`, tiny: it learns, in every precision, from data like its synthetic one."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from language_samples import dataset_spec, recipe
from no_waiting import NoWaiting
from torch import Tensor
from zoo import MODELS, ROWS, built, model_class, prepared

from models.datasets.base import Batch, DataError
from models.trainable import Trainable

NEVER_WAITING = [model for model in MODELS if model_class(model).count_device == "meta"]
"""Detectors' work depends on what they find."""


def trained(model: str) -> Trainable:
    """A fresh one that may be changed."""
    return built(model).train()


def loss_of(trainable: Trainable, batch: Batch) -> Tensor:
    """The loss of the first batch of a text, with the same random choices each time."""
    torch.manual_seed(1)
    trainable.reset_state()
    return trainable.loss(batch)


@pytest.mark.parametrize("model", MODELS)
def test_a_few_steps_on_one_batch_lower_its_loss(model: str) -> None:
    trainable, batch = trained(model), prepared(model).train
    optimizer = torch.optim.AdamW([one for one in trainable.network.parameters() if one.requires_grad], lr=1e-3)
    losses = []
    for _ in range(4):
        loss = loss_of(trainable, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[1:]) < losses[0]
    assert loss_of(trained(model), batch).item() == losses[0], "the same seed gives the same loss"


@pytest.mark.parametrize("model", MODELS)
def test_batches_of_sample_and_synthetic_data_are_alike(model: str) -> None:
    trainable, batch, _ = prepared(model)
    synthetic = trainable.synthetic_batch(ROWS)
    assert batch.keys() == synthetic.keys()
    for name, value in synthetic.items():
        if isinstance(value, Tensor):
            assert batch[name].dtype == value.dtype and batch[name].ndim == value.ndim, name
    assert trainable.count(batch).samples > 0 and trainable.count(synthetic).samples > 0


@pytest.mark.parametrize("model", NEVER_WAITING)
def test_a_training_step_never_waits_for_the_device(model: str) -> None:
    trainable, batch = trained(model), prepared(model).train
    with NoWaiting():
        loss_of(trainable, batch).backward()


@pytest.mark.parametrize("model", MODELS)
def test_every_target_is_measured_on_evaluation_data(model: str) -> None:
    trainable, _, batch = prepared(model)
    trainable.require_metrics()
    trainable.reset_metrics(torch.device("cpu"))
    trainable.reset_state()
    with torch.no_grad():
        trainable.evaluate(batch)
    for name in trainable.recipe.training.quality.targets:
        assert not math.isnan(float(trainable.metrics[name].compute())), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.heavy)])
@pytest.mark.parametrize("model", MODELS)
def test_autocast_gives_nearly_the_same_loss(model: str, dtype: torch.dtype) -> None:
    trainable, batch = trained(model), prepared(model).train
    with torch.no_grad():
        expected = loss_of(trainable, batch).item()
    with torch.autocast("cpu", dtype=dtype):
        loss = loss_of(trainable, batch)
    loss.float().backward()
    assert loss.item() == pytest.approx(expected, rel=0.1, abs=0.1)
    assert all(bool(one.grad.isfinite().all()) for one in trainable.network.parameters() if one.grad is not None)


@pytest.mark.parametrize("model", MODELS)
def test_the_real_data_set_needs_its_folder(model: str, tmp_path: Any) -> None:
    for root in (None, tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError):
            prepared(model).trainable.datasets(dataset_spec(root))


def test_published_recipes_are_at_reference_scale_and_tiny_ones_differ() -> None:
    assert [model for model in MODELS if recipe(model).training == recipe(model, "reference").training] == []
