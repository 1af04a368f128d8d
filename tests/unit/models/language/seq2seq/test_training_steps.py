"""What holds for both encoder-decoders: their steps never wait, run in every precision, and cost what is counted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from language_samples import recipe, sample_spec
from torch.utils.flop_counter import FlopCounterMode
from zoo import built, model_class

MODELS = ["t5_small", "transformer"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("model", MODELS)
def test_weights_of_two_bytes_train_and_evaluate(model: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    trainable = built(model)
    train, evaluation = (part for part in trainable.datasets(sample_spec()))
    batch = trainable.collate([train[index] for index in range(4)])
    expected = trainable.loss(batch).item()
    trainable.to(dtype)
    loss = trainable.loss(batch)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(expected, rel=0.05)
    assert all(one.grad is not None and bool(one.grad.isfinite().all()) for one in trainable.network.parameters())
    trainable.eval().reset_metrics(torch.device("cpu"))
    with torch.no_grad():
        trainable.evaluate(trainable.collate([evaluation[index] for index in range(4)]))


@pytest.mark.parametrize("model", MODELS)
def test_the_backward_pass_costs_twice_the_forward_one(model: str) -> None:
    with torch.device("meta"):
        trainable = built(model, "reference")
        batch = trainable.synthetic_batch(2)
        with FlopCounterMode(display=False) as forward:
            loss = trainable.loss(batch)
        with FlopCounterMode(display=False) as backward:
            loss.backward()
    assert loss.device.type == "meta"
    assert backward.get_total_flops() == pytest.approx(2 * forward.get_total_flops(), rel=1e-9)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("change", [{"layer": 2}, {"layers": "two"}])
def test_a_wrong_architecture_key_is_named(model: str, change: dict[str, Any]) -> None:
    case = recipe(model)
    case.architecture |= change
    with pytest.raises(ValueError, match=rf"(?m)^{next(iter(change))}$"):
        model_class(model)(case)
