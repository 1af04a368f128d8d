"""BERT: predictions at masked places alone, padding unseen, MLPerf's data through to the loss."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from language_samples import dataset_spec, evaluate, recipe, sample_spec

from models.language.encoders.bert import BertPretraining


@pytest.fixture(scope="module")
def trainable() -> BertPretraining:
    torch.manual_seed(0)
    return BertPretraining(recipe("bert")).eval()


def batch_of(trainable: BertPretraining, count: int = 32) -> dict[str, torch.Tensor]:
    train = trainable.datasets(sample_spec()).train
    return trainable.collate([train[index] for index in range(count)])


def test_scores_are_transformers_own_at_the_masked_places(trainable: BertPretraining) -> None:
    batch = batch_of(trainable, 16)
    assert not batch["attended"].all()
    with torch.no_grad():
        words, following = trainable._forward(batch)
        whole = trainable.network.bert(
            input_ids=batch["input_ids"],
            token_type_ids=batch["segment_ids"],
            attention_mask=batch["attended"].long(),
        )
    rows = torch.arange(16)[:, None]
    torch.testing.assert_close(words, whole.prediction_logits[rows, batch["positions"]])
    torch.testing.assert_close(following, whole.seq_relationship_logits)


def test_loss_is_mlm_over_masked_words_plus_nsp(trainable: BertPretraining) -> None:
    batch = batch_of(trainable)
    counted = batch["positions"] > 0
    assert 0 < int(counted.sum()) < counted.numel()
    with torch.no_grad():
        words, following = trainable._forward(batch)
        loss = trainable.loss(batch)
    right = words.double().log_softmax(-1).gather(-1, batch["word_ids"][:, :, None])[:, :, 0]
    mlm = -right[counted].mean()
    nsp = -following.double().log_softmax(-1).gather(-1, batch["is_random_next"][:, None]).mean()
    assert loss.item() == pytest.approx((mlm + nsp).item(), rel=1e-5)


def test_padding_changes_nothing(trainable: BertPretraining) -> None:
    batch = batch_of(trainable)
    other = dict(batch)
    other["input_ids"] = torch.where(batch["attended"], batch["input_ids"], 17)
    assert not torch.equal(other["input_ids"], batch["input_ids"])
    with torch.no_grad():
        for one, two in zip(trainable._forward(batch), trainable._forward(other), strict=True):
            torch.testing.assert_close(one, two)


def test_accuracy_counts_masked_words_alone(trainable: BertPretraining, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that finds every word but the first masked one of each sequence, and of all padding says 0."""
    batches = [batch_of(trainable, 20), batch_of(trainable, 3)]

    def forward(batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        said = batch["word_ids"].clone()
        said[:, 0] = 0
        return torch.nn.functional.one_hot(said, trainable.sizes.vocabulary).float(), torch.zeros(len(said), 2)

    monkeypatch.setattr(trainable, "_forward", forward)
    masked = sum(int((batch["positions"] > 0).sum()) for batch in batches)
    assert evaluate(trainable, batches)["mlm_accuracy"] == pytest.approx((masked - 23) / masked, rel=1e-6)


def test_mlperf_data_reaches_the_loss(tmp_path: Path) -> None:
    case = recipe("bert")
    trainable = BertPretraining(case)
    length, predictions = trainable.sizes.sequence_length, trainable.sizes.predictions
    generator = np.random.default_rng(0)
    mask = (np.arange(length) < generator.integers(20, length + 1, (6, 1))).astype("i4")
    positions = np.sort(generator.integers(1, 20, (6, predictions)), axis=1)
    positions[:, 4:] = 0
    content = {
        "input_ids": generator.integers(5, 500, (6, length)) * mask,
        "input_mask": mask,
        "segment_ids": np.zeros((6, length)),
        "masked_lm_positions": positions,
        "masked_lm_ids": generator.integers(5, 500, (6, predictions)) * (positions > 0),
        "next_sentence_labels": np.arange(6) % 2,
    }
    for folder in ("2048_shards_uncompressed", "eval_set_uncompressed"):
        (tmp_path / folder).mkdir()
        with h5py.File(tmp_path / folder / "part_00000.hdf5", "w") as file:
            for name, values in content.items():
                file.create_dataset(name, data=values.astype("i4"))
    train, evaluation = trainable.datasets(dataset_spec(tmp_path))
    batch = trainable.collate([train[index] for index in range(6)])
    assert trainable.count(batch) == (6, int(mask.sum()))
    assert batch["attended"].int().tolist() == mask.tolist()
    assert int((batch["positions"] > 0).sum()) == 24
    assert math.isfinite(trainable.loss(batch).item())
    assert len(evaluation) == 6  # type: ignore[arg-type]
