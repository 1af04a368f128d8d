"""Hidden tokens: as many as published, behind what is published, the same or anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.datasets.base import DataError
from models.datasets.language.masked.masking import FlatBlocks, MaskedBlocks, Masking, TextBlock
from models.datasets.language.tokens.next_token import IGNORED
from models.datasets.language.tokens.token_stream import open_npy

LENGTH, VOCABULARY, MASK = 50, 1000, 999


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> FlatBlocks:
    path = tmp_path_factory.mktemp("masking") / "ids.npy"
    ids = np.arange(20_017) % 900 + 10
    ids[::7] = 3
    np.save(path, ids.astype(np.uint16))
    return FlatBlocks(open_npy(path), length=LENGTH, vocabulary=VOCABULARY, special=(3,))


def masking(*, mixed: bool, share: float = 0.15) -> Masking:
    return Masking(share=share, mask_id=MASK, vocabulary=VOCABULARY, mixed=mixed)


@pytest.mark.parametrize(("mixed", "shares"), [(True, [0.8, 0.1, 0.1]), (False, [1.0, 0.0, 0.0])])
def test_shares_are_those_published(blocks: FlatBlocks, mixed: bool, shares: list[float]) -> None:
    data = MaskedBlocks(blocks, masking(mixed=mixed), anew=False)
    assert len(data) == len(blocks) == 400
    counts, hidden, there = np.zeros(3), 0, 0
    for index in range(len(data)):
        example, block = data[index], blocks[index]
        places = example.targets != IGNORED
        assert example.tokens == LENGTH
        assert not (places & block.special).any()
        assert np.array_equal(example.targets[places], block.ids[places])
        assert np.array_equal(example.inputs[~places], block.ids[~places])
        seen, words = example.inputs[places], block.ids[places]
        kinds = np.where(seen == MASK, 0, np.where(seen == words, 2, 1))
        counts += np.bincount(kinds, minlength=3)
        hidden, there = hidden + int(places.sum()), there + int((~block.special).sum())
    assert hidden / there == pytest.approx(0.15, abs=0.01)
    assert counts / counts.sum() == pytest.approx(shares, abs=0.02)


def test_what_is_hidden_depends_on_the_index_alone_or_is_drawn_anew(blocks: FlatBlocks) -> None:
    for anew in (False, True):
        data = MaskedBlocks(blocks, masking(mixed=True), anew=anew)
        torch.manual_seed(1)
        first, second = (data[3].targets.tolist() for _ in range(2))
        assert (first != second) == anew
        torch.manual_seed(1)
        assert data[3].targets.tolist() == first
    same = MaskedBlocks(blocks, masking(mixed=False, share=0.5), anew=False)
    assert (same[0].targets == IGNORED).tolist() != (same[1].targets == IGNORED).tolist()


def test_blocks_follow_on_one_another_and_the_rest_is_left(blocks: FlatBlocks) -> None:
    read = np.concatenate([blocks[index].ids for index in range(len(blocks))])
    assert read.tolist() == blocks.tokens.read(0, 20_000).tolist()
    assert isinstance(blocks[0], TextBlock) and blocks[0].special[:8].tolist() == [True, *[False] * 6, True]


def test_bad_ids_and_too_few_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", np.array([1, 2, 3, 4, 77, 6]))
    tokens = open_npy(tmp_path / "ids.npy")
    with pytest.raises(DataError, match="6 tokens are too few for a block of 7"):
        FlatBlocks(tokens, length=7, vocabulary=10)
    short = FlatBlocks(tokens, length=3, vocabulary=10)
    assert short[0].ids.tolist() == [1, 2, 3]
    with pytest.raises(DataError, match="From token 3 on, ids reach from 4 to 77"):
        short[1]
