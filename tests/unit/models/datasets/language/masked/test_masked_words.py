"""BERT's sample examples hold what the published recipe says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.datasets.base import Counts
from models.datasets.language.masked.masked_words import (
    BEGIN,
    MASK,
    SEPARATOR,
    UNKNOWN,
    MaskedExample,
    MaskedWords,
    masked_batch,
    random_masked_batch,
)
from models.datasets.language.tokens.next_token import count_sequences
from models.datasets.language.tokens.token_stream import open_npy

LENGTH, PREDICTIONS, VOCABULARY = 64, 8, 2000


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> MaskedWords:
    path = tmp_path_factory.mktemp("words") / "train.npy"
    ids = np.arange(20_000) % (VOCABULARY - 5) + 5  # every id tells its neighbours
    ids[::97] = UNKNOWN
    ids[::501] = SEPARATOR
    np.save(path, ids.astype(np.int32))
    return MaskedWords(open_npy(path), sequence_length=LENGTH, predictions=PREDICTIONS, vocabulary=VOCABULARY)


def original(example: MaskedExample) -> np.ndarray:
    ids = example.input_ids.copy()
    counted = example.positions > 0
    ids[example.positions[counted]] = example.word_ids[counted]
    return ids


def test_examples_are_two_segments_between_special_tokens(examples: MaskedWords) -> None:
    for index in range(200):
        example = examples[index]
        ids, segments, tokens = original(example), example.segment_ids, example.tokens
        assert ids[0] == BEGIN
        assert ids[tokens - 1] == SEPARATOR
        assert not ids[tokens:].any()
        assert not segments[tokens:].any()
        start = int(segments.argmax())  # of the second segment
        assert ids[start - 1] == SEPARATOR
        assert segments[start:tokens].all()
        assert start - 2 >= 1


def test_what_is_masked_is_right(examples: MaskedWords) -> None:
    for index in range(300):
        example = examples[index]
        counted = example.positions > 0
        masked = int(counted.sum())
        available = int((original(example)[: example.tokens] > MASK).sum())
        assert masked == min(PREDICTIONS, max(1, round(0.15 * example.tokens)), available)
        assert (np.diff(example.positions[:masked]) > 0).all()
        assert (example.word_ids[:masked] > MASK).all()
        assert not example.word_ids[masked:].any()


def test_next_sentence_label_says_whether_the_text_goes_on(examples: MaskedWords) -> None:
    follows = []
    for index in range(400):
        example = examples[index]
        ids, start = original(example), int(example.segment_ids.argmax())
        last, following = int(ids[start - 2]), int(ids[start])
        if min(last, following) > MASK:
            continues = following == (last - 5 + 1) % (VOCABULARY - 5) + 5
            assert continues == (example.is_random_next == 0)
            follows.append(continues)
    assert 0.4 < np.mean(follows) < 0.6


def test_shares_of_the_published_recipe(examples: MaskedWords) -> None:
    kinds, short = [], 0
    for index in range(1500):
        example = examples[index]
        counted = example.positions > 0
        seen, words = example.input_ids[example.positions[counted]], example.word_ids[counted]
        kinds += np.where(seen == MASK, 0, np.where(seen == words, 2, 1)).tolist()
        short += example.tokens < LENGTH
    shares = np.bincount(kinds) / len(kinds)
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.015)
    assert short / 1500 == pytest.approx(0.1, abs=0.03)


def test_the_same_text_is_masked_anew_and_each_index_is_constant(examples: MaskedWords) -> None:
    assert len(examples) == examples.stretches * 10
    first, second = examples[3], examples[3 + examples.stretches]
    assert first.positions.tolist() != second.positions.tolist()
    assert original(first)[1] == original(second)[1]
    assert examples[3].input_ids.tolist() == first.input_ids.tolist()
    examples[len(examples) - 1]


def test_batch_marks_padding_and_counts_real_tokens(examples: MaskedWords) -> None:
    chosen = [examples[index] for index in range(40)]
    batch = masked_batch(chosen)
    assert count_sequences(batch) == Counts(samples=40, tokens=sum(example.tokens for example in chosen))
    assert batch["attended"].sum(dim=1).tolist() == [example.tokens for example in chosen]
    assert batch["attended"][:, 0].all()
    assert any(example.tokens < LENGTH for example in chosen)
    assert batch["positions"].shape == (40, PREDICTIONS)


def test_synthetic_batch_is_like_a_real_one(examples: MaskedWords) -> None:
    real = masked_batch([examples[0]] * 3)
    random = random_masked_batch(3, LENGTH, PREDICTIONS, VOCABULARY)
    assert real.keys() == random.keys()
    for name, value in real.items():
        if isinstance(value, torch.Tensor):
            assert (random[name].shape, random[name].dtype) == (value.shape, value.dtype), name
    assert int(random["positions"].min()) > 0
    assert count_sequences(random) == Counts(samples=3, tokens=3 * LENGTH)
