"""Longformer's packed blocks, in the form FlagPerf's program writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import npz_samples
import numpy as np
import pytest
import torch

from models.datasets.base import DataError, Datasets
from models.datasets.language.masked.longformer_blocks import longformer_datasets
from models.datasets.language.masked.masking import Masking
from models.datasets.language.tokens.next_token import IGNORED


def datasets(root: Path, length: int = npz_samples.LENGTH) -> Datasets:
    masking = Masking(share=0.5, mask_id=59, vocabulary=npz_samples.VOCABULARY, mixed=True)
    return longformer_datasets(root, masking, length=length, source="the source")


@pytest.mark.parametrize("compressed", [False, True])
def test_blocks_are_read_and_special_places_stay(tmp_path: Path, compressed: bool) -> None:
    arrays = npz_samples.blocks()
    data = datasets(npz_samples.write_both(tmp_path, arrays, compressed=compressed))
    for part in data:
        assert len(part) == npz_samples.SENTENCES  # type: ignore[arg-type]
        for index in range(npz_samples.SENTENCES):
            example = part[index]
            hidden = example.targets != IGNORED
            assert not (hidden & (arrays["special_tokens_mask"][index] == 1)).any()
            assert np.where(hidden, example.targets, example.inputs).tolist() == arrays["input_ids"][index].tolist()


def test_training_hides_anew_and_evaluation_the_same(tmp_path: Path) -> None:
    train, evaluation = datasets(npz_samples.write_both(tmp_path, npz_samples.blocks()))
    torch.manual_seed(0)
    for data, differ in ((train, True), (evaluation, False)):
        passes = [[data[index].targets.tolist() for index in range(npz_samples.SENTENCES)] for _ in range(2)]
        assert (passes[0] != passes[1]) == differ


@pytest.mark.parametrize(
    ("name", "row", "value", "said"),
    [("input_ids", 2, 60, "Block 2: token ids reach"), ("attention_mask", 3, 0, "Block 3 has places that are not")],
)
def test_a_bad_value_is_named_with_its_block(tmp_path: Path, name: str, row: int, value: Any, said: str) -> None:
    arrays = npz_samples.blocks()
    arrays[name][row, -1] = value
    data = datasets(npz_samples.write_both(tmp_path, arrays)).evaluation
    assert data[row - 1] is not None
    with pytest.raises(DataError, match=said) as refusal:
        data[row]
    assert refusal.value.where.endswith("eval_dataset.npz")


def test_blocks_of_another_length_are_refused(tmp_path: Path) -> None:
    npz_samples.write_both(tmp_path, npz_samples.blocks())
    with pytest.raises(DataError, match=r"input_ids is int64 of the shape \(7, 16\), not integers of \(rows, 32\)"):
        datasets(tmp_path, 32)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    npz_samples.write_both(tmp_path, npz_samples.blocks())
    (tmp_path / "dataset" / "eval_dataset.npz").unlink()
    with pytest.raises(DataError, match=r"no such file.*eval_dataset\.npz"):
        datasets(tmp_path)
