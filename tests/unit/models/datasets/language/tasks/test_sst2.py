"""SST-2 as FlagPerf's program packs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import npz_samples
import pytest

from models.datasets.base import DataError, Datasets
from models.datasets.language.tasks.labelled_text import labelled_batch
from models.datasets.language.tasks.sst2 import sst2_datasets


def datasets(root: Path) -> Datasets:
    return sst2_datasets(root, length=npz_samples.LENGTH, vocabulary=npz_samples.VOCABULARY, source="the source")


@pytest.mark.parametrize("compressed", [False, True])
def test_sentences_are_those_written(tmp_path: Path, compressed: bool) -> None:
    arrays = npz_samples.sentences()
    train, evaluation = datasets(npz_samples.write_both(tmp_path, arrays, compressed=compressed))
    assert len(train) == len(evaluation) == npz_samples.SENTENCES  # type: ignore[arg-type]
    batch = labelled_batch([train[index] for index in range(npz_samples.SENTENCES)])
    assert batch["input_ids"].tolist() == arrays["input_ids"].tolist()
    assert batch["attended"].int().tolist() == arrays["attention_mask"].tolist()
    assert batch["labels"].tolist() == arrays["label"].tolist()
    assert (batch["samples"], batch["tokens"]) == (7, int(arrays["attention_mask"].sum()))


@pytest.mark.parametrize(
    ("name", "place", "value", "said"),
    [
        ("label", 4, 2, "Sentence 4: label is 2"),
        ("label", 4, -1, "Sentence 4: label is -1"),
        ("input_ids", (4, 0), 60, "Sentence 4: token ids reach"),
        ("attention_mask", (4, 15), 1, "Sentence 4: attention_mask is not ones"),
        ("attention_mask", (4, slice(None)), 0, "Sentence 4: attention_mask is not ones"),
        ("attention_mask", (4, 0), 2, "Sentence 4: attention_mask is not ones"),
    ],
)
def test_a_bad_value_is_named_with_its_sentence(tmp_path: Path, name: str, place: Any, value: int, said: str) -> None:
    arrays = npz_samples.sentences()
    arrays[name][place] = value
    train = datasets(npz_samples.write_both(tmp_path, arrays)).train
    assert train[3] is not None
    with pytest.raises(DataError, match=said) as refusal:
        train[4]
    assert refusal.value.where.endswith("train_dataset.npz")
