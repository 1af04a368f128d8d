"""Vision models that are only served: at reference scale they have as many parameters and operations as published."""

from __future__ import annotations

import pytest
from language_samples import published, recipe
from zoo import model_class

from models.costs.serving_account import count_served

MODELS = {
    "swin_b": 87_768_224,
    "vit_l_16": 304_326_632,
    "swin_large": 196_735_516,
    "yolov5l": 46_563_709,
    "yolov5s": 7_235_389,
    # Meta's checkpoint has 641,090,608; Hugging Face counts the 2 x 128 numbers of its positions, too.
    "sam": 641_090_608 + 256,
}


@pytest.mark.parametrize(
    "name", [one for one in MODELS if one != "sam"] + [pytest.param("sam", marks=pytest.mark.heavy)]
)
def test_costs_are_those_published(name: str) -> None:
    reference, wanted = recipe(name, "reference"), published(name)
    reference.inference.batch_size = 1
    found = count_served(model_class(name), reference, weights_bytes=4)
    assert found.parameters == MODELS[name]
    assert wanted.parameters is not None and found.parameters == pytest.approx(wanted.parameters.value, rel=0.005)
    if wanted.forward_flops_per_sample is not None:
        assert found.flops_per_sample == pytest.approx(wanted.forward_flops_per_sample.value, rel=0.02)


def test_a_model_is_counted_at_the_size_at_which_it_is_served() -> None:
    # torchvision publishes 8.366 G multiply-adds of EfficientNetV2-S at 384 pixels; it is trained at 300.
    reference = recipe("efficientnet", "reference")
    reference.inference.batch_size = 1
    found = count_served(model_class("efficientnet"), reference, weights_bytes=4)
    assert found.flops_per_sample == pytest.approx(2 * 8.366e9, rel=0.005)
    assert found.input_bytes_per_sample == 3 * 384 * 384 * 4
