"""What holds for both encoder-decoders: their steps never wait, run in every precision, and cost what is counted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from language_samples import recipe, sample_spec
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from zoo import built, model_class

MODELS = ["t5_small", "transformer"]


class NeverWaits(TorchDispatchMode):
    """Fails on operators whose result the host must have, or whose shape depends on the data."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in self.WAITING, f"{name} waits for the device"
        assert not (name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])), "boolean index"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("model", MODELS)
def test_a_training_step_never_waits_for_the_device(model: str) -> None:
    trainable = built(model)
    train: Any = trainable.datasets(sample_spec()).train
    batch = trainable.collate([train[index] for index in range(8)])
    with pytest.raises(AssertionError, match="waits"), NeverWaits():
        batch["previous"].sum().item()
    with NeverWaits():
        trainable.loss(batch).backward()


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
