"""The step of `framework=tensorflow`: optimizers, loss scale, accumulation, traces, what the probe sees."""

from __future__ import annotations

from typing import Any

import pytest
from tensorflow_results import checked


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return checked("step")


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adam, large epsilon", "adamw", "clipped"])
def test_four_steps_are_torchs(found: dict[str, Any], name: str) -> None:
    assert found["rules"][name] < 1e-6


def test_momentum_keeps_gradients_not_rates(found: dict[str, Any]) -> None:
    # Keras' own SGD keeps -rate * gradient: it would come to 0 - 1 - 0.5.
    assert found["momentum_of_another_rate"] == pytest.approx(-1.05)


def test_the_loss_scale_moves_as_torchs(found: dict[str, Any]) -> None:
    scale = found["scale_rule"]
    assert scale["told"] == scale["torch"] == [[65536, 1], [32768, 0], [32768, 1], [16384, 0]]
    assert scale["grown"] == [32768, 0]
    assert scale["largest"] == [pytest.approx(3e38), 0]


def test_a_step_that_overflows_is_left_out_and_told(found: dict[str, Any]) -> None:
    expected = {"skipped": [1, 0], "stayed": True, "momentum": 0, "scale": 1, "moved": True, "finite": True}
    assert found["left_out"] == expected


@pytest.mark.parametrize("xla", [False, True])
def test_accumulated_gradients_are_averaged(found: dict[str, Any], xla: bool) -> None:
    sums = found["accumulated"]
    assert sums[f"losses, xla={xla}, passes=3"] == pytest.approx(sums[f"losses, xla={xla}, passes=1"], rel=1e-4)
    assert sums[f"apart, xla={xla}"] < 5e-3  # summed instead of averaged: 0.1 and more


def test_other_rates_trace_nothing_and_other_shapes_are_told(found: dict[str, Any]) -> None:
    traces = found["traces"]
    assert traces["values"] == [12, 24, 12, 36, 12, 6, 20, 12, 6, 12]
    assert traces["counts"] == [1, 1, 2, 2, 3, 3, 4, 5, 6, 6]
    assert traces["told"] == ["fixed True"] * 2 + ["any True"] * 2 + ["xla True"] * 2


def test_the_probe_sees_products_in_branches_and_called_functions(found: dict[str, Any]) -> None:
    assert found["probed"] == {"nested": ["bfloat16", "float16"], "none": [], "bits": [[23, 23], [23, 23]]}


def test_a_step_through_the_strategy_is_the_step_without() -> None:
    found = checked("strategy")["strategy"]
    assert found["shares"] == pytest.approx([found["shares"][0]] * 4, rel=1e-5)
    assert found["skipped"] == [0, 0, 0, 0]
    assert max(found["apart"]) < 5e-3  # without the update: 0.1 and more
