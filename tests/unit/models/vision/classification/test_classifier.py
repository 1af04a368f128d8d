"""What every image classifier does with images, labels and its recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_recipes import CLASSIFIERS, commonest_share, nearest_mean_share
from language_samples import dataset_spec, recipe, sample_spec
from no_waiting import NoWaiting
from PIL import Image
from zoo import built, model_class

from models.costs.account import count


def classifier(name: str, **regularisation: float) -> Any:
    """The tiny model, its regularisation changed."""
    changed = recipe(name)
    for key, value in regularisation.items():
        setattr(changed.training.regularisation, key, value)
    return model_class(name)(changed)


def hand_loss(logits: torch.Tensor, shown: np.ndarray, smoothing: float) -> float:
    """Cross-entropy with the shares of the classes that each image shows, in float64 with NumPy."""
    values = logits.detach().double().numpy()
    log_probability = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
    target = shown * (1 - smoothing) + smoothing / shown.shape[1]
    return float(-(target * log_probability).sum(axis=1).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.11])
@pytest.mark.parametrize("alpha", [0.0, 0.8])
def test_loss_is_the_cross_entropy_of_what_the_images_show(smoothing: float, alpha: float) -> None:
    trainable = classifier("resnet50", label_smoothing=smoothing, mixup_alpha=alpha).eval()
    seen: list[torch.Tensor] = []
    trainable.network.register_forward_hook(lambda *call: seen.extend((call[1][0], call[2])))
    batch = trainable.synthetic_batch(6)
    torch.manual_seed(5)
    loss = trainable.loss(batch)
    shown, logits = seen
    share = 1.0
    if alpha:  # found again from the pixels: shown = share * own + (1 - share) * neighbour
        own, neighbour = batch["image"], batch["image"].roll(1, 0)
        share = float(((shown - neighbour) / (own - neighbour)).median())
        assert 0 < share < 1
    one_hot = np.eye(10)[batch["label"].numpy()]
    targets = share * one_hot + (1 - share) * np.roll(one_hot, 1, axis=0)
    assert loss.item() == pytest.approx(hand_loss(logits, targets, smoothing), rel=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_training_step_with_mixing_never_waits_for_the_device(name: str) -> None:
    trainable = classifier(name, label_smoothing=0.1, mixup_alpha=0.2, cutmix_alpha=1.0).train()
    batch = trainable.synthetic_batch(2)
    with NoWaiting():
        trainable.loss(batch).backward()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_weights_of_half_precision_give_nearly_the_same_float32_loss(name: str) -> None:
    torch.manual_seed(0)
    trainable = classifier(name).eval()
    batch = trainable.synthetic_batch(4)
    losses = []
    for dtype in (torch.float32, torch.bfloat16):
        trainable.to(dtype)
        torch.manual_seed(1)
        losses.append(trainable.loss(batch | {"image": batch["image"].to(dtype)}))
    assert losses[1].dtype == torch.float32
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.05)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_both_memory_formats_give_the_same_logits(name: str) -> None:
    torch.manual_seed(0)
    plain = classifier(name).eval()
    changed = recipe(name)
    changed.memory_format = "channels_last"
    other: Any = model_class(name)(changed).eval()
    other.network.load_state_dict(plain.network.state_dict())
    image = plain.synthetic_batch(3)["image"]
    assert torch.allclose(other.network(other._laid_out(image)), plain.network(image), atol=1e-4)


def test_top1_counts_right_answers_over_uneven_batches() -> None:
    trainable = classifier("mobilenetv2").eval()
    batch = trainable.synthetic_batch(12)
    with torch.no_grad():
        answers = trainable.network(batch["image"]).argmax(1)
        batch["label"] = torch.where(torch.arange(12) < 5, answers, (answers + 1) % 10)
        for rows in (slice(0, 7), slice(7, 12)):
            trainable.evaluate({key: value[rows] for key, value in batch.items()})
    assert trainable.metrics["top1"].compute().item() == 5 / 12


def test_counting_leaves_mixing_out_and_puts_it_back() -> None:
    trainable = classifier("resnet50", mixup_alpha=0.2)
    with trainable.counting():
        assert not trainable.mixes
    assert trainable.mixes
    assert not classifier("resnet50").mixes


def test_mixing_costs_no_operation_that_counts() -> None:
    costs = []
    for alpha in (0.0, 0.2):
        changed = recipe("mobilenetv2")
        changed.training.regularisation.mixup_alpha = alpha
        costs.append(
            count(model_class("mobilenetv2"), changed, weights_dtype="float32", autocast_dtype=None, batch_size=2)
        )
    assert costs[0] == costs[1]


def test_tiny_targets_are_far_above_what_trivial_predictors_reach() -> None:
    targets = {name: recipe(name).training.quality.targets["top1"] for name in CLASSIFIERS}
    assert {recipe(name).architecture["image_size"] for name in CLASSIFIERS} == {32}
    assert min(targets.values()) > 4 * commonest_share(32)
    assert min(targets.values()) > 1.4 * nearest_mean_share(32)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_photographs_reach_the_network_at_the_published_sizes(name: str, tmp_path: Path) -> None:
    for part in ("train", "val"):
        for number in range(10):
            folder = tmp_path / part / f"n{number:08}"
            folder.mkdir(parents=True)
            noise = np.frombuffer(os.urandom(60 * 80 * 3), dtype=np.uint8).reshape(60, 80, 3)
            Image.fromarray(noise).save(folder / "a.JPEG", "JPEG")
    changed = recipe(name, "reference")
    changed.architecture["classes"] = 10
    with torch.device("meta"):
        trainable: Any = model_class(name)(changed)
    train, evaluation = trainable.datasets(dataset_spec(tmp_path))
    sizes = {"efficientnet": (300, 384), "bigtransfer": (480, 480)}.get(name, (224, 224))
    batch = trainable.collate([train[0], train[9]])
    assert batch["image"].shape == (2, 3, sizes[0], sizes[0]) and batch["label"].tolist() == [0, 9]
    assert evaluation[3].image.shape == (3, sizes[1], sizes[1]) and evaluation[3].label == 3
    limits = (-1.0, 1.0) if name == "bigtransfer" else (-2.2, 2.7)
    assert limits[0] - 1e-6 <= evaluation[0].image.min() and evaluation[0].image.max() <= limits[1] + 1e-6


def test_evaluation_images_of_the_sample_have_their_own_size() -> None:
    train, evaluation = built("efficientnet").datasets(sample_spec())
    assert train[0].image.shape == (3, 32, 32) and evaluation[0].image.shape == (3, 40, 40)
