"""MobileNetV2, EfficientNetV2-S, ViT-B/16 and Swin-T: torchvision's published networks, trained as published."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from image_recipes import undecayed
from language_samples import recipe
from torch import nn
from zoo import built, model_class

from models.costs.account import count
from models.recipe import Recipe
from models.schedules import rate_factor

PUBLISHED = {
    "mobilenetv2": torchvision.models.mobilenet_v2,
    "efficientnet": torchvision.models.efficientnet_v2_s,
    "vit": torchvision.models.vit_b_16,
    "swin_transformer": torchvision.models.swin_t,
}
EPOCH = 1_281_167
DEVICES = 8


def rate(reference: Recipe, epoch: float) -> float:
    """Learning rate at an epoch of the published global batch."""
    steps = reference.training.steps_per_epoch(DEVICES)
    assert steps is not None
    return reference.training.optimizer.lr * rate_factor(reference.training.schedule, round(epoch * steps), steps)


@pytest.mark.parametrize("name", PUBLISHED)
def test_reference_is_torchvisions_network(name: str) -> None:
    with torch.device("meta"):
        ours, published = built(name, "reference").network, PUBLISHED[name]()
    shapes = {key: tensor.shape for key, tensor in ours.state_dict().items()}
    assert shapes == {key: tensor.shape for key, tensor in published.state_dict().items()}
    # What weights do not show: strides, paddings, eps, dropout, stochastic depth, window shifts.
    assert repr(ours) == repr(published)


@pytest.mark.parametrize("name", ["efficientnet", "swin_transformer"])
def test_reference_computes_what_torchvisions_network_does(name: str) -> None:
    torch.manual_seed(0)
    ours: nn.Module = built(name, "reference").network.eval()
    published = PUBLISHED[name]().eval()
    published.load_state_dict(ours.state_dict())
    image = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        assert torch.equal(ours(image), published(image))


def test_efficientnet_costs_what_is_published_at_its_evaluation_size() -> None:
    reference = recipe("efficientnet", "reference")
    reference.architecture["image_size"] = 384
    costs = count(model_class("efficientnet"), reference, weights_dtype="float32", autocast_dtype=None, batch_size=1)
    assert costs.flops_forward_per_sample == pytest.approx(2 * 8.366e9, rel=0.005)


def test_rates_are_those_published() -> None:
    mobilenet, efficient, vit, swin = (recipe(name, "reference") for name in PUBLISHED)
    for epoch in (0, 1, 10, 299):
        assert rate(mobilenet, epoch + 0.5) == pytest.approx(0.045 * 0.98**epoch)
    assert rate(efficient, 0) == pytest.approx(0.5 * 0.01, rel=0.02)
    assert rate(efficient, 5) == pytest.approx(0.5)
    assert rate(efficient, 5 + 595 / 2) == pytest.approx(0.25, rel=1e-3)
    assert rate(efficient, 600) == pytest.approx(0, abs=1e-9)
    assert rate(vit, 0) == pytest.approx(0.003 * 0.033, rel=0.02)
    assert rate(vit, 15) == pytest.approx(0.003 * (1 + 0.033) / 2, rel=1e-2)
    assert [rate(vit, epoch) for epoch in (30, 300)] == pytest.approx([0.003, 0], abs=1e-9)
    times = 8 * 256 / 512  # Swin's linear scaling
    assert rate(swin, 0) == pytest.approx(5e-7 * times, rel=0.1)
    assert [rate(swin, epoch) for epoch in (20, 300)] == pytest.approx([5e-4 * times, 5e-6 * times])


def test_batches_and_budgets_are_those_published() -> None:
    batches = {"mobilenetv2": 256, "efficientnet": 1024, "vit": 4096, "swin_transformer": 2048}
    epochs = {"mobilenetv2": 300, "efficientnet": 600, "vit": 300, "swin_transformer": 300}
    for name in PUBLISHED:
        training = recipe(name, "reference").training
        assert DEVICES * training.batch_size * training.gradient_accumulation_steps == batches[name]
        assert training.max_train_samples == epochs[name] * EPOCH
        assert training.epoch_samples == training.quality.every_samples == EPOCH
        assert training.quality.samples is None


def test_regularisation_is_that_published() -> None:
    def shown(name: str) -> tuple[Any, ...]:
        training = recipe(name, "reference").training
        one = training.regularisation
        clip, repeats = training.max_grad_norm, training.batching.repeats
        return one.label_smoothing, one.mixup_alpha, one.cutmix_alpha, one.ema_decay, clip, repeats

    assert shown("mobilenetv2") == (0, 0, 0, None, None, 1)
    assert shown("efficientnet") == (0.1, 0.2, 1.0, None, None, 4)
    assert shown("vit") == (0.11, 0.2, 1.0, None, 1.0, 3)
    assert shown("swin_transformer") == (0.1, 0.8, 1.0, None, 5.0, 1)


@pytest.mark.parametrize("scale", ["tiny", "reference"])
def test_weight_decay_spares_what_the_publication_spares(scale: str) -> None:
    expected: dict[str, Any] = {
        "mobilenetv2": lambda module, key, parameter: False,
        "efficientnet": lambda module, key, parameter: isinstance(module, nn.BatchNorm2d),
        "vit": lambda module, key, parameter: False,
        "swin_transformer": lambda module, key, parameter: parameter.ndim == 1 or "relative_position" in key,
    }
    for name, spared in expected.items():
        with torch.device("meta"):
            trainable = built(name, scale)
        modules = trainable.network.named_modules()
        named = [
            (f"{path}.{key}" if path else key, spared(module, key, parameter))
            for path, module in modules
            for key, parameter in module.named_parameters(recurse=False)
        ]
        optimizer = trainable.configure_optimizer(batches=DEVICES)[0]
        assert undecayed(trainable.network, optimizer) == {key for key, is_spared in named if is_spared}, name


def test_optimizers_are_those_published() -> None:
    def settings(name: str) -> dict[str, Any]:
        with torch.device("meta"):
            optimizer = built(name, "reference").configure_optimizer(batches=DEVICES)[0]
        return {"class": type(optimizer).__name__, **optimizer.defaults} | {
            "weight_decay": max(group["weight_decay"] for group in optimizer.param_groups)
        }

    wanted = {
        "mobilenetv2": {"class": "SGD", "momentum": 0.9, "nesterov": False, "weight_decay": 4e-5},
        "efficientnet": {"class": "SGD", "momentum": 0.9, "nesterov": False, "weight_decay": 2e-5},
        "vit": {"class": "AdamW", "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.3},
        "swin_transformer": {"class": "AdamW", "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.05},
    }
    for name, values in wanted.items():
        found = settings(name)
        assert {key: found[key] for key in values} == values
