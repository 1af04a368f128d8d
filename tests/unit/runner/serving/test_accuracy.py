"""Scoring: every sample once, tails included, filled up to the size an engine is compiled for."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import pytest
import torch
from language_samples import case_of

from runner.serving.accuracy import add_content, evaluate, filled, kept_share, no_accuracy
from runner.serving.served import build_served


def test_a_tail_is_filled_with_its_last_row() -> None:
    assert filled(torch.tensor([[1, 2], [3, 4]]), 4).tolist() == [[1, 2], [3, 4], [3, 4], [3, 4]]
    whole = torch.zeros(4, 1)
    assert filled(whole, 4) is whole


@pytest.mark.parametrize(
    ("ours", "reference", "mode", "kept"),
    [(0.72, 0.8, "max", 0.9), (0.8, 0.8, "max", 1.0), (0.5, 0.4, "min", 0.8), (0.0, 0.0, "min", 1.0)],
)
def test_share_of_the_reference_that_is_kept(ours: float, reference: float, mode: str, kept: float) -> None:
    assert kept_share(ours, reference, mode) == pytest.approx(kept)


def test_what_is_no_number_keeps_nothing() -> None:
    assert math.isnan(kept_share(math.nan, 0.5, "max")) and not kept_share(math.nan, 0.5, "max") >= 0.99


@pytest.mark.parametrize(
    ("ours", "reference", "mode"), [(0.0, 0.0, "max"), (0.1, 0.0, "max"), (-2.0, -1.0, "max"), (-1.0, -2.0, "min")]
)
def test_a_reference_of_nothing_has_no_share_to_keep(ours: float, reference: float, mode: str) -> None:
    """A worse answer must not pass because a quotient of two negative numbers, or one by zero, is large."""
    kept = kept_share(ours, reference, mode)
    assert math.isnan(kept) and not kept >= 0.99


def digest(batch: dict[str, object]) -> str:
    hashed = hashlib.sha256()
    add_content(hashed, batch)
    return hashed.hexdigest()


def test_a_digest_has_every_number_of_the_truth() -> None:
    """The text of a large tensor in a list leaves out its middle: another mask must not pass for the same data."""
    mask = torch.zeros(64, 64, dtype=torch.bool)
    other = mask.clone()
    other[30, 30] = True
    assert repr([mask]) == repr([other])
    assert digest({"masks": [mask]}) != digest({"masks": [other]}) and digest({"masks": [mask]}) == digest(
        {"masks": [mask.clone()]}
    )
    assert digest({"targets": [{"boxes": torch.zeros(0, 4)}]}) != digest({"targets": [{"boxes": torch.zeros(4, 0)}]})


def test_every_sample_is_scored_once_whatever_the_batch_size() -> None:
    """A classifier that knows the answer by the image's own mean: its accuracy is counted by hand."""
    case = case_of("task=infer", "model=resnet50", "scale=tiny", "model.infer.samples=21")
    served = build_served(case)
    data = served.model.evaluation_data(case.data)
    images = [data[index] for index in range(21)]
    sizes: list[int] = []

    def answer(inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        sizes.append(len(inputs[0]))
        guess = (inputs[0].mean(dim=(1, 2, 3)).abs() * 10).long() % 10
        return (torch.nn.functional.one_hot(guess, 10).float(),)

    right = sum(int(abs(float(one.image.mean())) * 10) % 10 == one.label for one in images)
    found = evaluate(served.model, case, answer)
    assert found.samples == 21 and sizes == [8, 8, 8]
    assert found.metrics["top1"] == right / 21
    other = replace(case, model=replace(case.model, infer=replace(case.model.inference, batch_size=5)))
    assert evaluate(served.model, other, answer).metrics == found.metrics


def test_why_answers_cannot_be_judged() -> None:
    case = case_of("task=infer", "model=resnet50", "scale=tiny")
    assert "the weights are random" in str(no_accuracy(case))
    trained = replace(case, model=replace(case.model, weights="/some.pth"))
    assert no_accuracy(trained) is None
    assert "random data" in str(no_accuracy(replace(trained, data=replace(case.data, name="synthetic"))))
    assert "no metric" in str(
        no_accuracy(replace(trained, model=replace(trained.model, infer=replace(case.model.inference, metric=None))))
    )
