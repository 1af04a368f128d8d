"""What holds for every model with an `infer:` section, tiny: plain tensors in and out, each row answered by itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from language_samples import recipe, sample_spec
from torch import Tensor
from zoo import SERVED, built_to_serve, model_class

from models.costs.serving_account import count_served
from models.datasets.base import DataError
from models.inferable import Inferable

FORWARD = [model for model in SERVED if recipe(model).inference.generation is None]
"""Those that one forward pass answers."""
SCORED = 4
"""Rows; among them the sample's clicks have both outcomes."""


def asked(model: Inferable, rows: int) -> tuple[Tensor, ...]:
    torch.manual_seed(1)
    return model.inputs(model.served_batch(rows))


@torch.inference_mode()
def answered(model: Inferable, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = model.served().eval()(*inputs)
    return found


def alike(ours: Tensor, theirs: Tensor) -> bool:
    """Equal but for rounding, by the size of what is compared; integers and truths as a share."""
    if not theirs.is_floating_point():
        return bool((ours == theirs).double().mean() > 0.99)
    scale = float(theirs.abs().max())
    return bool(((ours - theirs).abs() <= 1e-4 * scale + 1e-6).all())


@pytest.mark.parametrize("model", FORWARD)
def test_every_row_is_answered_and_by_itself(model: str) -> None:
    served = built_to_serve(model)
    inputs = asked(served, 2)
    assert len(inputs) == len(served.input_names) and all(len(one) == 2 for one in inputs)
    together = answered(served, inputs)
    assert isinstance(together, tuple) and len(together) == len(served.output_names)
    for name, output in zip(served.output_names, together, strict=True):
        assert len(output) == 2, name
        assert bool(output.isfinite().all()), name
    for row in range(2):
        alone = answered(served, tuple(one[row : row + 1] for one in inputs))
        for name, whole, single in zip(served.output_names, together, alone, strict=True):
            assert alike(single[0], whole[row]), name


@pytest.mark.parametrize("model", FORWARD)
def test_no_request_is_made_of_zeros(model: str) -> None:
    """As ids and masks of zeros are, which random numbers below one become when they are cast to integers."""
    served = built_to_serve(model)
    for name, tensor in zip(served.input_names, asked(served, SCORED), strict=True):
        if "type" not in name and "segment" not in name and "pad" not in name:
            assert bool((tensor != 0).any()), name
        if tensor.ndim > 1 and (tensor.is_floating_point() or tensor.max() > 1):
            assert len(tensor.unique()) > 2, name


@pytest.mark.parametrize("model", FORWARD)
def test_the_answer_depends_on_every_input(model: str) -> None:
    """Of two rows, drawn apart, the answers differ; so they do where one input alone is the other row's."""
    served = built_to_serve(model)
    inputs = asked(served, 2)
    before = answered(served, inputs)
    for place, name in enumerate(served.input_names):
        if torch.equal(inputs[place][0], inputs[place][1]):
            continue  # a mask, or a type of segment, that is the same in all rows
        changed = tuple(one.flip(0) if number == place else one for number, one in enumerate(inputs))
        after = answered(served, changed)
        assert any(not torch.equal(one, two) for one, two in zip(before, after, strict=True)), name


@pytest.mark.parametrize("model", FORWARD)
def test_the_sample_is_like_the_synthetic_data_and_is_scored(model: str) -> None:
    served = built_to_serve(model)
    data: Any = served.evaluation_data(sample_spec())
    batch = served.collate([data[index] for index in range(SCORED)])
    inputs = served.inputs(batch)
    shapes = [(one.dtype, one.shape) for one in asked(served, SCORED)]
    assert [(one.dtype, one.shape) for one in inputs] == shapes
    assert served.count(batch).samples > 0
    metric = recipe(model).inference.metric
    if metric is None:
        assert not served.metrics
        return
    try:
        served.score(answered(served, inputs), batch)
    except DataError as error:
        assert "data=dataset" in str(error), "says which data can be scored"
        return
    assert not math.isnan(float(served.metrics[metric].compute()))


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", FORWARD)
def test_reference_scale_is_counted_without_memory(model: str) -> None:
    account = count_served(model_class(model), recipe(model, "reference"), weights_bytes=4)
    assert account.flops_per_sample > 0 and account.minimum_bytes_per_sample > 0
    assert account.parameter_bytes == 4 * account.parameters > 0


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", FORWARD)
def test_its_onnx_file_answers_as_torch_does(model: str, tmp_path: Path) -> None:
    import onnxruntime

    served = built_to_serve(model)
    inputs = asked(served, 2)
    wanted = answered(served, inputs)
    names = {"input_names": list(served.input_names), "output_names": list(served.output_names)}
    with torch.inference_mode():
        program = torch.onnx.export(
            served.served().eval(), inputs, opset_version=18, dynamo=True, verbose=False, **names
        )
    assert program is not None
    program.save(str(tmp_path / "model.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == list(served.input_names)
    given = {name: one.numpy() for name, one in zip(served.input_names, inputs, strict=True)}
    found = session.run(list(served.output_names), given)
    for name, ours, theirs in zip(served.output_names, found, wanted, strict=True):
        assert alike(torch.from_numpy(ours), theirs), name
