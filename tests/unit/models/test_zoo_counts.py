"""Every model at reference scale, counted on the meta device: as many parameters and operations as published."""

from __future__ import annotations

import pytest
import torch
from language_samples import published, recipe
from zoo import MODELS, built, model_class

from models.costs.account import count

COUNTED = [model for model in MODELS if published(model).parameters is not None]
WITH_FLOPS = [model for model in MODELS if published(model).forward_flops_per_sample is not None]


@pytest.mark.parametrize("model", COUNTED)
def test_parameters_are_those_published(model: str) -> None:
    with torch.device("meta"):
        network = built(model, "reference").network
    wanted = published(model).parameters
    assert wanted is not None
    assert sum(one.numel() for one in network.parameters()) == pytest.approx(wanted.value, rel=0.005)


@pytest.mark.parametrize("model", WITH_FLOPS)
def test_operations_are_those_published(model: str) -> None:
    costs = count(
        model_class(model), recipe(model, "reference"), weights_dtype="float32", autocast_dtype=None, batch_size=1
    )
    wanted = published(model).forward_flops_per_sample
    assert wanted is not None
    assert costs.flops_forward_per_sample == pytest.approx(wanted.value, rel=0.02)
