"""Checks of ResNet's port to TensorFlow, beside its original."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import tensorflow as tf
import torch
from tensorflow_case import TINY, batch_of, far, length, original, ported

from models.ports.tensorflow.resnet import ResNetTensorflow
from runner.frameworks.keras.probing import product_types
from runner.frameworks.keras.step import KerasStep


def same_network() -> Any:
    """Loss, gradients, running statistics and evaluation; gradients of both beside torch's in float64.

    Batch normalisation over few numbers magnifies rounding: how far torch's own are says how far is far.
    """
    model = original(*TINY)
    port = ported(model)
    batch, arrays = batch_of(model)
    model.network.eval()
    with torch.no_grad():
        scores = model.network(batch["image"])
    evaluated = port._scores(port.network, arrays, training=False)  # type: ignore[attr-defined]
    judged = port.judge(port.network, arrays)["top1"][0].numpy()
    exact = copy.deepcopy(model)
    exact.network.double().train()
    torch.autograd.backward(exact.loss({**batch, "image": batch["image"].double()}))
    model.network.train()
    loss = model.loss(batch)
    torch.autograd.backward(loss)
    with tf.GradientTape() as tape:
        own = port.loss(port.network, arrays)
    gradients = tape.gradient(own, {one.path: one.value for one in port.network.trainable_variables})
    places = port.places()
    apart, torchs = {}, {}
    for name, parameter in exact.network.named_parameters():
        assert parameter.grad is not None
        expected = parameter.grad.numpy()
        found = places[name].turned_back(gradients[places[name].name].numpy())
        apart[name] = length(found - expected) / length(expected)
        torchs_own = model.network.get_parameter(name).grad
        assert torchs_own is not None
        torchs[name] = length(torchs_own.numpy() - expected) / length(expected)
    statistics = {
        name: far({one.path: one for one in port.network.variables}[places[name].name].numpy(), value.numpy())
        for name, value in model.network.named_buffers()
        if name in places
    }
    return {
        "loss": [float(own), float(loss)],
        "evaluation": far(evaluated, scores),
        "top1": [bool(one) for one in judged] == (scores.argmax(1) == batch["label"]).tolist(),
        "parameters": len(apart),
        "gradients": max(apart.values()),
        "torch's own": max(torchs.values()),
        "statistics": max(statistics.values()),
        "buffers": len(statistics),
    }


def sizes() -> Any:
    """Trained numbers of both, at both scales."""
    found = {}
    for scale in ("tiny", "reference"):
        model = original(f"scale={scale}")
        port = ResNetTensorflow(model, weights="float32", products="float32")
        own = sum(int(np.prod(one.shape)) for one in port.network.trainable_variables)
        found[scale] = [own, sum(one.numel() for one in model.network.parameters())]
    return found


def there_and_back() -> Any:
    """Weights of the original, through the port, are the original's bit by bit."""
    model = original(*TINY)
    port = ported(model)
    back = port.to_original({one.path: one.numpy() for one in port.network.variables})
    state = model.network.state_dict()
    return {"names": back.keys() == state.keys(), "equal": all(torch.equal(back[name], state[name]) for name in state)}


def types() -> Any:
    """Products of the traced forward and backward pass in each policy, and the variables' types."""
    model, found = original(*TINY), {}
    for products in ("float32", "float16", "bfloat16"):
        port = ported(model, products)
        step = KerasStep(port, passes=1, scales=products == "float16", xla=False, strategy=None, told=lambda *_: None)
        graph = step.finish.graph(batch_of(model, 2)[1], tf.constant(0.0))
        variables = sorted({one.dtype for one in port.network.variables})
        found[products] = [product_types(graph), variables]
    return found


def refused() -> Any:
    """What a port cannot do."""
    found = []
    for options in (("model.train.regularisation.mixup_alpha=0.2",), ()):
        try:
            ResNetTensorflow(original("scale=tiny", *options), weights="bfloat16", products="float16")
        except ValueError as error:
            found.append(str(error))
    return found
