"""Transformer-XL's network: each pair's score by its own formula, segments with a memory as one long text."""

from __future__ import annotations

import math

import pytest
import torch
from language_samples import recipe
from torch import Tensor

from models.language.memory.adaptive_words import tail_places
from models.language.memory.transformer_xl import TransformerXl
from models.language.memory.transformer_xl_network import (
    Memory,
    RelativeAttention,
    TransformerXlArchitecture,
    TransformerXlNetwork,
    sinusoids,
)

SIZES = TransformerXlArchitecture(
    vocabulary=60,
    cutoffs=(20, 40),
    width_divisor=2,
    layers=3,
    hidden=24,
    heads=3,
    head_size=5,
    intermediate=32,
    sequence_length=6,
    memory_length=6,
    evaluation_segments=4,
    dropout=0.0,
)


def made(sizes: TransformerXlArchitecture = SIZES) -> TransformerXlNetwork:
    torch.manual_seed(0)
    network = TransformerXlNetwork(sizes)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def sinusoid(distance: int, hidden: int) -> Tensor:
    rates = [1 / 10000 ** (2 * n / hidden) for n in range(hidden // 2)]
    return torch.tensor([math.sin(distance * rate) for rate in rates] + [math.cos(distance * rate) for rate in rates])


def by_pairs(layer: RelativeAttention, states: Tensor, memory: Tensor, filled: int, seen: int) -> Tensor:
    """Dai et al. 2019, section 3.3, one query and one key at a time."""
    (batch, length, hidden), past = states.shape, memory.shape[1]
    inner = layer.heads * layer.head_size
    w_q, w_k, w_v = layer.query_key_value.weight.split(inner)
    text = torch.cat([memory, states], dim=1)
    mixed = torch.zeros(batch, length, layer.heads, layer.head_size)
    for b in range(batch):
        for h in range(layer.heads):
            rows = slice(h * layer.head_size, (h + 1) * layer.head_size)
            u, v = layer.content_bias[h, 0], layer.position_bias[h, 0]
            for i in range(length):
                q = w_q[rows] @ states[b, i]
                keys = [j for j in range(past + i + 1) if past + i - j < seen and j >= past - filled]
                scores = []
                for j in keys:
                    k, r = w_k[rows] @ text[b, j], layer.position.weight[rows] @ sinusoid(past + i - j, hidden)
                    scores.append((q @ k + q @ r + u @ k + v @ r) / math.sqrt(layer.head_size))
                weights = torch.stack(scores).softmax(dim=0)
                mixed[b, i, h] = sum(w * (w_v[rows] @ text[b, j]) for w, j in zip(weights, keys, strict=True))
    return layer.output(mixed.flatten(2))


@pytest.mark.parametrize("filled", [0, 2, 6])
def test_attention_is_that_of_each_pair_by_itself(filled: int) -> None:
    network = made()
    layer = network.layers[0].attention
    states, memory = torch.randn(2, 5, 24), torch.randn(2, 6, 24)
    visible = network._visible(5, 11, filled, torch.device("cpu"))
    with torch.no_grad():
        ours = layer(states, memory, sinusoids(11, 24, like=states), visible)
        torch.testing.assert_close(ours, by_pairs(layer, states, memory, filled, seen=6))


def read(network: TransformerXlNetwork, ids: Tensor, targets: Tensor, lengths: list[int]) -> Tensor:
    """Losses of a text that is read in segments of these lengths."""
    losses, memory = [], None
    for inputs, wanted in zip(ids.split(lengths, 1), targets.split(lengths, 1), strict=True):
        one, memory = network(inputs, wanted, tail_places(wanted, network.sizes.clusters), memory)
        losses.append(one)
    return torch.cat(losses, dim=1)


@pytest.mark.parametrize("lengths", [[6, 6, 6, 6], [6, 6, 6, 5, 1], [3, 3, 6, 6, 6], [12, 12]])
def test_segments_with_memory_are_one_long_text(lengths: list[int]) -> None:
    network = made()
    ids, targets = torch.randint(60, (2, 2, 24))
    with torch.no_grad():
        whole = read(network, ids, targets, [24])
        torch.testing.assert_close(read(network, ids, targets, lengths), whole)
        parts = zip(ids.split(6, 1), targets.split(6, 1), strict=True)
        alone = torch.cat([read(network, one, wanted, [6]) for one, wanted in parts], dim=1)
    torch.testing.assert_close(alone[:, :6], whole[:, :6])
    assert not torch.allclose(alone[:, 6:], whole[:, 6:], atol=1e-2)


def test_what_lies_beyond_the_layers_reach_changes_nothing() -> None:
    network = made()
    ids, targets = torch.randint(60, (2, 1, 30))
    changed = ids.clone()
    changed[:, :5] = (changed[:, :5] + 1) % 60
    with torch.no_grad():
        before, after = (read(network, given, targets, [6] * 5) for given in (ids, changed))
    reach = 3 * 5  # three layers, each of which sees five tokens of the past
    assert not torch.allclose(before[:, 4 : 4 + reach], after[:, 4 : 4 + reach])
    torch.testing.assert_close(before[:, 5 + reach :], after[:, 5 + reach :])


def test_memory_holds_what_layers_read_without_gradient() -> None:
    network = made()
    ids = torch.randint(60, (2, 6))
    _, memory = network(ids, ids, tail_places(ids, SIZES.clusters))
    assert isinstance(memory, Memory) and memory.filled == 6
    assert memory.states.shape == (3, 2, 6, 24) and not memory.states.requires_grad
    torch.testing.assert_close(memory.states[0], network.words.embed(ids).detach())


def test_the_papers_model_has_151_million_parameters() -> None:
    """Dai et al. 2019, table 1: Transformer-XL Standard on WikiText-103, 151M; every word's row is 410 wide."""
    case = recipe("transformer_xl", "reference")
    case.architecture["width_divisor"] = 1
    with torch.device("meta"):
        paper, ours = TransformerXl(case).network, TransformerXl(recipe("transformer_xl", "reference")).network
    assert sum(one.numel() for one in paper.parameters()) == pytest.approx(151e6, rel=0.005)
    layer = 5 * 410 * 410 + 2 * 410 + 2 * 410 * 2100 + 2100 + 410 + 4 * 410
    words = 20000 * 410 + 20000 * 102 + 160000 * 25 + 67735 * 6 + 267735 + 3 * 411
    projections = 410 * (410 + 410 + 102 + 25 + 6)
    assert sum(one.numel() for one in ours.parameters()) == 16 * layer + words + projections
