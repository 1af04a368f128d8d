from __future__ import annotations

import pytest
import torch
from mask_rcnn_samples import recipe, tiny
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet50
from torchvision.models.detection import maskrcnn_resnet50_fpn

from models.vision.detection.mask_rcnn import MaskRcnn

TORCHVISION_PARAMETERS, TORCHVISION_GIGA_MULTIPLY_ADDS = 44_401_393, 134.38
"""torchvision's MaskRCNN_ResNet50_FPN_Weights.COCO_V1: `num_params` and `_ops`, an 800x800 image."""


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_reference_is_torchvisions_network() -> None:
    with torch.device("meta"):
        ours = MaskRcnn(recipe("reference")).network
        theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    counters = {name for name in theirs.state_dict() if name.endswith("num_batches_tracked")}  # of norms not frozen
    shapes = {name: tensor.shape for name, tensor in ours.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in theirs.state_dict().items() if name not in counters}
    assert str(ours.transform) == str(theirs.transform)
    for part in ("_pre_nms_top_n", "_post_nms_top_n", "nms_thresh", "fg_bg_sampler"):
        ours_part, theirs_part = (getattr(network.rpn, part) for network in (ours, theirs))
        assert getattr(ours_part, "__dict__", ours_part) == getattr(theirs_part, "__dict__", theirs_part)
    assert ours.rpn.anchor_generator.sizes == theirs.rpn.anchor_generator.sizes
    assert vars(ours.roi_heads.fg_bg_sampler) == vars(theirs.roi_heads.fg_bg_sampler)
    assert ours.roi_heads.detections_per_img == theirs.roi_heads.detections_per_img
    assert str(ours.roi_heads.mask_roi_pool) == str(theirs.roi_heads.mask_roi_pool)


def test_torchvisions_resnet50_fits_the_reference_and_leaves_the_heads_alone() -> None:
    with torch.device("meta"):
        model = MaskRcnn(recipe("reference"))
        weights = resnet50(weights=None).state_dict()
    assert parameters(model.network) == TORCHVISION_PARAMETERS
    own, initial = model.network.state_dict(), model.initial_weights(weights)
    assert {name: one.shape for name, one in initial.tensors.items()} == {
        name: one.shape for name, one in own.items() if name.startswith("backbone.body.")
    }
    assert initial.tensors.keys() | set(initial.may_lack) == own.keys()
    body = model.network.backbone.body
    trained = {name.split(".")[0] for name, parameter in body.named_parameters() if parameter.requires_grad}
    assert trained == {"layer2", "layer3", "layer4"}


def test_architecture_is_checked() -> None:
    with pytest.raises(ValidationError, match="channels_of_pyramid"):
        tiny(channels_of_pyramid=3)
    with pytest.raises(ValidationError, match="one size per level"):
        tiny(anchor_sizes=[8, 16])


@pytest.mark.heavy
def test_flops_of_reference_inference_match_torchvisions() -> None:
    torch.manual_seed(0)
    network = MaskRcnn(recipe("reference")).network.eval()
    network.roi_heads.score_thresh = 1.0  # the published count is of noise: no detection, so no mask
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        detections = network([torch.rand(3, 512, 512)])
    assert len(detections[0]["boxes"]) == 0
    assert counter.get_total_flops() == pytest.approx(2e9 * TORCHVISION_GIGA_MULTIPLY_ADDS, rel=0.01)
