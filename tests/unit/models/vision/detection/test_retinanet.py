from __future__ import annotations

from typing import Any

import pytest
import torch
from detector_samples import tiny_detector
from pydantic import ValidationError
from torchvision.models.detection import retinanet_resnet50_fpn
from torchvision.ops import sigmoid_focal_loss
from zoo import built


def test_reference_is_torchvisions_network() -> None:
    with torch.device("meta"):
        ours: Any = built("retinanet", "reference").network
        theirs = retinanet_resnet50_fpn(weights=None, weights_backbone=None)
    counters = {name for name in theirs.state_dict() if name.endswith("num_batches_tracked")}
    shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items() if name not in counters}
    assert shapes == {name: tensor.shape for name, tensor in ours.state_dict().items()}
    assert str(ours.transform) == str(theirs.transform)
    assert ours.anchor_generator.sizes == theirs.anchor_generator.sizes
    assert ours.anchor_generator.aspect_ratios == theirs.anchor_generator.aspect_ratios
    assert vars(ours.proposal_matcher) == vars(theirs.proposal_matcher)
    for part in ("score_thresh", "nms_thresh", "detections_per_img", "topk_candidates"):
        assert getattr(ours, part) == getattr(theirs, part)


def test_focal_loss_of_an_image_without_objects_by_hand() -> None:
    """All anchors are background: each score's focal loss with alpha 0.25 and gamma 2, summed."""
    detector = tiny_detector("retinanet").train()
    batch = detector.synthetic_batch(1)
    batch["targets"] = [{name: values[:0] for name, values in batch["targets"][0].items()}]
    heard: list[torch.Tensor] = []
    head: Any = detector.network.get_submodule("head")
    head.register_forward_hook(lambda _, __, out: heard.append(out["cls_logits"].detach()))
    loss = float(detector.loss(batch).detach())
    likely = heard[0].double().sigmoid()
    by_hand = (-0.75 * likely**2 * (1 - likely).log()).sum()
    assert loss == pytest.approx(float(by_hand), rel=1e-4)
    assert loss == pytest.approx(float(sigmoid_focal_loss(heard[0], torch.zeros_like(heard[0]), reduction="sum")))


@torch.no_grad()
def test_boxes_are_decoded_in_float32_under_autocast() -> None:
    detector = tiny_detector("retinanet").eval()
    network: Any = detector.network
    network.score_thresh = 0.0
    with torch.autocast("cpu", torch.bfloat16):
        boxes = detector.detect(detector.synthetic_batch(1)["images"])[0]["boxes"]
    assert boxes.dtype == torch.float32
    assert not torch.equal(boxes, boxes.bfloat16().float()), "more digits than half precision has"


def test_architecture_is_checked() -> None:
    with pytest.raises(ValidationError, match="two for those added"):
        tiny_detector("retinanet", anchor_sizes=[8, 16])
