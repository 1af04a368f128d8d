from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from mask_rcnn_samples import recipe, tiny
from PIL import Image
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from models.costs.account import count
from models.datasets.base import DataError, EndlessSampler, evaluation_loader, training_loader
from models.datasets.spec import DataSpec
from models.vision.detection.mask_rcnn import MaskRcnn
from models.vision.detection.mask_rcnn_network import MaskRcnnArchitecture


def quality(model: MaskRcnn) -> dict[str, float]:
    """Both metrics over the recipe's evaluation examples."""
    model.eval()
    model.reset_metrics(torch.device("cpu"))
    examples = model.datasets(DataSpec(name="sample")).evaluation
    options = {"batch_size": 8, "limit": model.recipe.training.quality.samples, "rank": 0, "world": 1, "workers": 0}
    with torch.no_grad():
        for batch in evaluation_loader(examples, model.collate, **options):  # type: ignore[arg-type]
            model.evaluate(batch)
    model.train()
    return {name: float(metric.compute()) for name, metric in model.metrics.items()}


def test_published_recipe() -> None:
    published = recipe("reference")
    assert published.training.quality.targets == {"box_map": 0.38, "mask_map": 0.34}
    steps_per_epoch = 117_266 // (8 * published.training.batch_size)
    assert published.training.schedule.milestones == (16 * steps_per_epoch, 22 * steps_per_epoch)
    assert published.training.max_train_samples == 26 * 117_266


def test_synthetic_batch_is_valid_and_always_the_same() -> None:
    model = MaskRcnn(recipe("tiny"))
    first, again = model.synthetic_batch(3), model.synthetic_batch(3)
    assert model.count(first).samples == 3
    assert model.count(first).tokens is None
    for image, same, target in zip(first["images"], again["images"], first["targets"], strict=True):
        assert torch.equal(image, same)
        assert image.shape == (3, 96, 96)
        boxes, masks = target["boxes"], target["masks"]
        assert bool((boxes[:, 2:] > boxes[:, :2]).all())
        assert float(boxes.min()) >= 0
        assert float(boxes.max()) <= 96
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        assert torch.equal(masks.sum(dim=(1, 2)).float(), areas)
        assert 1 <= int(target["labels"].min()) <= int(target["labels"].max()) <= 5


def test_synthetic_batch_on_meta_has_shapes_alone() -> None:
    with torch.device("meta"):
        batch = MaskRcnn(recipe("reference")).synthetic_batch(2)
    assert {image.device.type for image in batch["images"]} == {"meta"}
    assert [image.shape for image in batch["images"]] == [(3, 480, 640)] * 2
    assert batch["targets"][0]["masks"].shape == (7, 480, 640)


def test_flops_of_a_training_step_are_the_same_for_equal_weights() -> None:
    counted = []
    for _ in range(2):
        model = tiny(seed=5)
        with FlopCounterMode(display=False) as counter:
            model.loss(model.synthetic_batch(2)).backward()
        counted.append(counter.get_total_flops())
    assert counted[0] == counted[1] > 1e8


def test_flops_are_those_of_the_published_number_of_regions() -> None:
    assert MaskRcnnArchitecture().regions_sampled == 512
    counted = []
    for regions in (32, 64):
        model = recipe("tiny", regions_sampled=regions)
        costs = count(MaskRcnn, model, weights_dtype="float32", autocast_dtype=None)
        counted.append(costs.flops_per_sample)
    # Tiny: 32 channels, boxes of 7 x 7 into 128 features, masks of 14 x 14 by two layers, then enlarged to 28 x 28.
    box = 2 * (32 * 49 * 128 + 128 * 128 + 128 * (6 + 4 * 6))
    mask = 2 * (2 * 9 * 32 * 32 * 14 * 14 + 4 * 32 * 32 * 14 * 14 + 32 * 6 * 28 * 28)
    assert counted[1] - counted[0] == 3 * (32 * box + 8 * mask), "a quarter of the regions hold an object"


@pytest.mark.heavy
def test_reference_training_step_is_finite() -> None:
    torch.manual_seed(0)
    model = MaskRcnn(recipe("reference"))
    loss = model.loss(model.synthetic_batch(1))
    loss.backward()
    assert torch.isfinite(loss)


def test_loss_falls_within_a_few_steps() -> None:
    model = tiny()
    optimizer = model.configure_optimizer()[0]
    examples = model.datasets(DataSpec(name="sample")).train
    batch = model.collate([examples[index] for index in range(4)])
    losses: list[Tensor] = []
    for _ in range(15):
        losses.append(model.loss(batch))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    first, last = float(losses[0].detach()), float(torch.stack(losses[-3:]).mean().detach())
    assert last < 0.75 * first


def test_every_parameter_learns_from_one_step() -> None:
    model = tiny()
    model.loss(model.synthetic_batch(4)).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    (group,) = model.configure_optimizer()[0].param_groups
    assert len(group["params"]) == len(list(model.network.parameters()))


def test_image_without_objects_can_be_trained_on() -> None:
    model = tiny()
    batch = model.synthetic_batch(2)
    batch["targets"] = [{name: values[:0] for name, values in target.items()} for target in batch["targets"]]
    loss = model.loss(batch)
    loss.backward()
    assert torch.isfinite(loss)


def test_images_may_differ_in_size() -> None:
    model = tiny()
    batch = model.synthetic_batch(2)
    batch["images"][0] = batch["images"][0][:, :80]
    batch["targets"][0] |= {
        "masks": batch["targets"][0]["masks"][:, :80],
        "boxes": torch.tensor([[1.0, 1, 30, 30]] * 3),
    }
    assert torch.isfinite(model.loss(batch))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_trains_and_evaluates(dtype: torch.dtype) -> None:
    # a CPU has no fast float16 convolution to go backward through, so everything is as small as can be
    model = tiny(
        image_size=[32, 32], min_size=32, max_size=32, regions_sampled=8, pyramid_channels=8, mask_channels=[8]
    )
    batch = model.synthetic_batch(1)
    with torch.autocast("cpu", dtype):
        loss = model.loss(batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert loss.dtype == torch.float32
    model.eval()
    model.network.roi_heads.score_thresh = 0.0  # untrained scores are low; detections must reach the mask head
    with torch.no_grad(), torch.autocast("cpu", dtype):
        model.evaluate(batch)
    assert len(model.metrics["mask_map"].images[0]["found"]) == 10  # type: ignore[index,arg-type]
    assert 0.0 <= float(model.metrics["box_map"].compute()) <= 1.0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_are_refused(dtype: torch.dtype) -> None:
    model = tiny().to(dtype)
    for step in (model.loss, model.evaluate):
        with pytest.raises(ValueError, match="no such kernel"):
            step(model.synthetic_batch(1))


def test_both_metrics_have_targets_and_an_unknown_one_is_refused() -> None:
    model = tiny()
    model.require_metrics()
    model.recipe.training.quality.targets = {"keypoint_map": 0.5}
    with pytest.raises(ValueError, match="keypoint_map"):
        model.require_metrics()


def test_missing_coco_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"instances_train2017\.json"):
        tiny().datasets(DataSpec(name="dataset", root=str(tmp_path)))


def test_coco_files_can_be_trained_and_evaluated_on(tmp_path: Path) -> None:
    polygon = [10.0, 8.0, 50.0, 8.0, 50.0, 60.0, 10.0, 60.0]
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        (tmp_path / f"{split}2017").mkdir()
        Image.new("RGB", (120, 80), (90, 60, 30)).save(tmp_path / f"{split}2017" / "000000000009.jpg")
        image = {"id": 9, "file_name": "000000000009.jpg", "height": 80, "width": 120}
        annotation = {"id": 1, "image_id": 9, "category_id": 3, "segmentation": [polygon], "iscrowd": 0}
        annotation |= {"bbox": [10.0, 8.0, 40.0, 52.0], "area": 2080.0}
        content = {"images": [image], "annotations": [annotation], "categories": [{"id": 3, "name": "car"}]}
        (tmp_path / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
    model = tiny(classes=91)
    data = model.datasets(DataSpec(name="dataset", root=str(tmp_path)))
    model.loss(model.collate([data.train[0]])).backward()
    model.eval()
    with torch.no_grad():
        model.evaluate(model.collate([data.evaluation[0]]))
    assert 0.0 <= float(model.metrics["mask_map"].compute()) <= 1.0


def trivial_quality(truths: list[dict[str, Tensor]], answer: dict[str, Tensor]) -> dict[str, float]:
    """Both metrics for a predictor that looks at no image and always gives one answer."""
    metrics = tiny().metrics
    for metric in metrics.values():
        metric.update([answer] * len(truths), truths)
    return {name: float(metric.compute()) for name, metric in metrics.items()}


def test_targets_are_far_above_predictors_that_see_nothing() -> None:
    model = tiny()
    data = model.datasets(DataSpec(name="sample"))
    targets = [data.train[index]["target"] for index in range(100)]
    truths = [data.evaluation[index]["target"] for index in range(model.recipe.training.quality.samples or 0)]
    box = torch.cat([target["boxes"] for target in targets]).mean(dim=0)
    labels = torch.cat([target["labels"] for target in targets])
    frequency = torch.bincount(labels, minlength=6)[1:] / len(labels)
    x1, y1, x2, y2 = box.round().int().tolist()
    mask = torch.zeros(5, 96, 96, dtype=torch.bool)
    mask[:, y1:y2, x1:x2] = True
    everywhere = {"boxes": box.repeat(5, 1), "labels": torch.arange(1, 6), "scores": frequency, "masks": mask}
    nothing = {name: values[:0] for name, values in everywhere.items()}
    assert trivial_quality(truths, nothing) == {"box_map": 0.0, "mask_map": 0.0}
    mean_box = trivial_quality(truths, everywhere)
    for name, target in model.recipe.training.quality.targets.items():
        assert mean_box[name] < 0.05
        assert target >= 0.5


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1234, 7])
def test_tiny_training_reaches_its_targets_in_half_its_budget(seed: int) -> None:
    model = tiny(seed)
    made, (optimizer, scheduler) = model.recipe, model.configure_optimizer()
    examples = model.datasets(DataSpec(name="sample")).train
    sampler = EndlessSampler(length=len(examples), batch_size=made.training.batch_size, seed=seed)  # type: ignore[arg-type]
    loader = training_loader(examples, sampler, model.collate, workers=0, pin=False)
    assert max(quality(model).values()) < 0.05, "untrained"
    reached: dict[str, float] = {}
    for step, batch in enumerate(
        islice(loader, made.training.max_train_samples // made.training.batch_size // 2), start=1
    ):
        optimizer.zero_grad()
        model.loss(batch).backward()
        optimizer.step()
        scheduler.step()
        if step * made.training.batch_size % made.training.quality.every_samples == 0:
            reached = quality(model)
            if made.training.quality.reached(reached):
                return
    pytest.fail(f"after half the budget: {reached}")
