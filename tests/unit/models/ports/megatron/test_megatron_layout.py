"""Where tensors of the original lie in megatron-core's, counted by hand; and every cut joins again to what it was."""

from __future__ import annotations

import pytest
import torch

from models.ports.megatron.layout import Heads, WholeTensor


def test_queries_keys_and_values_lie_group_by_group() -> None:
    heads = Heads(groups=2, queries=2)  # four heads of size 1
    query, key, value = torch.tensor([[1.0], [2.0], [3.0], [4.0]]), torch.tensor([[10.0], [20.0]]), torch.zeros(2, 1)
    value += torch.tensor([[100.0], [200.0]])
    fused = heads.fused(query, key, value)
    assert fused.flatten().tolist() == [1, 2, 10, 100, 3, 4, 20, 200]
    assert [one.tolist() for one in heads.apart(fused)] == [query.tolist(), key.tolist(), value.tolist()]


def test_gpt2_keeps_all_three_in_one_transposed_matrix() -> None:
    whole = WholeTensor(sources=("c_attn",), axis=0, transposed=True, heads=Heads(groups=2, queries=1))
    original = torch.tensor([[1.0, 2.0, 10.0, 20.0, 100.0, 200.0]])  # (input, queries, keys, values)
    found = whole.made_of({"c_attn": original})
    assert found.flatten().tolist() == [1, 10, 100, 2, 20, 200]
    assert whole.apart(found)["c_attn"].tolist() == original.tolist()


def test_each_rank_has_its_part_of_the_gate_and_of_what_it_lets_through() -> None:
    whole = WholeTensor(sources=("gate", "up"), axis=0, gated=True)
    found = whole.made_of({"gate": torch.arange(4.0)[:, None], "up": torch.arange(10.0, 14.0)[:, None]})
    assert whole.part(found, 0, 2).flatten().tolist() == [0, 1, 10, 11]
    assert whole.part(found, 1, 2).flatten().tolist() == [2, 3, 12, 13]


@pytest.mark.parametrize(
    ("whole", "shape"),
    [
        (WholeTensor(sources=("w",), axis=0), (8, 3)),
        (WholeTensor(sources=("w",), axis=1), (3, 8)),
        (WholeTensor(sources=("w",), axis=1, transposed=True), (8, 3)),
        (WholeTensor(sources=("w",)), (5,)),
        (WholeTensor(sources=("w",), axis=0, heads=Heads(groups=4, queries=1)), (24,)),
    ],
)
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_parts_of_all_ranks_are_the_original_again(whole: WholeTensor, shape: tuple[int, ...], ranks: int) -> None:
    original = torch.randn(shape)
    made = whole.made_of({"w": original})
    parts = [whole.part(made, rank, ranks) for rank in range(ranks)]
    assert all(part.numel() == made.numel() // (ranks if whole.axis is not None else 1) for part in parts)
    assert torch.equal(whole.apart(whole.joined(parts))["w"], original)


@pytest.mark.parametrize("ranks", [2, 4])
def test_fused_and_gated_parts_join_again(ranks: int) -> None:
    state = {name: torch.randn(rows, 3) for name, rows in (("q", 16), ("k", 8), ("v", 8), ("gate", 12), ("up", 12))}
    for whole in (
        WholeTensor(sources=("q", "k", "v"), axis=0, heads=Heads(groups=4, queries=2)),
        WholeTensor(sources=("gate", "up"), axis=0, gated=True),
    ):
        made = whole.made_of(state)
        joined = whole.joined([whole.part(made, rank, ranks) for rank in range(ranks)])
        assert all(torch.equal(part, state[name]) for name, part in whole.apart(joined).items())


def test_a_rank_has_the_queries_of_its_own_keys() -> None:
    whole = WholeTensor(sources=("q", "k", "v"), axis=0, heads=Heads(groups=2, queries=2))
    made = whole.made_of({"q": torch.arange(4.0)[:, None], "k": torch.tensor([[10.0], [11.0]]), "v": torch.zeros(2, 1)})
    assert whole.part(made, 1, 2).flatten().tolist() == [2, 3, 11, 0]
