"""DETR's network against transformers' with the same weights, and its parts against plain formulas."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from detector_samples import tiny_detector
from torch import Tensor
from zoo import built

from models.datasets.vision.images import IMAGENET_MEAN, IMAGENET_STD
from models.vision.detection.detr_network import Detr, DetrArchitecture, padded, sine_positions

SMALL = DetrArchitecture(classes=5, hidden=32, heads=4, encoder_layers=2, decoder_layers=2, intermediate=48, queries=6)
RENAMED = [
    (r"^model\.backbone\.model\.", "backbone.0.body."),
    (r"^model\.input_projection", "input_proj"),
    (r"^model\.query_position_embeddings", "query_embed"),
    (r"^model\.encoder", "transformer.encoder"),
    (r"^model\.decoder\.layernorm", "transformer.decoder.norm"),
    (r"^model\.decoder", "transformer.decoder"),
    (r"^class_labels_classifier", "class_embed"),
    (r"^bbox_predictor", "bbox_embed"),
    (r"encoder_attn_layer_norm", "norm2"),
    (r"encoder_attn", "multihead_attn"),
    (r"self_attn_layer_norm", "norm1"),
    (r"o_proj", "out_proj"),
    (r"mlp\.fc", "linear"),
]


def in_our_names(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """transformers' tensors by facebookresearch's names; the three projections of an attention are one there."""
    ours: dict[str, Tensor] = {}
    for name, tensor in theirs.items():
        for pattern, new in RENAMED:
            name = re.sub(pattern, new, name)  # noqa: PLW2901
        if "final_layer_norm" in name:
            name = name.replace("final_layer_norm", "norm3" if ".decoder." in name else "norm2")  # noqa: PLW2901
        if part := re.search(r"\.([qkv])_proj\.(weight|bias)$", name):
            joined = f"{name[: part.start()]}.in_proj_{part[2]}"
            if part[1] == "q":
                places = (name.replace(".q_proj.", f".{one}_proj.") for one in "qkv")
                sources = {renamed(key): value for key, value in theirs.items()}
                ours[joined] = torch.cat([sources[place] for place in places])
            continue
        ours[name] = tensor
    return ours


def renamed(name: str) -> str:
    for pattern, new in RENAMED:
        name = re.sub(pattern, new, name)
    return name


@torch.no_grad()
def test_answers_are_those_of_transformers() -> None:
    from transformers import DetrConfig, DetrForObjectDetection, TimmBackboneConfig

    torch.manual_seed(0)
    backbone = TimmBackboneConfig(backbone="resnet50", use_pretrained_backbone=False, out_indices=[1, 2, 3, 4])
    config = DetrConfig(
        backbone_config=backbone,
        num_labels=SMALL.classes,
        d_model=SMALL.hidden,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        num_queries=6,
    )
    theirs: Any = DetrForObjectDetection(config).eval()
    for name, buffer in theirs.named_buffers():
        if name.endswith(("bn1.weight", "bn2.weight", "bn3.weight", "running_var")):
            buffer.uniform_(0.3, 0.6)
    ours = Detr(SMALL).eval()
    weights = in_our_names(theirs.state_dict())
    missing, unexpected = ours.load_state_dict(weights, strict=False)
    assert not missing and not unexpected
    images = [torch.rand(3, 64, 96), torch.rand(3, 80, 64)]
    pixels = torch.zeros(2, 3, 80, 96)
    seen = torch.zeros(2, 80, 96, dtype=torch.int64)
    mean, deviation = (torch.tensor(one)[:, None, None] for one in (IMAGENET_MEAN, IMAGENET_STD))
    for row, image in enumerate(images):
        pixels[row, :, : image.shape[1], : image.shape[2]] = (image - mean) / deviation
        seen[row, : image.shape[1], : image.shape[2]] = 1
    wanted = theirs(pixel_values=pixels, pixel_mask=seen)
    given = ours(images)
    assert torch.allclose(given.logits[-1], wanted.logits, atol=1e-4)
    assert torch.allclose(given.boxes[-1], wanted.pred_boxes, atol=1e-4)


def test_positions_are_waves_of_the_place_in_the_image() -> None:
    padding = torch.ones(1, 5, 6, dtype=torch.bool)
    padding[:, :3, :4] = False
    made = sine_positions(padding, 8)
    assert made.shape == (1, 8, 5, 6)
    for row in range(3):
        for column in range(4):
            waves = []
            for share in ((row + 1) / (3 + 1e-6), (column + 1) / (4 + 1e-6)):
                for slow in (1.0, 10_000 ** (2 / 4)):
                    angle = 2 * math.pi * share / slow
                    waves += [math.sin(angle), math.cos(angle)]
            assert made[0, :, row, column].tolist() == pytest.approx(waves, abs=1e-5)


def test_padding_is_zero_and_marked() -> None:
    pixels, padding = padded([torch.ones(3, 2, 5), torch.ones(3, 4, 3)])
    assert pixels.shape == (2, 3, 4, 5) and padding.shape == (2, 4, 5)
    assert torch.equal(pixels[:, 0] == 0, padding)
    assert padding.sum(dim=(1, 2)).tolist() == [10, 8]


@torch.no_grad()
def test_no_query_looks_at_padding() -> None:
    """What lies in the padding of the feature map changes nothing."""
    torch.manual_seed(0)
    transformer = Detr(SMALL).eval().transformer
    features, places = torch.rand(1, 32, 3, 4), torch.rand(1, 32, 3, 4)
    padding = torch.zeros(1, 3, 4, dtype=torch.bool)
    padding[:, :, 3] = True
    queries = torch.rand(6, 32)
    one = transformer(features, padding, places, queries)
    features[:, :, :, 3] += 5
    assert torch.allclose(one, transformer(features, padding, places, queries), atol=1e-6)
    features[:, :, :, 2] += 5
    assert not torch.allclose(one, transformer(features, padding, places, queries), atol=1e-3)


def test_dropout_is_everywhere_the_original_has_it() -> None:
    network = Detr(SMALL)
    layers = [module for module in network.modules() if isinstance(module, torch.nn.Dropout)]
    assert {one.p for one in layers} == {0.1} and len(layers) == 4
    attention = [module for module in network.modules() if isinstance(module, torch.nn.MultiheadAttention)]
    assert {one.dropout for one in attention} == {0.1} and len(attention) == 6


def test_reference_has_the_names_of_the_published_checkpoint() -> None:
    with torch.device("meta"):
        names = set(built("detr", "reference").network.state_dict())
    published = {
        "transformer.encoder.layers.5.self_attn.in_proj_weight",
        "transformer.decoder.layers.5.multihead_attn.out_proj.bias",
        "transformer.decoder.layers.0.norm3.weight",
        "transformer.decoder.norm.bias",
        "class_embed.weight",
        "bbox_embed.layers.2.bias",
        "query_embed.weight",
        "input_proj.weight",
        "backbone.0.body.layer4.2.bn3.running_var",
    }
    assert published <= names


def test_backbone_learns_at_a_tenth_of_the_rate() -> None:
    with torch.device("meta"):
        detector = built("detr", "reference")
        groups = detector.configure_optimizer()[0].param_groups
    assert sorted((group["initial_lr"], group["weight_decay"]) for group in groups) == [(1e-5, 1e-4), (1e-4, 1e-4)]
    assert detector.recipe.training.max_grad_norm == 0.1


def test_every_trained_parameter_learns_from_one_step() -> None:
    detector = tiny_detector("detr").train()
    detector.loss(detector.synthetic_batch(2)).backward()
    unused = [name for name, one in detector.network.named_parameters() if one.grad is None]
    assert unused == [], "the stages beyond the one that is seen are not built"
