"""Errors against the reference, held to counts by hand."""

from __future__ import annotations

import math

import pytest
import torch

from runner.serving.numerics import compare, indistinct, problems


def test_errors_are_those_of_a_hand_count() -> None:
    reference = [(torch.tensor([[3.0, 4.0]]),), (torch.tensor([[0.0, 12.0]]),)]
    found = [(torch.tensor([[3.0, 4.5]]),), (torch.tensor([[0.0, 11.0]]),)]
    told = compare(found, reference, ("logits",))["logits"]
    assert told["mean_abs"] == pytest.approx((0.5 + 1.0) / 4)
    assert told["max_abs"] == 1.0
    assert told["max_rel"] == pytest.approx(0.5 / 4)
    assert told["snr_db"] == pytest.approx(10 * math.log10((9 + 16 + 144) / (0.25 + 1)))
    dot, ours = 9 + 4 * 4.5 + 12 * 11, math.sqrt(9 + 4.5**2 + 121)
    assert told["cosine"] == pytest.approx(dot / (ours * 13))
    assert (told["elements"], told["not_finite"]) == (4, 0)
    # |error| over the root mean square of the reference, 6.5: 0 twice, 0.077 and 0.154.
    assert told["histogram"] == {"0": 2, "1e-2": 1, "1e-1": 1}


def test_no_error_is_exact_and_what_is_not_finite_is_counted() -> None:
    outputs = [(torch.ones(2, 2), torch.zeros(2))]
    told = compare(outputs, outputs, ("a", "b"))
    assert told["a"]["exact"] and told["a"]["snr_db"] is None and told["a"]["cosine"] == pytest.approx(1)
    assert told["b"]["exact"] and told["b"]["cosine"] is None, "a zero vector has no direction"
    broken = [(torch.tensor([[1.0, math.nan], [math.inf, 1.0]]), torch.zeros(2))]
    told = compare(broken, outputs, ("a", "b"))
    assert told["a"]["not_finite"] == 2 and told["a"]["snr_db"] is None and told["b"]["not_finite"] == 0


def test_masked_places_of_the_reference_are_not_compared() -> None:
    reference = [(torch.tensor([1.0, -math.inf]),)]
    told = compare(reference, reference, ("scores",))["scores"]
    assert told["elements"] == 1 and told["max_abs"] == 0 and told["not_finite"] == 0
    for other in (-1e9, math.inf, math.nan):
        told = compare([(torch.tensor([1.0, other]),)], reference, ("scores",))["scores"]
        assert told["not_finite"] == 1, "a place that the reference masks is masked"


def test_outputs_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="logits has 3 elements, the reference's has 2"):
        compare([(torch.zeros(3),)], [(torch.zeros(2),)], ("logits",))


def test_what_is_too_noisy_is_named() -> None:
    reference, found = [(torch.tensor([1.0, 1.0]),)], [(torch.tensor([1.1, 0.9]),)]
    told = compare(found, reference, ("logits",))
    assert told["logits"]["snr_db"] == pytest.approx(20)
    assert problems(told, 19.9) == []
    (problem,) = problems(told, 20.1)
    assert problem.startswith("logits has a signal-to-noise ratio of 20.0 dB")


def test_a_reference_of_zeros_holds_nothing() -> None:
    zeros = [(torch.zeros(2, 3),)]
    (problem,) = problems(compare(zeros, zeros, ("logits",)), 20)
    assert problem == "the float32 reference of logits is zero everywhere, so that nothing was compared"


def test_an_offset_that_no_input_moves_tells_nothing_of_the_inputs() -> None:
    """Rows that differ by 2 around 100: power 10,000 and an error of 4 or less are 34 dB, and none were compared."""
    offset = [(torch.tensor([[99.0], [101.0]]), torch.tensor([[-1.0], [1.0]]))]
    (message,) = indistinct(offset, ("boxes", "scores"), 20)
    assert "boxes is nearly the same whatever the input (one row's answer has 34.0 dB against another's" in message
    assert indistinct(offset, ("boxes", "scores"), 35) == []
    (same,) = indistinct([(torch.ones(1, 3),), (torch.ones(1, 3),)], ("logits",), 20)
    assert "has no error against another's" in same, "rows of all batches are held to each other"
    assert indistinct([(torch.ones(1, 3),)], ("logits",), 20) == [], "a single row has no other"
