"""What `bert_hf` and `longformer` share: loss and accuracy over hidden tokens alone, no wait for the device."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from language_samples import evaluate, recipe, sample_spec
from zoo import built

from models.datasets.language.tokens.next_token import IGNORED

MODELS = ["bert_hf", "longformer"]


def batch_of(trainable: Any, count: int = 8, *, part: str = "train") -> dict[str, Any]:
    data = getattr(trainable.datasets(sample_spec()), part)
    batch: dict[str, Any] = trainable.collate([data[index] for index in range(count)])
    return batch


@pytest.mark.parametrize("model", MODELS)
def test_loss_and_accuracy_count_hidden_tokens_alone(model: str) -> None:
    torch.manual_seed(0)
    trainable: Any = built(model).eval()
    batch = batch_of(trainable)
    with torch.no_grad():
        scores = trainable.logits(batch).double()
        loss = trainable.loss(batch)
    losses, right, hidden = 0.0, 0, 0
    for row, place in (batch["targets"] != IGNORED).nonzero().tolist():
        target = int(batch["targets"][row, place])
        losses -= float(scores[row, place, target] - scores[row, place].logsumexp(0))
        right += int(scores[row, place].argmax()) == target
        hidden += 1
    share = trainable.sizes.masked_share
    assert 0.5 * share < hidden / batch["targets"].numel() < 1.5 * share
    assert loss.item() == pytest.approx(losses / hidden, rel=1e-5)
    with torch.no_grad():
        assert evaluate(trainable, [batch])["mlm_accuracy"] == pytest.approx(right / hidden, rel=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_evaluation_hides_the_same_tokens_whenever_it_is_read(model: str) -> None:
    first, second = (batch_of(built(model), part="evaluation") for _ in range(2))
    assert first["input_ids"].equal(second["input_ids"]) and first["targets"].equal(second["targets"])


@pytest.mark.parametrize("model", MODELS)
def test_special_tokens_of_the_sample_are_never_hidden(model: str) -> None:
    targets = batch_of(built(model), 40)["targets"]
    assert int(targets[targets != IGNORED].min()) > 4


@pytest.mark.parametrize("model", MODELS)
def test_a_training_step_never_waits_for_the_device(model: str) -> None:
    """On the meta device no value can be read and no shape depend on one."""
    with torch.device("meta"):
        trainable = built(model).train()
        loss = trainable.loss(trainable.synthetic_batch(2))
        loss.backward()
    assert loss.device.type == "meta"


@pytest.mark.parametrize("model", MODELS)
def test_target_is_above_the_most_frequent_word(model: str) -> None:
    case = recipe(model)
    evaluation: Any = built(model).datasets(sample_spec()).evaluation
    words: Counter[int] = Counter()
    for index in range(case.training.quality.samples or 0):
        targets = evaluation[index].targets
        words.update(targets[targets != IGNORED].tolist())
    best = words.most_common(1)[0][1] / words.total()
    assert best > 0.02
    assert case.training.quality.targets["mlm_accuracy"] > 1.5 * best
