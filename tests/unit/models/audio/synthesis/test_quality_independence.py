"""A quality figure is that of the examples: neither the batch size nor the number of ranks changes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mask_rcnn_samples
import pytest
import tacotron_samples
import torch
from language_samples import sample_spec
from language_trainables import build
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from models.audio.synthesis import tacotron2
from models.datasets.base import evaluation_loader
from models.datasets.language.tokens.next_token import IGNORED
from models.datasets.spec import DataSpec
from models.trainable import Trainable

EXAMPLES = 17
SPLITS = [(1, 1), (3, 1), (16, 1), (16, 2), (3, 2)]
"""(batch size, ranks)"""


class Examples(Dataset[Any]):
    """Examples made for a test."""

    def __init__(self, examples: Sequence[Any]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Any:
        return self.examples[index]


def measured(trainable: Trainable, examples: Sequence[Any], batch_size: int, ranks: int) -> dict[str, float]:
    """Every metric, evaluated as the ranks would."""
    for metric in trainable.metrics.values():
        metric.reset()
    trainable.eval()
    with torch.no_grad():
        for rank in range(ranks):  # torchmetrics adds the ranks' states, so seeing all shares in turn is the same
            share = {"limit": None, "rank": rank, "world": ranks, "workers": 0}
            for batch in evaluation_loader(Examples(examples), trainable.collate, batch_size=batch_size, **share):
                trainable.evaluate(batch)
    return {name: float(metric.compute()) for name, metric in trainable.metrics.items()}


def check(trainable: Trainable, examples: Sequence[Any], expected: dict[str, float]) -> None:
    for split in SPLITS:
        assert measured(trainable, examples, *split) == pytest.approx(expected, rel=1e-5), split


@torch.no_grad()
def test_bert_counts_masked_words() -> None:
    torch.manual_seed(0)
    trainable = build("bert").eval()
    data = trainable.datasets(sample_spec()).evaluation
    examples = [data[index] for index in range(EXAMPLES)]
    words, _ = trainable._forward(trainable.collate(examples))  # type: ignore[operator]
    right = words.argmax(dim=-1).numpy()
    made, hits, places = [], 0, 0
    for number, example in enumerate(examples):
        count = int((example.positions > 0).sum())
        hit = min(number, count)
        answers = (right[number] + 1) % words.shape[-1]
        answers[:hit] = right[number, :hit]
        made.append(example._replace(word_ids=answers))
        hits, places = hits + hit, places + count
    assert len({int((example.positions > 0).sum()) for example in examples}) > 1, "sequences of unlike weight"
    check(trainable, made, {"mlm_accuracy": hits / places})


@torch.no_grad()
def test_gpt2_counts_passages() -> None:
    torch.manual_seed(0)
    trainable = build("gpt2").eval()
    data = trainable.datasets(sample_spec()).evaluation
    examples = [data[index] for index in range(EXAMPLES)]
    inputs = trainable.collate(examples)["input_ids"]
    predicted = trainable.network(input_ids=inputs, use_cache=False).logits.argmax(dim=-1).numpy()
    made = []
    for number, example in enumerate(examples):
        targets = example.targets.copy()
        counted = targets != IGNORED
        targets[counted] = predicted[number][counted] + (0 if number % 3 == 0 else 1)
        made.append(example._replace(targets=targets))
    check(trainable, made, {"lambada_accuracy": 6 / 17})


@torch.no_grad()
def test_llama_counts_tokens() -> None:
    torch.manual_seed(0)
    trainable = build("llama2_7b").eval()
    for parameter in trainable.parameters():
        parameter.mul_(3)  # untrained, all sequences are equally likely
    data = trainable.datasets(sample_spec()).evaluation
    examples = [data[index] for index in range(EXAMPLES)]
    losses = []
    for example in examples:
        batch = trainable.collate([example])
        logits = trainable.network(input_ids=batch["input_ids"], use_cache=False).logits.double()
        losses += F.cross_entropy(logits[0], batch["targets"][0], reduction="none").tolist()
    check(trainable, examples, {"perplexity": float(torch.tensor(losses).double().mean().exp())})


@torch.no_grad()
def test_resnet50_counts_images() -> None:
    torch.manual_seed(0)
    trainable = build("resnet50").eval()
    data = trainable.datasets(DataSpec(name="sample")).evaluation
    examples = [data[index] for index in range(EXAMPLES)]
    answers = trainable.network(torch.stack([example.image for example in examples])).argmax(dim=1).tolist()
    made = [
        example._replace(label=answer if number % 3 == 0 else (answer + 1) % 10)
        for number, (example, answer) in enumerate(zip(examples, answers, strict=True))
    ]
    check(trainable, made, {"top1": 6 / 17})


@torch.no_grad()
@pytest.mark.parametrize("mask_padding", [False, True])
def test_tacotron2_counts_frames(mask_padding: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published loss counts padding: it is that of the whole set in one batch."""
    clips = tacotron_samples.utterances(*((3 + number % 5, 5 + 7 * number % 11) for number in range(EXAMPLES)))
    monkeypatch.setattr(tacotron2, "speech_sample", lambda **_: (Examples(clips[:2]), Examples(clips)))
    trainable = tacotron_samples.trainable(mask_padding=mask_padding).eval()
    _trained(trainable)
    trainable.datasets(DataSpec(name="sample"))
    whole = trainable.collate(clips)
    lengths = whole["mel_lengths"].tolist()
    assert len(set(lengths)) > 5
    prediction = tacotron_samples.predict(trainable, whole)  # type: ignore[arg-type]
    total, frames = 0.0, 0
    for row, length in enumerate(lengths):
        counted = length if mask_padding else max(lengths)
        gate = torch.zeros(counted)
        gate[length - 1 :] = 1
        for mels in (prediction.decoded, prediction.refined):
            total += float((mels[row, :counted] - whole["mels"][row, :counted]).square().mean(1).sum())
        total += float(F.binary_cross_entropy_with_logits(prediction.gate[row, :counted], gate, reduction="sum"))
        frames += counted
    check(trainable, clips, {"validation_loss": total / frames})


@torch.no_grad()
def test_mask_rcnn_sees_each_image_as_if_alone() -> None:
    trainable = mask_rcnn_samples.tiny().eval()
    _trained(trainable)
    trainable.network.roi_heads.score_thresh = 0.0  # type: ignore[union-attr]
    random = torch.Generator().manual_seed(3)
    examples = []
    for number in range(EXAMPLES):
        image = torch.rand(3, 96 - 24 * (number % 3), 96 - 32 * (number % 2), generator=random)
        (alone,) = trainable.network([image])  # type: ignore[operator]
        assert len(alone["boxes"]) > 3
        known = slice(0, 2 + number % 3)
        target = {
            "boxes": alone["boxes"][known],
            "labels": alone["labels"][known],
            "masks": (alone["masks"][known, 0] > 0.5).to(torch.uint8),
            "area": torch.full((2 + number % 3,), 100.0),
            "iscrowd": torch.zeros(2 + number % 3, dtype=torch.int64),
            "image_id": torch.tensor([number]),
        }
        examples.append({"image": image, "target": target})
    expected = measured(trainable, examples, 1, 1)
    assert 0.2 < expected["box_map"] < 1.0, "neither all nor nothing is right"
    check(trainable, examples, expected)


def _trained(trainable: Trainable) -> None:
    """Give the normalisations what training would: without biases, padding stays 0 through every layer."""
    torch.manual_seed(5)
    for module in trainable.network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.bias)
            module.running_mean = torch.randn(module.num_features) * 0.2
