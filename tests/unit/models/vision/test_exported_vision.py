"""Every vision model that is served, tiny, leaves the framework as ONNX and answers there as it did."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from language_samples import sample_spec
from served_models import answers_of, served

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

MODELS = (
    *("bigtransfer", "efficientnet", "mobilenetv2", "resnet50", "sam", "swin_b", "swin_large", "swin_transformer"),
    *("vit", "vit_l_16", "yolov5l", "yolov5s"),
)


@pytest.mark.heavy
@pytest.mark.parametrize("name", MODELS)
def test_onnx_answers_as_the_framework(name: str, tmp_path: Path) -> None:
    model = served(name)
    for parameter in model.network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)  # a last layer of zeros would hide what is before it
    data = model.evaluation_data(sample_spec())
    inputs = model.inputs(model.collate([data[index] for index in range(2)]))
    expected, found = answers_of(model, inputs, tmp_path)
    assert len(expected) == len(found) == len(model.output_names)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape and len(ours) == 2
        scale = theirs.abs().max().item()
        assert scale > 0 and torch.allclose(ours, theirs, rtol=0, atol=1e-5 * scale)
