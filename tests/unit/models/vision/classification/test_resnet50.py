from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from pydantic import TypeAdapter
from torchvision.models import resnet50

from models.costs.account import count
from models.datasets.base import DataError, EndlessSampler, evaluation_loader, training_loader
from models.datasets.spec import DataSpec
from models.recipe import Recipe
from models.schedules import rate_factor
from models.vision.classification.resnet50 import ResNet50
from runner.config.resolvers import register

SAMPLE = DataSpec(name="sample")


def recipe(scale: str, *overrides: str, vendor: str = "cpu") -> Recipe:
    register()
    with initialize_config_module("conf", version_base=None):
        config = compose("config", ["model=resnet50", f"scale={scale}", f"vendor={vendor}", *overrides])
    return TypeAdapter(Recipe).validate_python(OmegaConf.to_container(config.model, resolve=True))


@pytest.fixture(scope="module")
def tiny() -> Recipe:
    return recipe("tiny")


@pytest.fixture(scope="module")
def reference() -> Recipe:
    return recipe("reference")


def test_reference_is_torchvisions_resnet50(reference: Recipe) -> None:
    with torch.device("meta"):
        trainable, published = ResNet50(reference), resnet50()
    shapes = {name: tensor.shape for name, tensor in trainable.network.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in published.state_dict().items()}
    assert sum(parameter.numel() for parameter in trainable.network.parameters()) == 25_557_032


def test_reference_costs_what_is_published(reference: Recipe) -> None:
    costs = count(ResNet50, reference, weights_dtype="float32", autocast_dtype="bfloat16", batch_size=2)
    assert costs.flops_forward_per_sample == pytest.approx(2 * 4.089e9, rel=2e-4)
    assert costs.optimizer_state_bytes == 4 * 25_557_032
    assert costs.input_bytes_per_sample == 4 * 3 * 224 * 224 + 8


def test_reference_recipe_divides_the_rate_by_ten_every_30_epochs(reference: Recipe) -> None:
    steps_per_epoch = 1_281_167 / (8 * reference.training.batch_size)
    for epoch, factor in ((0, 1), (29.9, 1), (30.1, 0.1), (59.9, 0.1), (60.1, 0.01), (90.1, 0.001), (99, 0.001)):
        assert rate_factor(reference.training.schedule, int(epoch * steps_per_epoch)) == pytest.approx(factor)
    assert reference.training.quality.targets == {"top1": 0.755}
    assert reference.training.max_train_samples == 100 * 1_281_167


def test_every_parameter_is_decayed(tiny: Recipe) -> None:
    optimizer = ResNet50(tiny).configure_optimizer()[0]
    (group,) = optimizer.param_groups
    assert group["weight_decay"] == 1e-4
    assert group["momentum"] == 0.9
    assert len(group["params"]) == len(list(ResNet50(tiny).network.parameters()))


def test_tiny_target_is_well_above_the_largest_class(tiny: Recipe) -> None:
    labels = ResNet50(tiny).datasets(SAMPLE).evaluation.labels  # type: ignore[attr-defined]
    majority = np.bincount(labels).max() / len(labels)
    assert tiny.training.quality.targets["top1"] > 4 * majority


def test_real_and_synthetic_batches_are_alike(tiny: Recipe) -> None:
    trainable = ResNet50(tiny)
    train = trainable.datasets(SAMPLE).train
    batches = (trainable.collate([train[index] for index in range(5)]), trainable.synthetic_batch(5))
    for batch in batches:
        assert batch["image"].shape == (5, 3, 32, 32)
        assert batch["image"].dtype == torch.float32
        assert batch["label"].shape == (5,)
        assert batch["label"].dtype == torch.int64
        assert trainable.count(batch) == (5, None)
    with torch.device("meta"):
        assert trainable.synthetic_batch(7)["image"].is_meta


@pytest.mark.parametrize("name", ["contiguous", "channels_last"])
def test_memory_format_holds_for_network_and_input(name: str) -> None:
    trainable = ResNet50(recipe("tiny", f"model.memory_format={name}"))
    expected = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[name]
    train = trainable.datasets(SAMPLE).train
    seen: list[torch.Tensor] = []
    trainable.network.layer4[0].conv2.register_forward_hook(lambda *call: seen.extend((*call[1], call[2])))  # type: ignore[index, union-attr]
    for batch in (trainable.synthetic_batch(4), trainable.collate([train[index] for index in range(4)])):
        assert batch["image"].is_contiguous(memory_format=expected)
        other = {"image": batch["image"].contiguous(), "label": batch["label"]}
        trainable.loss(other)
    weight = trainable.network.layer2[0].conv2.weight  # type: ignore[index, union-attr]
    assert weight.is_contiguous(memory_format=expected)
    assert all(tensor.is_contiguous(memory_format=expected) for tensor in seen)


def test_both_memory_formats_compute_the_same() -> None:
    losses = []
    for name in ("contiguous", "channels_last"):
        torch.manual_seed(5)
        trainable = ResNet50(recipe("tiny", f"model.memory_format={name}"))
        torch.manual_seed(6)
        losses.append(trainable.loss(trainable.synthetic_batch(8)).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_nvidias_tuning_changes_what_a_vendor_may() -> None:
    plain, tuned = recipe("reference"), recipe("reference", vendor="nvidia")
    assert (tuned.training.batch_size, tuned.memory_format) == (256, "channels_last")
    tuned.training.batch_size, tuned.memory_format = plain.training.batch_size, plain.memory_format
    assert tuned == plain


def test_top1_is_the_share_of_right_answers(tiny: Recipe) -> None:
    trainable = ResNet50(tiny).eval()
    batch = trainable.synthetic_batch(12)
    with torch.no_grad():
        answers = trainable.network(batch["image"]).argmax(1)
        batch["label"] = answers.clone()
        batch["label"][:3] = (answers[:3] + 1) % 10
        trainable.evaluate(batch)
        trainable.evaluate({name: value[:4] for name, value in batch.items()})
    assert trainable.metrics["top1"].compute().item() == pytest.approx((9 + 1) / 16)


def test_training_learns_one_batch(tiny: Recipe) -> None:
    torch.manual_seed(1234)
    trainable = ResNet50(tiny)
    optimizer = trainable.configure_optimizer()[0]
    train = trainable.datasets(SAMPLE).train
    batch = trainable.collate([train[index] for index in range(16)])
    losses = []
    for _ in range(8):
        loss = trainable.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_dataset_needs_a_root_in_imagenets_layout(tiny: Recipe, tmp_path: Path) -> None:
    trainable = ResNet50(tiny)
    with pytest.raises(DataError, match=r"data\.root"):
        trainable.datasets(DataSpec(name="dataset"))
    with pytest.raises(DataError, match="image-net"):
        trainable.datasets(DataSpec(name="dataset", root=str(tmp_path)))


def test_sample_needs_an_output_per_digit() -> None:
    with pytest.raises(ValueError, match=r"architecture\.classes"):
        ResNet50(recipe("tiny", "model.architecture.classes=9")).datasets(SAMPLE)


@pytest.mark.heavy
@pytest.mark.parametrize("seed", [1234, 7])
def test_tiny_reaches_its_target_within_half_its_budget(tiny: Recipe, seed: int) -> None:
    torch.manual_seed(seed)
    trainable = ResNet50(tiny)
    train, evaluation = trainable.datasets(SAMPLE)
    sampler = EndlessSampler(length=len(train), batch_size=tiny.training.batch_size, seed=seed)  # type: ignore[arg-type]
    optimizer = trainable.configure_optimizer()[0]
    best = 0.0
    for step, batch in enumerate(training_loader(train, sampler, trainable.collate, workers=0, pin=False), start=1):
        optimizer.zero_grad()
        trainable.loss(batch).backward()
        optimizer.step()
        if step * tiny.training.batch_size % tiny.training.quality.every_samples == 0:
            best = max(best, top1(trainable, evaluation))
            if (
                tiny.training.quality.reached({"top1": best})
                or step * tiny.training.batch_size >= tiny.training.max_train_samples / 2
            ):
                break
    assert best >= tiny.training.quality.targets["top1"]


def top1(trainable: ResNet50, evaluation: Any) -> float:
    options: dict[str, Any] = {"batch_size": 32, "limit": None, "rank": 0, "world": 1, "workers": 0}
    trainable.eval()
    trainable.metrics["top1"].reset()
    with torch.no_grad():
        for batch in evaluation_loader(evaluation, trainable.collate, **options):
            trainable.evaluate(batch)
    trainable.train()
    return trainable.metrics["top1"].compute().item()
