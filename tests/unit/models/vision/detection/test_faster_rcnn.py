from __future__ import annotations

from typing import Any

import pytest
import torch
from detector_samples import tiny_detector
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from zoo import built


def test_reference_is_torchvisions_network() -> None:
    with torch.device("meta"):
        ours: Any = built("faster_rcnn", "reference").network
        theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    counters = {name for name in theirs.state_dict() if name.endswith("num_batches_tracked")}
    shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items() if name not in counters}
    assert shapes == {name: tensor.shape for name, tensor in ours.state_dict().items()}
    assert str(ours.transform) == str(theirs.transform)
    for part in ("_pre_nms_top_n", "_post_nms_top_n", "nms_thresh", "score_thresh"):
        assert getattr(ours.rpn, part) == getattr(theirs.rpn, part)
    for part in ("fg_bg_sampler", "proposal_matcher"):
        assert vars(getattr(ours.rpn, part)) == vars(getattr(theirs.rpn, part))
        assert vars(getattr(ours.roi_heads, part)) == vars(getattr(theirs.roi_heads, part))
    assert ours.rpn.anchor_generator.sizes == theirs.rpn.anchor_generator.sizes
    assert ours.rpn.anchor_generator.aspect_ratios == theirs.rpn.anchor_generator.aspect_ratios
    for part in ("score_thresh", "nms_thresh", "detections_per_img"):
        assert getattr(ours.roi_heads, part) == getattr(theirs.roi_heads, part)
    assert str(ours.roi_heads.box_roi_pool) == str(theirs.roi_heads.box_roi_pool)
    assert vars(ours.roi_heads.box_coder) == vars(theirs.roi_heads.box_coder)


def test_loss_is_the_sum_of_torchvisions_four() -> None:
    detector = tiny_detector("faster_rcnn").train()
    batch = detector.synthetic_batch(2)
    torch.manual_seed(3)  # regions are sampled at random
    parts: Any = detector.network(batch["images"], batch["targets"])
    assert set(parts) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    torch.manual_seed(3)
    assert float(detector.loss(batch).detach()) == pytest.approx(sum(float(one.detach()) for one in parts.values()))


@torch.no_grad()
def test_boxes_are_decoded_in_float32_under_autocast() -> None:
    detector = tiny_detector("faster_rcnn").eval()
    heads: Any = detector.network.get_submodule("roi_heads")
    heads.score_thresh = 0.0
    with torch.autocast("cpu", torch.bfloat16):
        boxes = detector.detect(detector.synthetic_batch(1)["images"])[0]["boxes"]
    assert boxes.dtype == torch.float32
    assert not torch.equal(boxes, boxes.bfloat16().float()), "more digits than half precision has"
