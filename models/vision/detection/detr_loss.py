"""DETR's loss: each object is assigned to one query so that the whole is cheapest, and each query learns its answer.

Source: facebookresearch/detr, models/matcher.py and models/detr.py (SetCriterion), with its defaults.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, distributed
from torch.nn.functional import cross_entropy, l1_loss
from torchvision.ops import box_convert, generalized_box_iou, generalized_box_iou_loss

from models.vision.detection.detr_network import Answers

CLASS_COST, BOX_COST, OVERLAP_COST = 1.0, 5.0, 2.0
"""Of the class's probability, the box's absolute error and its generalised IoU: in the assignment and in the loss."""
NOTHING_WEIGHT = 0.1
"""Weight of the class `nothing` in the cross entropy; most queries are to find nothing."""
IMPOSSIBLE = 1e6
"""Cost in place of one that is no number: the loss will be none either, and says so itself."""


class Objects(NamedTuple):
    """The objects of a batch, image after image."""

    labels: Tensor
    """Int64 [objects]."""
    boxes: Tensor
    """Float32 [objects, 4]: centre, width and height as shares of the image's size."""
    counts: list[int]
    """Objects of each image."""


class Assignment(NamedTuple):
    """Which query of which layer and image stands for which object of the batch; indices of equal length."""

    layer: Tensor
    image: Tensor
    query: Tensor
    target: Tensor


def objects_of(images: list[Tensor], targets: list[dict[str, Tensor]]) -> Objects:
    """Labels, and boxes in pixels (x1, y1, x2, y2) as the network answers them."""
    boxes = [
        box_convert(target["boxes"].float(), "xyxy", "cxcywh") / width_height(image)
        for image, target in zip(images, targets, strict=True)
    ]
    labels = torch.cat([target["labels"] for target in targets])
    return Objects(labels, torch.cat(boxes), [len(one) for one in boxes])


def width_height(image: Tensor) -> Tensor:
    """[width, height, width, height], filled on the device: a copy from the host would wait."""
    height, width = image.shape[-2:]
    sides = torch.full((4,), float(width), device=image.device)
    sides[1::2] = height
    return sides


def set_loss(answers: Answers, objects: Objects, *, over_ranks: bool = True) -> Tensor:
    """The sum over the decoder's layers of cross entropy, absolute error and generalised IoU, weighed as published.

    Args:
        answers: of the network.
        objects: what is in the images.
        over_ranks: divide by the ranks' mean number of objects; all of them compute a loss then. Else by this one's.
    """
    logits, boxes = answers
    chosen = assign(answers, objects)
    wanted = torch.full(logits.shape[:-1], logits.shape[-1] - 1, device=logits.device)
    wanted[chosen.layer, chosen.image, chosen.query] = objects.labels[chosen.target]
    weight = torch.ones(logits.shape[-1], device=logits.device)
    weight[-1] = NOTHING_WEIGHT
    entropy = cross_entropy(logits.flatten(0, 2), wanted.flatten(), weight, reduction="none").view(wanted.shape)
    classes = (entropy.sum(dim=(1, 2)) / weight[wanted].sum(dim=(1, 2))).sum()
    found, right = boxes[chosen.layer, chosen.image, chosen.query], objects.boxes[chosen.target]
    distance = l1_loss(found, right, reduction="sum")
    corners = (box_convert(one, "cxcywh", "xyxy") for one in (found, right))
    apart: Tensor = generalized_box_iou_loss(*corners, reduction="sum", eps=0.0)
    count = mean_objects(objects, boxes.device, over_ranks=over_ranks)
    return CLASS_COST * classes + (BOX_COST * distance + OVERLAP_COST * apart) / count


def mean_objects(objects: Objects, device: torch.device, *, over_ranks: bool) -> Tensor:
    """Objects of all ranks' batches ÷ ranks, at least 1: the loss of a rank with few objects weighs as little.

    A collective of one number; every rank computes its loss as often as every other.
    """
    total = torch.full((), float(sum(objects.counts)), device=device)
    if over_ranks and distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(total)
        total = total / distributed.get_world_size()
    return total.clamp(min=1)


@torch.no_grad()
def assign(answers: Answers, objects: Objects) -> Assignment:
    """The cheapest assignment of queries to objects, layer by layer and image by image.

    The costs of all layers come to the host at once: the one place where a training step waits for the device, as every
    implementation with SciPy's solver does.
    """
    logits, boxes = answers
    by_query = boxes.flatten(0, 2)
    likely = logits.softmax(dim=-1).flatten(0, 2)[:, objects.labels]
    overlap = generalized_box_iou(*(box_convert(one, "cxcywh", "xyxy") for one in (by_query, objects.boxes)))
    distance = torch.cdist(by_query, objects.boxes, p=1)
    cost = BOX_COST * distance - CLASS_COST * likely - OVERLAP_COST * overlap
    table = cost.view(*logits.shape[:3], -1).nan_to_num(IMPOSSIBLE, IMPOSSIBLE, -IMPOSSIBLE).cpu().numpy()
    rows: list[tuple[int, int, int, int]] = []
    first = 0
    for image, count in enumerate(objects.counts):
        for layer in range(len(table)):
            pairs = zip(*linear_sum_assignment(table[layer, image, :, first : first + count]), strict=True)
            rows += [(layer, image, query, first + target) for query, target in pairs]
        first += count
    indices = torch.tensor(rows, dtype=torch.int64, device="cpu").view(-1, 4).to(logits.device)
    return Assignment(*indices.unbind(dim=1))
