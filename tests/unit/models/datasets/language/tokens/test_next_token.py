"""Next-token examples: shifted by one, shared between parts without overlap, counted on the host."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.datasets.base import Counts, DataError
from models.datasets.language.tokens.flat_tokens import flat_token_datasets
from models.datasets.language.tokens.next_token import (
    Sequences,
    TokenExample,
    count_sequences,
    next_token_batch,
    random_next_token_batch,
)
from models.datasets.language.tokens.token_stream import TokenFile, open_npy


def token_file(folder: Path, length: int) -> TokenFile:
    np.save(folder / "tokens.npy", np.arange(length, dtype=np.int32))
    return open_npy(folder / "tokens.npy")


def test_sequences_cover_the_file_in_steps_of_their_length(tmp_path: Path) -> None:
    sequences = Sequences(token_file(tmp_path, 14), sequence_length=4, vocabulary=14)
    assert len(sequences) == 3  # 13 targets
    assert [example.inputs.tolist() for example in map(sequences.__getitem__, range(3))] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]
    assert sequences[2].targets.tolist() == [9, 10, 11, 12]
    assert sequences[2].tokens == 4


def test_exactly_one_sequence_fits_and_one_token_less_does_not(tmp_path: Path) -> None:
    assert len(Sequences(token_file(tmp_path, 5), sequence_length=4, vocabulary=5)) == 1
    with pytest.raises(DataError, match="4 tokens are too few for sequences of 4"):
        Sequences(token_file(tmp_path, 4), sequence_length=4, vocabulary=5)


def test_an_id_outside_the_vocabulary_is_found_on_the_host(tmp_path: Path) -> None:
    sequences = Sequences(token_file(tmp_path, 10), sequence_length=4, vocabulary=6)
    assert sequences[0].inputs.tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match=r"from 4 to 8.*tokens\.npy"):
        sequences[1]


def test_flat_file_gives_its_end_to_evaluation(tmp_path: Path) -> None:
    np.save(tmp_path / "openwebtext.npy", np.arange(2001, dtype=np.uint16))
    datasets = flat_token_datasets(tmp_path, sequence_length=10, vocabulary=2001, source="")
    assert (len(datasets.train), len(datasets.evaluation)) == (198, 2)  # type: ignore[arg-type]
    assert datasets.train[197].targets[-1] == 1980
    assert datasets.evaluation[0].inputs[0] == 1980
    assert datasets.evaluation[1].targets[-1] == 2000


@pytest.mark.parametrize("names", [[], ["a.npy", "b.npy"]])
def test_flat_folder_needs_exactly_one_file(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        np.save(tmp_path / name, np.arange(100))
    with pytest.raises(DataError, match="exactly one .npy file, found " + (", ".join(names) or "none")) as refusal:
        flat_token_datasets(tmp_path, sequence_length=10, vocabulary=100, source="FlagPerf")
    assert refusal.value.where == str(tmp_path)
    assert refusal.value.source == "FlagPerf"


def test_batch_counts_real_tokens_without_tensors() -> None:
    examples = [
        TokenExample(np.array([1, 2, 0]), np.array([2, 3, -100]), 2),
        TokenExample(np.array([4, 5, 6]), np.ones(3, int), 3),
    ]
    batch = next_token_batch(examples)
    assert batch["input_ids"].tolist() == [[1, 2, 0], [4, 5, 6]]
    assert batch["targets"].dtype == torch.int64
    assert count_sequences(batch) == Counts(samples=2, tokens=5)
    assert type(batch["tokens"]) is int


def test_synthetic_batch_is_like_a_real_one() -> None:
    batch = random_next_token_batch(3, 8, 50)
    real = next_token_batch([TokenExample(np.zeros(8, dtype=np.int64), np.zeros(8, dtype=np.int64), 8)] * 3)
    assert batch.keys() == real.keys()
    for name in ("input_ids", "targets"):
        assert (batch[name].shape, batch[name].dtype) == (real[name].shape, real[name].dtype)
        assert 0 <= int(batch[name].min()) <= int(batch[name].max()) < 50
    assert count_sequences(batch) == Counts(samples=3, tokens=24)
