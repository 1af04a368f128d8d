"""DistilBERT: the library's scores, padding unseen, SST-2 through to the loss, its pre-trained weights."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import npz_samples
import pytest
import torch
from language_samples import dataset_spec, evaluate, recipe, sample_spec
from zoo import built

from models.datasets.base import DataError
from models.language.encoders.distilbert import DistilBertClassifier
from models.schedules import rate_factor
from models.weights import load_weights, read_weights


@pytest.fixture(scope="module")
def trainable() -> DistilBertClassifier:
    torch.manual_seed(0)
    return DistilBertClassifier(recipe("distilbert")).eval()


@pytest.fixture(scope="module")
def batch(trainable: DistilBertClassifier) -> dict[str, Any]:
    train = trainable.datasets(sample_spec()).train
    return trainable.collate([train[index] for index in range(16)])


def test_scores_are_transformers_own(trainable: DistilBertClassifier, batch: dict[str, Any]) -> None:
    from transformers import DistilBertForSequenceClassification

    library = DistilBertForSequenceClassification._from_config(
        deepcopy(trainable.network.config), attn_implementation="eager"
    )
    library.load_state_dict(trainable.network.state_dict())
    assert not batch["attended"].all()
    with torch.no_grad():
        whole = library.eval()(input_ids=batch["input_ids"], attention_mask=batch["attended"].long())
        torch.testing.assert_close(trainable.logits(batch), whole.logits)


def test_padding_changes_nothing(trainable: DistilBertClassifier, batch: dict[str, Any]) -> None:
    other = batch | {"input_ids": torch.where(batch["attended"], batch["input_ids"], 17)}
    with torch.no_grad():
        torch.testing.assert_close(trainable.logits(other), trainable.logits(batch))


def test_loss_and_accuracy_by_hand(trainable: DistilBertClassifier, batch: dict[str, Any]) -> None:
    with torch.no_grad():
        scores = trainable.logits(batch).double().tolist()
        loss = trainable.loss(batch).item()
        rest = {name: value[:5] if isinstance(value, torch.Tensor) else 5 for name, value in batch.items()}
        measured = evaluate(trainable, [batch, rest])["accuracy"]
    labels = batch["labels"].tolist()
    right = [(row[1] > row[0]) == label for row, label in zip(scores, labels, strict=True)]
    losses = [torch.tensor(row).logsumexp(0).item() - row[label] for row, label in zip(scores, labels, strict=True)]
    assert loss == pytest.approx(sum(losses) / 16, rel=1e-5)
    assert measured == pytest.approx((sum(right) + sum(right[:5])) / 21, rel=1e-9)


def test_packed_sentences_reach_the_loss(tmp_path: Path) -> None:
    case = recipe("distilbert")
    case.architecture |= {"sequence_length": npz_samples.LENGTH, "vocabulary": npz_samples.VOCABULARY}
    trainable = DistilBertClassifier(case)
    train = trainable.datasets(dataset_spec(npz_samples.write_both(tmp_path, npz_samples.sentences()))).train
    batch = trainable.collate([train[index] for index in range(7)])
    assert trainable.count(batch) == (7, sum(range(3, 10)))
    assert torch.isfinite(trainable.loss(batch))


def test_pretrained_weights_leave_the_head_random(tmp_path: Path) -> None:
    trainable = built("distilbert")
    before = {name: tensor.clone() for name, tensor in trainable.network.state_dict().items()}
    weights = {name: tensor + 1 for name, tensor in before.items() if name.startswith("distilbert.")}
    head = {"vocab_transform.weight": (64, 64), "vocab_layer_norm.bias": (64,), "vocab_projector.bias": (512,)}
    torch.save(weights | {name: torch.zeros(shape) for name, shape in head.items()}, tmp_path / "pytorch_model.bin")
    load_weights(trainable.network, trainable.initial_weights(read_weights(tmp_path)), path=tmp_path)
    for name, tensor in trainable.network.state_dict().items():
        torch.testing.assert_close(tensor, before[name] + (1 if name in weights else 0))
    del weights["distilbert.transformer.layer.1.ffn.lin1.weight"]
    with pytest.raises(DataError, match=r"1 missing \(distilbert\.transformer\.layer\.1\.ffn\.lin1\.weight"):
        load_weights(trainable.network, trainable.initial_weights(weights), path=tmp_path)


def test_the_published_recipe() -> None:
    training = recipe("distilbert", "reference").training
    per_epoch = training.steps_per_epoch(8)
    assert per_epoch == pytest.approx(67349 / 256)
    rates = [rate_factor(training.schedule, round(epoch * 67349 / 256), per_epoch) for epoch in (0, 5, 10)]
    assert rates == pytest.approx([1, 0.5, 0], abs=1e-3)


def test_target_is_above_one_answer_for_all(trainable: DistilBertClassifier) -> None:
    evaluation: Any = trainable.datasets(sample_spec()).evaluation
    labels = Counter(evaluation[index].label for index in range(len(evaluation)))
    assert max(labels.values()) / labels.total() == 0.5
    assert trainable.recipe.training.quality.targets["accuracy"] > 1.5 * 0.5
