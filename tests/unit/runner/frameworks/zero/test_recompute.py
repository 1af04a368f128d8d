"""Blocks that are computed again: the same gradients, with nothing lost and nothing counted twice."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runner.core.errors import ConfigurationError
from runner.frameworks.zero.recompute import blocks, recompute_blocks


class Block(nn.Module):
    """Takes its inputs out of a dict and by keyword, as transformers' layers do; counts its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.scale, self.dropout = nn.Linear(4, 4), nn.Parameter(torch.ones(4)), nn.Dropout(0.5)
        self.passes = 0

    def forward(self, hidden: Tensor, *, beside: dict[str, Tensor]) -> tuple[Tensor, None]:
        self.passes += 1
        return hidden + self.dropout(self.inner(hidden * beside["factor"])) * self.scale, None


class Network(nn.Module):
    """An embedding and three blocks; what stands beside the hidden state has a gradient, too."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.factor = nn.Embedding(10, 4), nn.Parameter(torch.full((4,), 0.5))
        self.layers = nn.ModuleList(Block() for _ in range(3))

    def forward(self, ids: Tensor) -> Tensor:
        hidden: Any = self.embedding(ids)
        for layer in self.layers:
            hidden, _ = layer(hidden, beside={"factor": self.factor})
        return hidden.square().mean()


def gradients(network: nn.Module) -> dict[str, Tensor]:
    torch.manual_seed(1)
    network(torch.arange(6).reshape(2, 3)).backward()
    found = {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}
    network.zero_grad()
    return found


def test_gradients_are_the_same_and_blocks_are_computed_twice() -> None:
    torch.manual_seed(0)
    network = Network()
    plain = gradients(network)
    assert recompute_blocks(network, "toy") == 3
    again = gradients(network)
    assert again.keys() == plain.keys() == dict(network.named_parameters()).keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, rtol=0, atol=0)
    assert [layer.passes for layer in network.layers] == [1 + 2] * 3


def test_without_gradients_nothing_is_computed_twice() -> None:
    network = Network()
    recompute_blocks(network, "toy")
    with torch.no_grad():
        network(torch.zeros(1, 2, dtype=torch.int64))
    assert [layer.passes for layer in network.layers] == [1, 1, 1]


def test_a_block_whose_inputs_have_no_gradient_keeps_that_of_its_weights() -> None:
    network = Network()
    network.embedding.weight.requires_grad_(False)
    network.factor.requires_grad_(False)
    recompute_blocks(network, "toy")
    assert len(gradients(network)) == 3 * 3


def test_lists_of_single_layers_are_no_blocks() -> None:
    network = nn.ModuleDict({"norms": nn.ModuleList(nn.LayerNorm(4) for _ in range(2)), "deep": Network()})
    assert list(blocks(network)) == list(network["deep"].layers)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="model=flat has none"):
        recompute_blocks(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), "flat")


def test_running_statistics_would_count_twice() -> None:
    network = Network()
    network.norm = nn.BatchNorm1d(4)
    with pytest.raises(ConfigurationError, match="count every batch twice"):
        recompute_blocks(network, "toy")
