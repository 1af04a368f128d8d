"""Where the originals' tensors lie in Paddle's networks; nothing here imports Paddle."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hydra import compose

from models.ports.paddle.dialect import PADDLE
from models.ports.weights import TRANSPOSED, mirrored
from models.trainable import Trainable
from runner.config.compose import composing, to_case
from runner.frameworks.implementations import trainable_class

TIED = {"bert": {"bert.cls.predictions.decoder.weight", "bert.cls.predictions.decoder.bias"}, "llama1_7B": set[str]()}
"""Of tensors under two names, the second ones."""


def original(model: str) -> Trainable:
    with composing():
        case = to_case(compose("config", overrides=[f"model={model}", "vendor=cpu", "scale=tiny", "tracking=none"]))
    return trainable_class(case.model, "pytorch")(case.model)


@pytest.mark.parametrize("model", ["bert", "llama1_7B"])
def test_every_tensor_has_a_place_and_matrices_of_linear_layers_are_transposed(model: str) -> None:
    network = original(model).network
    places = mirrored(network, PADDLE)
    assert network.state_dict().keys() - places.keys() == TIED[model]
    assert len({place.name for place in places.values()}) == len(places)
    for layer_name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Linear) and f"{layer_name}.weight" in places:
            assert places[f"{layer_name}.weight"].axes == TRANSPOSED
        if isinstance(layer, torch.nn.Embedding):
            assert places[f"{layer_name}.weight"].axes == ()


@pytest.mark.parametrize(
    ("model", "implementation"),
    [
        ("bert", "models.ports.paddle.bert.BertPaddle"),
        ("llama1_7B", "models.ports.paddle.llama.LlamaPaddle"),
        ("llama1_13B", "models.ports.paddle.llama.LlamaPaddle"),
        ("llama2_7b", "models.ports.paddle.llama.LlamaPaddle"),
    ],
)
def test_models_name_their_ports(model: str, implementation: str) -> None:
    with composing():
        recipe: Any = to_case(compose("config", overrides=[f"model={model}", "vendor=cpu", "scale=tiny"])).model
    assert recipe.implementations["paddle"] == implementation
