"""A tensor of several of the original's is trained in one way, or not at all."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from models.ports.port import PortError
from models.ports.weights import WeightPlace
from models.training import Optimizer, ParameterGroup
from runner.frameworks.ported.recipe import treatments

ADAMW = Optimizer(name="adamw", lr=0.1, weight_decay=0.2)


def port(optimizer: Optimizer) -> Any:
    network = nn.ModuleDict({name: nn.Linear(2, 2) for name in ("query", "key", "out")})
    places = {
        f"{name}.{part}": WeightPlace(f"{'fused' if name != 'out' else 'out'}.{part}")
        for name in network
        for part in ("weight", "bias")
    }
    recipe = SimpleNamespace(training=SimpleNamespace(optimizer=optimizer))
    return SimpleNamespace(recipe=recipe, places=lambda: places, original=SimpleNamespace(network=network))


def test_parts_that_are_treated_alike_share_a_tensor() -> None:
    found = treatments(port(ADAMW))
    assert {name: (one.rate_ratio, one.weight_decay) for name, one in found.items()} == {
        "fused.weight": (1.0, 0.2),
        "fused.bias": (1.0, 0.0),
        "out.weight": (1.0, 0.2),
        "out.bias": (1.0, 0.0),
    }


def test_parts_that_are_treated_differently_cannot() -> None:
    apart = replace(ADAMW, groups=(ParameterGroup(match=("key.*",), lr_ratio=0.5),))
    with pytest.raises(PortError, match=r"treats .* otherwise than .*fused\."):
        treatments(port(apart))


def test_a_whole_tensor_may_be_treated_by_itself() -> None:
    apart = replace(ADAMW, groups=(ParameterGroup(match=("out.*",), lr_ratio=0.5),))
    assert treatments(port(apart))["out.weight"].rate_ratio == 0.5
