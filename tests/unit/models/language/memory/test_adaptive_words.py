"""Adaptive softmax: a distribution over all words, the same as torch's own, from tables shared with the input."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from models.datasets.language.tokens.next_token import IGNORED
from models.language.memory.adaptive_words import AdaptiveWords, clusters_of, tail_places, zipf_targets

CLUSTERS = clusters_of(50, (10, 20, 40), 16, 2)


@pytest.fixture
def words() -> AdaptiveWords:
    torch.manual_seed(0)
    words = AdaptiveWords(CLUSTERS, 16)
    for parameter in words.parameters():
        nn.init.normal_(parameter)
    return words


def test_clusters_cover_the_vocabulary_in_narrowing_rows() -> None:
    assert CLUSTERS == [(0, 10, 16), (10, 20, 8), (20, 40, 4), (40, 50, 2)]


def test_loss_is_that_of_torchs_adaptive_softmax(words: AdaptiveWords) -> None:
    """Torch's has neither a bias in its tails nor our head projection: both are set to nothing."""
    with torch.no_grad():
        for bias in words.biases[1:]:
            bias.zero_()
        words.head_projection.copy_(torch.eye(16))  # type: ignore[union-attr]
    other = nn.AdaptiveLogSoftmaxWithLoss(16, 50, [10, 20, 40], div_value=2.0, head_bias=True)
    with torch.no_grad():
        other.head.weight.copy_(torch.cat([words.tables[0].weight, words.cluster_rows]))
        other.head.bias.copy_(torch.cat([words.biases[0], words.cluster_bias]))
        for number in (1, 2, 3):
            other.tail[number - 1][0].weight.copy_(words.projections[number].T)
            other.tail[number - 1][1].weight.copy_(words.tables[number].weight)
    states, targets = torch.randn(200, 16), torch.randint(50, (200,))
    losses = words.losses(states, targets, tail_places(targets, CLUSTERS))
    torch.testing.assert_close(losses, -other(states, targets).output)


def test_probabilities_of_all_words_add_up_to_one(words: AdaptiveWords) -> None:
    targets = torch.arange(50)
    states = torch.randn(1, 16).expand(50, -1)
    losses = words.losses(states, targets, tail_places(targets, CLUSTERS))
    assert (-losses).exp().sum().item() == pytest.approx(1.0, rel=1e-5)


def test_what_is_ignored_costs_nothing_and_an_empty_tail_is_no_problem(words: AdaptiveWords) -> None:
    targets = torch.tensor([3, IGNORED, 4])
    tails = tail_places(targets, CLUSTERS)
    assert [len(places) for places in tails] == [0, 0, 0]
    losses = words.losses(torch.randn(3, 16), targets, tails)
    assert losses[1] == 0 and (losses[[0, 2]] > 0).all()
    losses.sum().backward()
    assert all(one.grad is not None for one in words.tables.parameters())


def test_a_word_is_its_row_projected_and_scaled(words: AdaptiveWords) -> None:
    embedded = words.embed(torch.arange(50).view(5, 10)).flatten(0, 1)
    for word in (0, 9, 10, 19, 20, 39, 40, 49):
        number = sum(word >= first for first, _, _ in CLUSTERS) - 1
        row = words.tables[number].weight[word - CLUSTERS[number].first]
        torch.testing.assert_close(embedded[word], words.projections[number] @ row * math.sqrt(16))


def test_random_targets_have_zipfs_shares_on_any_device() -> None:
    targets, tails = zipf_targets(10_000, CLUSTERS)
    found = tail_places(targets, CLUSTERS)
    assert all(mine.sort().values.equal(places) for mine, places in zip(tails, found, strict=True))
    shares = [len(places) / 10_000 for places in found]
    assert shares == pytest.approx(
        [math.log(b / a) / math.log(51) for a, b in ((11, 21), (21, 41), (41, 51))], abs=1e-3
    )
    with torch.device("meta"):
        shapes = [places.shape for places in zipf_targets(10_000, CLUSTERS)[1]]
    assert shapes == [places.shape for places in found]
