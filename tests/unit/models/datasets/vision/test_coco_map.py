from __future__ import annotations

import contextlib
import io
import json
import math
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from models.datasets.vision.coco_map import CocoMeanAveragePrecision

Kind = Literal["bbox", "segm"]
KINDS: list[Kind] = ["bbox", "segm"]
SIDE = 64
Item = dict[str, Tensor]


def item(boxes: list[list[int]], labels: list[int], image_id: int = 0, **fields: list[float]) -> Item:
    """Boxes and the masks that fill them."""
    masks = torch.zeros(len(boxes), SIDE, SIDE, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = 1
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "masks": masks,
        "area": masks.sum(dim=(1, 2)).float(),
        "iscrowd": torch.zeros(len(boxes), dtype=torch.int64),
        "image_id": torch.tensor([image_id]),
        **{name: torch.tensor(values) for name, values in fields.items()},
    }


def found(boxes: list[list[int]], labels: list[int], scores: list[float]) -> Item:
    """Detections as torchvision gives them: masks are probabilities, [M, 1, H, W]."""
    plain = item(boxes, labels)
    masks = plain["masks"][:, None].float() * 0.9
    return {"boxes": plain["boxes"], "labels": plain["labels"], "masks": masks, "scores": torch.tensor(scores)}


def score(kind: Kind, predictions: list[Item], targets: list[Item]) -> float:
    metric = CocoMeanAveragePrecision(kind)
    metric.update(predictions, targets)
    return float(metric.compute())


TRUTH = [item([[0, 0, 20, 20], [30, 30, 60, 50]], [1, 2], 0), item([[5, 5, 40, 30]], [1], 1)]
NOTHING = found([], [], [])


@pytest.mark.parametrize("kind", KINDS)
def test_perfect_detections_score_one(kind: Kind) -> None:
    perfect = [
        found(truth["boxes"].int().tolist(), truth["labels"].tolist(), [0.9] * len(truth["labels"])) for truth in TRUTH
    ]
    assert score(kind, perfect, TRUTH) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_no_detection_scores_zero(kind: Kind) -> None:
    assert score(kind, [NOTHING, NOTHING], TRUTH) == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_class_scores_zero(kind: Kind) -> None:
    wrong = [found([[0, 0, 20, 20], [30, 30, 60, 50]], [2, 1], [0.9, 0.9]), NOTHING]
    assert score(kind, wrong, TRUTH) == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_overlap_decides_at_how_many_thresholds_it_counts(kind: Kind) -> None:
    # 20x20 against 20x15: overlap 0.75 meets the thresholds .5 to .75, six of ten
    truth = [item([[0, 0, 20, 20]], [1])]
    assert score(kind, [found([[0, 0, 20, 15]], [1], [0.9])], truth) == pytest.approx(0.6, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_false_positive_on_an_image_without_objects_counts(kind: Kind) -> None:
    truth = [item([[0, 0, 20, 20]], [1], 0), item([], [], 1)]
    right = found([[0, 0, 20, 20]], [1], [0.5])
    assert score(kind, [right, NOTHING], truth) == pytest.approx(1.0)
    assert score(kind, [right, found([[0, 0, 9, 9]], [1], [0.9])], truth) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_crowd_counts_neither_way(kind: Kind) -> None:
    truth = [item([[0, 0, 20, 20], [30, 0, 60, 60]], [1, 1], iscrowd=[0, 1])]
    several_in_crowd = found([[0, 0, 20, 20], [32, 2, 40, 10], [45, 30, 55, 50]], [1, 1, 1], [0.5, 0.9, 0.8])
    assert score(kind, [several_in_crowd], truth) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_without_ground_truth_the_mean_is_undefined(kind: Kind) -> None:
    assert math.isnan(score(kind, [found([[0, 0, 9, 9]], [1], [0.9])], [item([], [])]))
    assert math.isnan(score(kind, [NOTHING], [item([[0, 0, 9, 9]], [1], iscrowd=[1])]))


def test_metric_moves_resets_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    metric = CocoMeanAveragePrecision("segm")
    metric.update([NOTHING], TRUTH[:1])
    metric.to(torch.device("cpu"))
    assert float(metric.compute()) == 0.0
    metric.reset()
    assert metric.images == []
    assert capsys.readouterr().out == ""


def random_case(seed: int, images: int = 12) -> tuple[list[Item], list[Item]]:
    """Ground truth with crowds and empty images, detections that are partly off; scores have ties."""
    random = np.random.default_rng(seed)
    truths, detections = [], []
    for number in range(images):
        count = int(random.integers(0, 4))
        corners = random.integers(0, 30, size=(count, 2))
        boxes = np.concatenate([corners, corners + random.integers(8, 30, size=(count, 2))], axis=1)
        labels = random.integers(1, 4, size=count)
        truths.append(
            item(boxes.tolist(), labels.tolist(), number, iscrowd=(random.random(count) < 0.2).astype(int).tolist())
        )
        guesses = np.concatenate([np.clip(boxes + random.integers(-3, 4, size=boxes.shape), 0, SIDE), [[1, 1, 12, 12]]])
        guessed = [*labels.tolist(), int(random.integers(1, 4))]
        detections.append(found(guesses.tolist(), guessed, random.choice([0.3, 0.6, 0.9], size=count + 1).tolist()))
    return detections, truths


def official(kind: Kind, detections: list[Item], truths: list[Item], folder: Path) -> float:
    """pycocotools as COCO's own instructions use it: an annotation file and a list of results."""
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, (guess, truth) in enumerate(zip(detections, truths, strict=True)):
        for row in range(len(truth["labels"])):
            x1, y1, x2, y2 = truth["boxes"][row].tolist()
            code = rle.encode(np.asfortranarray(truth["masks"][row].numpy()))
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": int(truth["labels"][row])}
                | {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": float(truth["area"][row])}
                | {"iscrowd": int(truth["iscrowd"][row]), "segmentation": {**code, "counts": code["counts"].decode()}}
            )
        for row in range(len(guess["labels"])):
            x1, y1, x2, y2 = guess["boxes"][row].tolist()
            shape: dict[str, Any] = {"bbox": [x1, y1, x2 - x1, y2 - y1]}
            if kind == "segm":
                shape = {"segmentation": rle.encode(np.asfortranarray((guess["masks"][row, 0] > 0.5).byte().numpy()))}
            ids = {"image_id": number, "category_id": int(guess["labels"][row]), "score": float(guess["scores"][row])}
            results.append({**ids, **shape})
    images = [{"id": number, "height": SIDE, "width": SIDE} for number in range(len(truths))]
    categories = [{"id": category, "name": str(category)} for category in range(1, 81)]
    file = folder / "truth.json"
    file.write_text(json.dumps({"info": {}, "images": images, "annotations": annotations, "categories": categories}))
    with contextlib.redirect_stdout(io.StringIO()):
        truth_index = COCO(str(file))
        evaluation = COCOeval(truth_index, truth_index.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_the_official_evaluation(kind: Kind, seed: int, tmp_path: Path) -> None:
    detections, truths = random_case(seed)
    expected = official(kind, detections, truths, tmp_path)
    assert 0.05 < expected < 0.95
    assert score(kind, detections, truths) == pytest.approx(expected, abs=1e-6)


def evaluate_share(rank: int, world: int, images: int, folder: str) -> None:
    """One rank: every `world`-th image, then both metrics."""
    warnings.simplefilter("ignore")  # a rank without images computes without an update, on purpose
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    detections, truths = random_case(3, images)
    answers = {}
    for kind in KINDS:
        metric = CocoMeanAveragePrecision(kind)
        for number in range(rank, images, world):
            metric.update([detections[number]], [truths[number]])
        answers[kind] = float(metric.compute())
        assert len(metric.images) == len(range(rank, images, world)), "the rank keeps its own images"
    Path(folder, f"rank{rank}.json").write_text(json.dumps(answers))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(("world", "images"), [(2, 7), (3, 2)])
def test_ranks_with_unequal_shares_agree_with_one_process(world: int, images: int, tmp_path: Path) -> None:
    arguments = (world, images, str(tmp_path))
    torch.multiprocessing.start_processes(evaluate_share, arguments, nprocs=world, start_method="fork")
    expected = {kind: score(kind, *random_case(3, images)) for kind in KINDS}
    for rank in range(world):
        assert json.loads((tmp_path / f"rank{rank}.json").read_text()) == pytest.approx(expected)
