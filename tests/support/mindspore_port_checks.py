"""The port of ResNet against its original on one batch; `mindspore_checks.py` runs it."""

from __future__ import annotations

import copy
from typing import Any

import mindspore
import numpy as np
import torch
from mindspore import Tensor, ops
from mindspore_case import stepper_of
from torch import nn as torch_nn

from runner.frameworks.cells.stepper import MindsporeStepper


def port() -> dict[str, Any]:
    """The port against its original on one batch: loss, gradients, what evaluation sees before and after a step."""
    own = stepper_of()
    trainable = own.original
    torch.manual_seed(3)
    batch = {"image": torch.randn(8, 3, 64, 64), "label": torch.arange(8)}
    weights = [one for one in own.port.parameters.values() if one.requires_grad]
    own.begin_training()
    function = mindspore.value_and_grad(own.port.loss_cell, None, mindspore.ParameterTuple(weights))
    arrays = own.place(batch)
    loss, gradients = function(arrays["image"], arrays["label"])
    trainable.network.train()
    expected = trainable.loss(batch)
    torch.autograd.backward(expected)
    named = {place.name: name for name, place in own.port.places().items()}
    theirs: dict[str, Any] = {name: one.grad for name, one in trainable.network.named_parameters()}
    exact = _exact_gradients(trainable, batch)
    apart, torchs = {}, {}
    for weight, gradient in zip(weights, gradients, strict=True):
        name = named[weight.name]
        apart[name] = _distance(gradient.asnumpy(), exact[name])
        torchs[name] = _distance(theirs[name].numpy(), exact[name])
    statistics = {
        name: float(
            np.abs(own.port.parameters[place.name].asnumpy() - trainable.network.state_dict()[name].numpy()).max()
        )
        for name, place in own.port.places().items()
        if "running" in name
    }
    trainable.network.eval()
    own.port.loss_cell.set_train(False)
    with torch.no_grad():
        scores = trainable.network(batch["image"]).numpy()
    evaluated = np.abs(own.port.network(arrays["image"]).asnumpy() - scores).max()
    back = own.port.to_original(own.weights())
    return {
        "loss": [float(loss), float(expected)],
        "gradients": [max(apart.values()), max(torchs.values())],
        "typical": [float(np.median([*apart.values()])), float(np.median([*torchs.values()]))],
        "statistics": max(statistics.values()),
        "evaluated": float(evaluated),
        "parameters": [own.parameter_count(), sum(one.numel() for one in trainable.network.parameters())],
        "names": sorted(back) == sorted(trainable.network.state_dict()),
        "label smoothing": _smoothed(own),
    }


def _exact_gradients(trainable: Any, batch: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Torch's own in float64, statistics left as they are."""
    network = copy.deepcopy(trainable.network).double().train()
    network.zero_grad()
    torch.autograd.backward(torch_nn.functional.cross_entropy(network(batch["image"].double()), batch["label"]))
    return {name: one.grad.numpy() for name, one in network.named_parameters()}


def _distance(found: np.ndarray[Any, Any], exact: np.ndarray[Any, Any]) -> float:
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def _smoothed(own: MindsporeStepper) -> list[float]:
    scores, labels = np.array([[2.0, -1.0, 0.5], [0.0, 1.0, 3.0]], np.float32), np.array([0, 1], np.int32)
    made = ops.cross_entropy(Tensor(scores), Tensor(labels), label_smoothing=0.1)
    return [
        float(made),
        float(
            torch_nn.functional.cross_entropy(
                torch.from_numpy(scores), torch.from_numpy(labels).long(), label_smoothing=0.1
            )
        ),
    ]
