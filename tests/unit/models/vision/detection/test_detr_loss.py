"""The set loss against transformers' and against a count by hand that shares no code with it."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from detector_samples import tiny_detector
from torch import Tensor
from torchvision.ops import box_convert

from models.vision.detection import detr_loss
from models.vision.detection.detr_loss import Objects, assign, objects_of, set_loss
from models.vision.detection.detr_network import Answers

LAYERS, IMAGES, QUERIES, CLASSES = 2, 3, 4, 5
COUNTS = [2, 0, 3]


def answers(seed: int = 0) -> Answers:
    torch.manual_seed(seed)
    logits = torch.randn(LAYERS, IMAGES, QUERIES, CLASSES + 1)
    boxes = torch.rand(LAYERS, IMAGES, QUERIES, 4) * 0.4 + 0.1
    return Answers(logits.requires_grad_(), boxes.requires_grad_())


def objects() -> Objects:
    torch.manual_seed(9)
    return Objects(torch.tensor([1, 3, 0, 2, 2]), torch.rand(5, 4) * 0.4 + 0.1, COUNTS)


def overlap(one: list[float], other: list[float]) -> float:
    """Generalised IoU of two boxes by centre and size, in plain numbers."""
    (l1, t1, r1, b1), (l2, t2, r2, b2) = ((x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in (one, other))
    shared = max(0.0, min(r1, r2) - max(l1, l2)) * max(0.0, min(b1, b2) - max(t1, t2))
    union = (r1 - l1) * (b1 - t1) + (r2 - l2) * (b2 - t2) - shared
    hull = (max(r1, r2) - min(l1, l2)) * (max(b1, b2) - min(t1, t2))
    return shared / union - (hull - union) / hull


@torch.no_grad()
def by_hand(given: Answers, wanted: Objects) -> tuple[float, set[tuple[int, int, int, int]]]:
    """Loss and assignment (layer, image, query, object), by trying every assignment."""
    total, chosen = 0.0, set()
    labels, truth = wanted.labels.tolist(), wanted.boxes.double().tolist()
    for layer in range(LAYERS):
        right_class = [[CLASSES] * QUERIES for _ in range(IMAGES)]
        boxes_loss, first = 0.0, 0
        for image, count in enumerate(wanted.counts):
            likely = given.logits[layer, image].double().softmax(-1).tolist()
            boxes = given.boxes[layer, image].double().tolist()

            def apart(query: int, target: int, boxes: Any = boxes) -> tuple[float, float]:
                pairs = zip(boxes[query], truth[target], strict=True)
                return sum(abs(a - b) for a, b in pairs), overlap(boxes[query], truth[target])

            def cost(queries: tuple[int, ...], first: int = first, likely: Any = likely, apart: Any = apart) -> float:
                parts = [
                    (likely[query][labels[first + number]], *apart(query, first + number))
                    for number, query in enumerate(queries)
                ]
                return sum(5 * distance - chance - 2 * shared for chance, distance, shared in parts)

            best = min(permutations(range(QUERIES), count), key=cost)
            for number, query in enumerate(best):
                right_class[image][query] = labels[first + number]
                distance, shared = apart(query, first + number)
                boxes_loss += 5 * distance + 2 * (1 - shared)
                chosen.add((layer, image, query, first + number))
            first += count
        chances = given.logits[layer].double().log_softmax(-1)
        weights = [0.1 if label == CLASSES else 1.0 for row in right_class for label in row]
        terms = [-float(chances[i, q, right_class[i][q]]) for i in range(IMAGES) for q in range(QUERIES)]
        total += sum(w * term for w, term in zip(weights, terms, strict=True)) / sum(weights)
        total += boxes_loss / sum(wanted.counts)
    return total, chosen


@pytest.mark.parametrize("seed", range(4))
def test_loss_and_assignment_are_those_by_hand(seed: int) -> None:
    given, wanted = answers(seed), objects()
    loss, chosen = by_hand(given, wanted)
    assert set(zip(*(one.tolist() for one in assign(given, wanted)), strict=True)) == chosen
    assert float(set_loss(given, wanted).detach()) == pytest.approx(loss, rel=1e-5)


def test_loss_is_that_of_transformers() -> None:
    from transformers.loss.loss_for_object_detection import ForObjectDetectionLoss

    given, wanted = answers(), objects()
    names = {"class_cost": 1, "bbox_cost": 5, "giou_cost": 2, "bbox_loss_coefficient": 5, "giou_loss_coefficient": 2}
    config = SimpleNamespace(
        **names, num_labels=CLASSES, eos_coefficient=0.1, auxiliary_loss=True, decoder_layers=LAYERS
    )
    labels = [
        {"class_labels": one, "boxes": box}
        for one, box in zip(wanted.labels.split(COUNTS), wanted.boxes.split(COUNTS), strict=True)
    ]
    logits, boxes = given
    theirs, _, _ = ForObjectDetectionLoss(logits[-1], labels, "cpu", boxes[-1], config, logits, boxes)
    assert float(set_loss(given, wanted).detach()) == pytest.approx(float(theirs.detach()), rel=1e-5)


def test_every_answer_gets_a_gradient_even_without_objects() -> None:
    given = answers()
    empty = Objects(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), [0] * IMAGES)
    set_loss(given, empty).backward()
    assert given.logits.grad is not None and bool(given.logits.grad.abs().sum() > 0)
    assert given.boxes.grad is not None and float(given.boxes.grad.abs().sum()) == 0.0


def test_more_objects_than_queries_leave_some_out() -> None:
    many = Objects(torch.zeros(6, dtype=torch.int64), torch.rand(6, 4) * 0.3 + 0.2, [6, 0, 0])
    chosen = assign(answers(), many)
    assert len(chosen.target) == LAYERS * QUERIES
    assert bool(set_loss(answers(), many).isfinite())


def test_a_loss_that_is_no_number_says_so_itself() -> None:
    given = answers()
    broken = Answers(given.logits.detach().index_fill(1, torch.tensor([0]), float("nan")), given.boxes)
    assert bool(set_loss(broken, objects()).isnan())


def test_boxes_are_divided_by_the_ranks_mean_number_of_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 5 objects here and 11 on the other rank each rank divides by 8."""
    given, wanted = answers(), objects()

    alone = float(set_loss(given, wanted).detach())
    monkeypatch.setattr(detr_loss.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(detr_loss.distributed, "get_world_size", lambda: 2)

    def add_other_rank(total: Tensor) -> None:
        total += 11

    monkeypatch.setattr(detr_loss.distributed, "all_reduce", add_other_rank)
    assert float(detr_loss.mean_objects(wanted, torch.device("cpu"), over_ranks=True)) == 8.0
    shared = float(set_loss(given, wanted).detach())
    monkeypatch.setattr(detr_loss.distributed, "all_reduce", lambda total: total.fill_(1e30))
    classes = float(set_loss(given, wanted).detach())
    assert (shared - classes) == pytest.approx((alone - classes) * 5 / 8, rel=1e-5)


def test_one_rank_that_counts_waits_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = tiny_detector("detr").train()
    batch = detector.synthetic_batch(2)
    monkeypatch.setattr(detr_loss.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(detr_loss.distributed, "get_world_size", lambda: 2)
    asked: list[Tensor] = []
    monkeypatch.setattr(detr_loss.distributed, "all_reduce", asked.append)
    with detector.counting():
        detector.loss(batch)
    assert not asked
    detector.loss(batch)
    assert len(asked) == 1


def test_boxes_become_shares_of_their_own_image() -> None:
    images = [torch.zeros(3, 100, 200), torch.zeros(3, 50, 40)]
    boxes = torch.tensor([[20.0, 10.0, 60.0, 50.0]]), torch.tensor([[0.0, 0.0, 40.0, 50.0]])
    targets = [{"boxes": box, "labels": torch.tensor([3])} for box in boxes]
    made = objects_of(images, targets)
    assert torch.allclose(made.boxes, torch.tensor([[0.2, 0.3, 0.2, 0.4], [0.5, 0.5, 1.0, 1.0]]))
    assert made.counts == [1, 1] and made.labels.tolist() == [3, 3]
    assert box_convert(made.boxes[:1], "cxcywh", "xyxy")[0].tolist() == pytest.approx([0.1, 0.1, 0.3, 0.5])
