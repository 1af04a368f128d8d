"""ResNet in Keras is torchvision's network: size, weights, losses, gradients, statistics, evaluation."""

from __future__ import annotations

from typing import Any

import pytest
from tensorflow_results import checked


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return checked("port")


def test_it_has_as_many_parameters_as_the_original(found: dict[str, Any]) -> None:
    assert found["sizes"] == {"tiny": [4_641_994, 4_641_994], "reference": [25_557_032, 25_557_032]}


def test_weights_go_there_and_back_bit_by_bit(found: dict[str, Any]) -> None:
    assert found["there_and_back"] == {"names": True, "equal": True}


def test_loss_and_evaluation_are_the_originals(found: dict[str, Any]) -> None:
    own, torchs = found["same_network"]["loss"]
    assert own == pytest.approx(torchs, rel=2e-6)
    assert found["same_network"]["evaluation"] < 1e-5
    assert found["same_network"]["top1"]


def test_gradients_are_as_near_to_exact_ones_as_torchs_are(found: dict[str, Any]) -> None:
    same = found["same_network"]
    assert same["parameters"] == 53
    assert same["gradients"] < max(1e-4, 1.5 * same["torch's own"]) < 0.05


def test_running_statistics_are_torchs_unbiased_variance_included(found: dict[str, Any]) -> None:
    assert found["same_network"]["buffers"] == 34
    assert found["same_network"]["statistics"] < 1e-5  # without n / (n - 1) at 32 numbers a channel: 3e-3


@pytest.mark.parametrize("products", ["float32", "float16", "bfloat16"])
def test_products_have_the_policys_type_and_variables_stay_float32(found: dict[str, Any], products: str) -> None:
    assert found["types"][products] == [[products], ["float32"]]


def test_what_it_does_not_do_is_refused(found: dict[str, Any]) -> None:
    mixing, types = found["refused"]
    assert "mixup_alpha is not done by ResNetTensorflow" in mixing
    assert "no policy of bfloat16 variables and float16 products" in types
