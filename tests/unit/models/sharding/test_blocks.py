"""The blocks of a network, and what keeps one from being a block of its own."""

from __future__ import annotations

import pytest
from language_samples import recipe
from torch import nn
from zoo import built

from models.costs.account import count
from models.language.decoders.llama import Llama
from models.sharding.units import blocks_of


def test_blocks_are_the_members_of_outermost_lists() -> None:
    inner = nn.Sequential(nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)]), nn.Linear(1, 1))
    network = nn.Sequential(nn.Linear(1, 1), nn.ModuleList([inner, nn.Linear(2, 2), nn.ReLU()]))
    blocks = blocks_of(network)
    assert [type(block).__name__ for block in blocks] == ["Sequential", "Linear"], "one without parameters is none"
    assert blocks[0] is inner
    assert blocks_of(nn.Linear(1, 1)) == []


def test_a_block_that_shares_a_parameter_is_none() -> None:
    head, tied, free = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
    tied.weight = head.weight
    assert blocks_of(nn.ModuleDict({"head": head, "list": nn.ModuleList([tied, free])})) == [free]
    twice = nn.Linear(2, 2)
    within = nn.Sequential(twice, nn.Linear(2, 2))
    within[1].weight = twice.weight
    assert blocks_of(nn.ModuleList([within])) == [within], "inside one block weights may be tied"


def test_the_account_counts_the_same_units() -> None:
    """A block of the tiny Llama: 4 x 128^2 + 3 x 128 x 344 + 2 x 128 weights; besides, two tables and a norm."""
    account = count(Llama, recipe("llama2_7b"), weights_dtype="float32", autocast_dtype=None)
    assert account.largest_unit_bytes == 4 * (4 * 128**2 + 3 * 128 * 344 + 2 * 128)
    assert account.root_unit_bytes == 4 * (2 * 1024 * 128 + 128)


@pytest.mark.parametrize(("model", "blocks"), [("llama2_7b", 2), ("bert", 2), ("gpt2", 2), ("resnet50", 0)])
def test_models_have_their_layers_as_units(model: str, blocks: int) -> None:
    assert len(built(model).units()) == blocks
