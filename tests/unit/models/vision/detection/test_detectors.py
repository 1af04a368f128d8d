"""What holds for all detectors: made data, the backbone's weights, quality that no batch changes, honest targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from coco_samples import HEIGHT, WIDTH, instances, write
from detector_samples import DETECTORS, blind_map, imagenet_weights, tiny_detector
from language_samples import published, recipe
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.models._utils import IntermediateLayerGetter
from zoo import built

from models.datasets.base import DataError, evaluation_loader
from models.datasets.spec import DataSpec
from models.vision.detection.architecture import DetectorArchitecture
from models.vision.detection.backbone import build_resnet
from models.vision.detection.detector import Detector
from models.weights import load_weights

TRAIN_IMAGES_WITH_OBJECT, TRAIN_IMAGES = 117_266, 118_287
EXAMPLES = 5
SMALL = {"image_size": [48, 48]}


def loaded(detector: Detector, weights: dict[str, torch.Tensor]) -> None:
    load_weights(detector.network, detector.initial_weights(weights), path=Path("resnet.pth"))


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("frozen", [False, True])
def test_imagenet_weights_go_into_the_backbone(name: str, frozen: bool) -> None:
    detector, weights = tiny_detector(name, frozen=frozen), imagenet_weights()
    own = detector.network.state_dict()
    before = {key: tensor.clone() for key, tensor in own.items()}
    loaded(detector, weights)
    for key, tensor in detector.network.state_dict().items():
        source = key.removeprefix(detector.body)
        if key.startswith(detector.body):
            assert torch.equal(tensor, weights[source]), key
        else:
            assert torch.equal(tensor, before[key]), key


@pytest.mark.parametrize("name", DETECTORS)
def test_files_from_before_batch_norm_counted_are_read(name: str) -> None:
    old = {key: tensor for key, tensor in imagenet_weights().items() if not key.endswith("num_batches_tracked")}
    loaded(tiny_detector(name), old)


def test_another_network_s_weights_are_refused() -> None:
    detector = tiny_detector("faster_rcnn")
    with pytest.raises(DataError, match=r"unexpected \(backbone\.body\.encoder\.weight"):
        loaded(detector, imagenet_weights() | {"encoder.weight": torch.zeros(1)})
    with pytest.raises(DataError, match=r"1 missing \(backbone\.body\.conv1\.weight"):
        loaded(detector, {key: one for key, one in imagenet_weights().items() if key != "conv1.weight"})
    with pytest.raises(DataError, match=r"conv1\.weight \(1, 3, 7, 7\) instead of"):
        loaded(detector, imagenet_weights() | {"conv1.weight": torch.zeros(1, 3, 7, 7)})
    with pytest.raises(DataError, match=r"1 not finite \(backbone\.body\.conv1\.weight"):
        loaded(detector, imagenet_weights() | {"conv1.weight": torch.full((64, 3, 7, 7), float("nan"))})


@pytest.mark.parametrize("name", DETECTORS)
def test_a_frozen_backbone_trains_three_stages_and_no_norm(name: str) -> None:
    detector = tiny_detector(name, frozen=True)
    body = [one for key, one in detector.network.named_parameters() if key.startswith(detector.body)]
    trained = {
        key.removeprefix(detector.body).split(".")[0]
        for key, one in detector.network.named_parameters()
        if key.startswith(detector.body) and one.requires_grad
    }
    assert trained == ({"layer2"} if name == "detr" else {"layer2", "layer3"}), "the tiny ones end there"
    assert all(one.ndim == 4 for one in body), "norms have buffers alone"
    state = {key: tensor.clone() for key, tensor in detector.network.state_dict().items()}
    optimizer = detector.configure_optimizer()[0]
    detector.train().loss(detector.synthetic_batch(2)).backward()
    optimizer.step()
    changed = {key for key, tensor in detector.network.state_dict().items() if not torch.equal(tensor, state[key])}
    assert not [key for key in changed if ".bn" in key or "layer1" in key or key.split("body.")[-1] == "conv1.weight"]
    assert any("layer2" in key for key in changed)


def test_random_weights_that_are_frozen_keep_their_measure_at_full_depth() -> None:
    torch.manual_seed(0)
    resnet = build_resnet(DetectorArchitecture())
    getter = IntermediateLayerGetter(resnet, {"layer4": "0"})
    features = getter(torch.randn(1, 3, 64, 64))["0"]
    features.sum().backward()
    assert 0.05 < float(features.detach().std()) < 10
    gradients = [one.grad for one in resnet.layer2.parameters() if one.grad is not None]
    assert gradients and all(0 < float(one.norm()) < 1e6 for one in gradients)


@pytest.mark.parametrize("name", DETECTORS)
@torch.no_grad()
def test_neither_batch_nor_ranks_change_the_quality(name: str) -> None:
    pyramid = {} if name == "detr" else {"min_size": 48, "max_size": 48}
    detector = tiny_detector(name, **SMALL, **pyramid).eval()
    scores: Any = detector.network
    if hasattr(scores, "roi_heads"):
        scores.roi_heads.score_thresh = 0.0  # untrained scores are low
    if name == "retinanet":
        scores.score_thresh = 0.0
    examples = [detector.datasets(DataSpec(name="sample")).evaluation[index] for index in range(EXAMPLES)]
    examples[1]["image"] = examples[1]["image"][:, :40]  # another size: beside it, the others must not change
    for found, example in zip(detector.detect([one["image"] for one in examples]), examples, strict=True):
        best = found["scores"].argsort(descending=True)[:2]
        example["target"] |= {"boxes": found["boxes"][best], "labels": found["labels"][best]}
        example["target"] |= {"iscrowd": torch.zeros(2, dtype=torch.int64), "area": torch.ones(2)}
        example["target"].pop("masks", None)
    metric: Any = detector.metrics["box_map"]
    detector.metrics = {"box_map": metric}
    values = []
    for size, world in ((1, 1), (EXAMPLES, 1), (2, 2)):
        metric.reset()
        for rank in range(world):
            share = {"batch_size": size, "limit": None, "rank": rank, "world": world, "workers": 0}
            for batch in evaluation_loader(examples, detector.collate, **share):  # type: ignore[arg-type]
                detector.evaluate(batch)
        values.append(float(metric.compute()))
    assert values[0] == pytest.approx(values[1], abs=1e-6) == pytest.approx(values[2], abs=1e-6)
    assert values[0] > 0.1, "what is found was made the truth"


@pytest.mark.parametrize("name", DETECTORS)
def test_targets_are_far_above_predictors_that_see_nothing(name: str) -> None:
    detector = tiny_detector(name)
    data = detector.datasets(DataSpec(name="sample"))
    targets = [data.train[index]["target"] for index in range(100)]
    truths = [data.evaluation[index]["target"] for index in range(detector.recipe.training.quality.samples or 0)]
    box = torch.cat([target["boxes"] for target in targets]).mean(dim=0)
    labels = torch.cat([target["labels"] for target in targets])
    classes = detector.architecture.classes
    frequency = torch.bincount(labels, minlength=classes)[1:] / len(labels)
    answer = {"boxes": box.repeat(classes - 1, 1), "labels": torch.arange(1, classes), "scores": frequency}
    assert blind_map(truths, {key: one[:0] for key, one in answer.items()}, detector) == 0.0
    assert blind_map(truths, answer, detector) < 0.001
    assert detector.recipe.training.quality.targets["box_map"] >= 0.15


@pytest.mark.parametrize("name", DETECTORS)
def test_coco_is_trained_and_evaluated_on(name: str, tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        (tmp_path / f"{split}2017").mkdir()
        write(tmp_path, split, instances())
        for image in instances()["images"]:
            Image.new("RGB", (WIDTH, HEIGHT), (90, 60, 30)).save(tmp_path / f"{split}2017" / image["file_name"])
    coarse = {"stage": 4} if name == "detr" else {}  # its images become large
    detector = tiny_detector(name, classes=91, **coarse)
    data: Any = detector.datasets(DataSpec(name="dataset", root=str(tmp_path)))
    assert len(data.train) == (5 if name == "detr" else 3), "DETR trains on images without objects too"
    torch.manual_seed(0)
    batch = next(iter(DataLoader(data.train, batch_size=2, collate_fn=detector.collate, num_workers=1)))
    assert ("masks" in batch["targets"][0]) == (name == "mask_rcnn")
    assert bool(detector.train().loss(batch).isfinite())
    shorter = min(data.evaluation[0]["image"].shape[1:])
    assert shorter == (800 if name == "detr" else HEIGHT)
    detector.eval()
    with torch.no_grad():
        detector.evaluate(detector.collate([data.evaluation[0]]))
    assert 0.0 <= float(detector.metrics["box_map"].compute()) <= 1.0


@pytest.mark.parametrize(
    ("name", "target", "batch", "images", "epochs"),
    [
        ("faster_rcnn", 0.36, 2, TRAIN_IMAGES_WITH_OBJECT, 26),
        ("mask_rcnn", 0.38, 16, TRAIN_IMAGES_WITH_OBJECT, 26),
        ("retinanet", 0.35, 16, TRAIN_IMAGES_WITH_OBJECT, 26),
        ("detr", 0.42, 8, TRAIN_IMAGES, 300),
    ],
)
def test_published_recipes(name: str, target: float, batch: int, images: int, epochs: int) -> None:
    made = recipe(name, "reference").training
    assert made.quality.targets["box_map"] == target
    assert made.batch_size == batch
    assert made.max_train_samples == epochs * images
    steps = images // (8 * batch)
    drops = (200,) if name == "detr" else (16, 22)
    assert made.schedule.milestones == tuple(epoch * steps for epoch in drops)
    assert made.schedule.gammas == (0.1, 0.01)[: len(drops)]
    assert made.batching.by == ("rows" if name == "detr" else "aspect")


@pytest.mark.parametrize("name", DETECTORS)
def test_the_published_number_of_parameters(name: str) -> None:
    wanted = {"faster_rcnn": 41_755_286, "mask_rcnn": 44_401_393, "retinanet": 34_014_999, "detr": 41_524_768}[name]
    with torch.device("meta"):
        network = reference(name).network
    assert sum(one.numel() for one in network.parameters()) == wanted
    told = published(name).parameters
    assert told is not None and told.value == wanted
    if name == "detr":  # what facebookresearch/detr prints as `number of params`
        assert sum(one.numel() for one in network.parameters() if one.requires_grad) == 41_302_368


def reference(name: str) -> Detector:
    detector = built(name, "reference")
    assert isinstance(detector, Detector)
    return detector
