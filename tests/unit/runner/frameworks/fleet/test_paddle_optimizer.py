"""Paddle's optimizers against torch's, its scaler and levels, its attention and losses; all really computed."""

from __future__ import annotations

from math import isnan
from typing import Any

import pytest
from paddle_found import check_of, found_by

UPDATE = 3e-7
"""Of a weight of about 1 after three steps: two roundings of float32."""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return found_by("paddle_checks.py")


@pytest.mark.parametrize("case", ["free", "clipped", "large"])
@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adamw", "lamb"])
def test_three_steps_of_changing_rates_are_torchs(found: dict[str, Any], name: str, case: str) -> None:
    told = check_of(found, "optimizers")[f"{name} {case}"]
    assert told["worst"] <= UPDATE
    assert told["moved"] > 1e-3, "nothing was updated"


def test_what_is_not_done_as_torch_does_it_is_refused(found: dict[str, Any]) -> None:
    told = check_of(found, "refused")
    assert "adagrad is not done here: sgd, adam, adamw, lamb" in told["adagrad"]
    assert "[0.1, 0.2]" in told["adamw"]


def test_the_scaler_skips_what_is_not_finite_and_goes_on_with_half_the_scale(found: dict[str, Any]) -> None:
    told = check_of(found, "scaler")
    assert told["scales"] is True
    # weight (1, 2), gradient (3, 4), rate 0.5
    assert told["steps"] == [
        {"skipped": False, "scale": 1024.0, "weight": [-0.5, 0.0]},
        {"skipped": True, "scale": 512.0, "weight": [-0.5, 0.0]},
        {"skipped": False, "scale": 512.0, "weight": [-2.0, -2.0]},
        {"skipped": True, "scale": 256.0, "weight": [-2.0, -2.0]},
    ]
    assert told["again"] == told["state"] and told["state"]["scale"] == 256.0


def test_gradients_are_clipped_after_they_are_unscaled(found: dict[str, Any]) -> None:
    # (3, 4) has norm 5; clipped while scaled by 1024, the step would be 1024 times as short
    assert check_of(found, "clipped_after_unscaling") == pytest.approx([-0.6, -0.8], rel=1e-6)


def test_levels_narrow_what_paddle_says_they_narrow(found: dict[str, Any]) -> None:
    told = check_of(found, "levels")
    assert set(told["O1"]["types"].values()) == {"paddle.float32"} and not told["O1"]["masters"]
    assert told["O2"]["types"] == {
        "0.weight": "paddle.float16",
        "0.bias": "paddle.float16",
        "1.weight": "paddle.float32",  # norms stay float32
        "1.bias": "paddle.float32",
    }
    assert told["O2"]["masters"] and told["O2"]["level"] == "O2"
    assert set(told["fp32"]["types"].values()) == {"paddle.float32"}
    assert (told["fp32"]["level"], told["fp32"]["scales"], told["fp32"]["skipped"]) == (None, False, None)


def test_attention_and_losses_are_torchs(found: dict[str, Any]) -> None:
    told = check_of(found, "functions")
    assert told["causal"] < 1e-6 and told["seen"] < 1e-6
    assert told["fused_causal"] < 1e-6 and told["fused_seen"] < 1e-6
    assert told["token_loss"] < 1e-6 and told["sequence_losses"] < 1e-6
    assert isnan(told["nothing_counts"]), "no target counts: torch's mean is NaN, not 0"


def test_attention_drops_weights_in_training_alone(found: dict[str, Any]) -> None:
    told = check_of(found, "functions")
    assert told["evaluation_drops"] < 1e-6
    assert told["training_drops"] > 0.1
