"""The stepper of `framework=tensorflow`: going on from a checkpoint, evaluating, refusing another precision."""

from __future__ import annotations

from typing import Any

import pytest
from tensorflow_results import checked


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    result: dict[str, Any] = checked("stepper")["stepper"]
    return result


def test_a_resumed_part_goes_on_as_the_one_that_was_not_cut(found: dict[str, Any]) -> None:
    assert found["state"] == {"best": 0.5}
    assert found["resumed"] and found["weights"] and found["optimizer"]
    assert found["losses"][0] == found["losses"][1]
    assert found["steps"] == [6, 6]
    assert found["scale"] == 16384  # the first two steps overflowed


def test_evaluation_changes_nothing_and_counts_a_short_last_batch(found: dict[str, Any]) -> None:
    assert found["unchanged"]
    own, torchs = found["top1"]
    assert own == pytest.approx(torchs)
    assert (own * 19) % 1 == pytest.approx(0, abs=1e-9)


def test_a_precision_that_does_not_run_is_refused(found: dict[str, Any]) -> None:
    assert found["match"] == ""
    assert "products: expected ['bfloat16'], found ['float16']" in found["mismatch"]
    assert "gradient_scaler: expected False, found True" in found["mismatch"]


def test_every_function_is_traced_once(found: dict[str, Any]) -> None:
    assert found["traces"] == ["step", "evaluation", "step"]  # the second step is the resumed part's
