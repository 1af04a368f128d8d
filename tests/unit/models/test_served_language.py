"""Served encoders and click models, tiny: scored as in training, calibrated on other data, as large as published."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from language_samples import published, recipe, sample_spec
from served_language import answered, first_batch, inferable, rows_of
from zoo import model_class

from models.trainable import Trainable

ONLY_SERVED = ["albert", "bert_base", "bert_large", "deberta", "roberta", "roformer", "wide_deep"]
TRAINED = ["bert", "distilbert", "dlrm"]
COUNTED = [name for name in ONLY_SERVED if published(name).parameters]


@pytest.mark.parametrize("name", [*ONLY_SERVED, *TRAINED])
def test_what_is_calibrated_on_is_not_what_is_scored(name: str) -> None:
    data: Any = inferable(name).calibration_data(sample_spec())
    other, scored = rows_of(name, data), first_batch(name)
    ours, theirs = (inferable(name).inputs(one)[0] for one in (other, scored))
    assert ours.shape == theirs.shape and not torch.equal(ours, theirs)


@pytest.mark.parametrize("name", TRAINED)
def test_trained_models_are_scored_as_in_their_evaluation(name: str) -> None:
    """The answers to a batch by way of the served network, and the same batch as training evaluates it."""
    model, batch = inferable(name), first_batch(name)
    assert isinstance(model, Trainable)
    with torch.inference_mode():
        ways = (lambda: model.evaluate(batch), lambda: model.score(answered(name, batch), batch))
        found = []
        for way in ways:
            for metric in model.metrics.values():
                metric.reset()
            way()
            found.append({key: float(metric.compute()) for key, metric in model.metrics.items()})
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("name", COUNTED)
def test_parameters_are_those_published(name: str) -> None:
    with torch.device("meta"):
        network = model_class(name)(recipe(name, "reference")).network
    wanted = published(name).parameters
    assert wanted is not None
    assert sum(one.numel() for one in network.parameters()) == wanted.value
