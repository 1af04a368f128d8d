"""What holds for every served model of language, sound features and clicks, tiny."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from language_samples import published, recipe, sample_spec
from served_language import ROWS, answered, first_batch, inferable, rows_of
from torch import Tensor
from zoo import model_class

from models.serving_account import count_served
from models.trainable import Trainable

ONLY_SERVED = [
    *("albert", "bert_base", "bert_large", "conformer", "deberta", "roberta", "roformer"),
    "wide_deep",
]
TRAINED = ["bert", "distilbert", "dlrm"]
NAMES = [*ONLY_SERVED, *TRAINED]
COUNTED = [name for name in ONLY_SERVED if published(name).parameters]


@pytest.mark.parametrize("name", NAMES)
def test_batches_of_sample_and_synthetic_data_are_alike(name: str) -> None:
    model, batch = inferable(name), first_batch(name)
    synthetic = model.synthetic_batch(ROWS)
    assert batch.keys() == synthetic.keys()
    for key, value in synthetic.items():
        if isinstance(value, Tensor):
            assert batch[key].dtype == value.dtype and batch[key].shape == value.shape, key
    assert model.count(batch).samples == model.count(synthetic).samples == ROWS
    assert len(model.inputs(batch)) == len(model.input_names)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_have_a_row_for_each_input_and_are_scored(name: str) -> None:
    model, batch = inferable(name), first_batch(name)
    outputs = answered(name, batch)
    assert len(outputs) == len(model.output_names)
    assert all(len(one) == ROWS and bool(one.isfinite().all()) for one in outputs)
    for metric in model.metrics.values():
        metric.reset()
    model.score(outputs, batch)
    metric_name = model.recipe.inference.metric
    if name == "conformer":
        assert metric_name is None and not model.metrics
    else:
        assert metric_name is not None
        # Of four rows all may be of one class, which has no AUC.
        assert math.isfinite(float(model.metrics[metric_name].compute())) or metric_name == "auc"


@pytest.mark.parametrize("name", [one for one in NAMES if one != "conformer"])
def test_what_is_calibrated_on_is_not_what_is_scored(name: str) -> None:
    data: Any = inferable(name).calibration_data(sample_spec())
    other, scored = rows_of(name, data), first_batch(name)
    ours, theirs = (inferable(name).inputs(one)[0] for one in (other, scored))
    assert ours.shape == theirs.shape and not torch.equal(ours, theirs)


@pytest.mark.parametrize("name", TRAINED)
def test_trained_models_are_scored_as_in_their_evaluation(name: str) -> None:
    model, batch = inferable(name), first_batch(name)
    assert isinstance(model, Trainable)
    found = []
    for _ in range(2):
        for metric in model.metrics.values():
            metric.reset()
        if not found:
            with torch.inference_mode():
                model.evaluate(batch)
        else:
            model.score(answered(name, batch), batch)
        found.append({key: float(metric.compute()) for key, metric in model.metrics.items()})
    assert found[0] == pytest.approx(found[1], nan_ok=True)


@pytest.mark.parametrize("name", COUNTED)
def test_parameters_are_those_published(name: str) -> None:
    with torch.device("meta"):
        network = model_class(name)(recipe(name, "reference")).network
    wanted = published(name).parameters
    assert wanted is not None
    assert sum(one.numel() for one in network.parameters()) == wanted.value


@pytest.mark.parametrize("name", NAMES)
def test_a_request_is_counted_without_memory(name: str) -> None:
    """At reference scale, on the meta device: nothing looks into the data; of DeBERTa one tiny row on the host."""
    kind = model_class(name)
    on_meta = kind.count_device == "meta"
    asked = recipe(name, "reference" if on_meta else "tiny")
    costs = count_served(kind, asked, weights_bytes=4)
    assert costs.samples_per_request == (asked.inference.batch_size if on_meta else 1)
    assert costs.flops_per_sample > 2e6 and costs.minimum_bytes_per_sample > 0


@pytest.mark.heavy
@pytest.mark.parametrize("name", NAMES)
def test_the_exported_network_says_the_same(name: str) -> None:
    """As ONNX, run by ONNX Runtime."""
    import onnxruntime

    model, batch = inferable(name), first_batch(name)
    inputs = model.inputs(batch)
    program = torch.onnx.export(model.served().eval(), inputs, input_names=list(model.input_names), dynamo=True)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    places = [one.name for one in session.get_inputs()]
    assert places == list(model.input_names)
    found = session.run(None, {place: one.numpy() for place, one in zip(places, inputs, strict=True)})
    for one, wanted in zip(found, answered(name, batch), strict=True):
        torch.testing.assert_close(torch.from_numpy(one), wanted, rtol=1e-4, atol=1e-5)
