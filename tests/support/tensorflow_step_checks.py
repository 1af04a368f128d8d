"""Checks of the optimizer step in TensorFlow: rules beside torch's, loss scale, accumulation, through a strategy."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np
import tensorflow as tf
import torch
from hardware_specs import vendor
from tensorflow_case import TINY, batch_of, far, original, ported
from torch import nn

from hardware.runtimes.tensorflow import TensorflowDevice
from hardware.vendors.cpu import Cpu
from models.optimizers import build_optimizer as torch_optimizer
from models.training import Optimizer, ParameterGroup
from runner.frameworks.keras.loss_scale import LossScale
from runner.frameworks.keras.optimizer import build_rule, clipped
from runner.frameworks.keras.step import KerasStep
from runner.frameworks.ported.recipe import Treatment

RATES = (0.01, 0.02, 0.005, 0.005)
"""Of four steps, one after the other."""


class SmallPair(nn.Module):
    """A matrix that is decayed, and a bias that learns at half the rate and is not."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))
        self.bias = nn.Parameter(torch.linspace(0.5, 1, 4))


def rule_against_torch(largest: float | None = None, **options: Any) -> float:
    """Furthest that a weight is from torch's after four steps at changing rates."""
    recipe = Optimizer(
        lr=RATES[0], weight_decay=0.1, groups=(ParameterGroup(match=("bias",), lr_ratio=0.5),), **options
    )
    module = SmallPair()
    optimizer = torch_optimizer(recipe, module.named_parameters())
    ratios = [group["lr"] / recipe.lr for group in optimizer.param_groups]
    weights = {name: tf.Variable(one.detach().numpy()) for name, one in module.named_parameters()}
    treatments = {"matrix": Treatment(1.0, 0.1), "bias": Treatment(0.5, 0.0)}
    rule = build_rule(recipe, weights, treatments)

    @tf.function(autograph=False)
    def step(gradients: Any, rate: Any) -> None:
        rule.apply(clipped(gradients, largest), rate)

    generator = np.random.default_rng(3)
    for rate in RATES:
        for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
            group["lr"] = rate * ratio
        gradients = {name: generator.normal(size=one.shape).astype(np.float32) for name, one in weights.items()}
        for name, parameter in module.named_parameters():
            parameter.grad = torch.from_numpy(gradients[name].copy())
        if largest is not None:
            nn.utils.clip_grad_norm_(module.parameters(), largest)
        optimizer.step()
        step({name: tf.constant(one) for name, one in gradients.items()}, tf.constant(rate, tf.float32))
    return max(far(weights[name].numpy(), one.detach().numpy()) for name, one in module.named_parameters())


def rules() -> Any:
    """Each optimizer beside torch's."""
    return {
        "sgd": rule_against_torch(name="sgd"),
        "momentum": rule_against_torch(name="sgd", momentum=0.9),
        "nesterov": rule_against_torch(name="sgd", momentum=0.9, nesterov=True),
        "adam": rule_against_torch(name="adam"),
        "adam, large epsilon": rule_against_torch(name="adam", betas=(0.8, 0.9), eps=0.1),
        "adamw": rule_against_torch(name="adamw", betas=(0.9, 0.95)),
        "clipped": rule_against_torch(name="sgd", momentum=0.9, largest=0.5),
    }


def momentum_of_another_rate() -> Any:
    """Weight after gradients 1 and 0 at rates 1 and 0.1 with momentum 0.5: 0 - 1 - 0.1 * 0.5."""
    weight = {"one": tf.Variable([0.0])}
    rule = build_rule(Optimizer(name="sgd", lr=1.0, momentum=0.5), weight, {"one": Treatment(1.0, 0.0)})
    for gradient, rate in ((1.0, 1.0), (0.0, 0.1)):
        rule.apply({"one": tf.constant([gradient])}, tf.constant(rate))
    return float(weight["one"][0])


def scale_rule() -> Any:
    """The scale after good and bad steps, beside torch's with the same ones."""
    own = LossScale()
    scaler = torch.amp.GradScaler("cpu", growth_interval=2000)
    parameter = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    told, expected = [], []
    for good in (True, False, True, False):
        torch.autograd.backward(scaler.scale(parameter.sum()))
        assert parameter.grad is not None
        parameter.grad.fill_(1.0 if good else float("inf"))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        own.update(tf.constant(good))
        told.append([float(own.scale), int(own.good_steps)])
        expected.append([scaler.get_scale(), scaler._growth_tracker.item()])  # type: ignore[union-attr]
    own.good_steps.assign(1999)
    own.update(tf.constant(True))
    grown = [float(own.scale), int(own.good_steps)]
    own.scale.assign(3e38)
    own.good_steps.assign(1999)
    own.update(tf.constant(True))
    return {"told": told, "torch": expected, "grown": grown, "largest": [float(own.scale), int(own.good_steps)]}


def left_out() -> Any:
    """A step whose loss overflows: weights stay, the scale halves; the next one learns."""
    model = original(*TINY)
    port = ported(model, "float16")
    step = KerasStep(port, passes=1, scales=True, xla=False, strategy=None, told=lambda *_: None)
    assert step.scale is not None
    arrays = batch_of(model)[1]
    step.scale.scale.assign(2.0**40)
    before = {name: one.numpy() for name, one in step.weights.items()}
    skipped = [float(step.finish(arrays, tf.constant(0.1))[1])]
    stayed = all(np.array_equal(before[name], one.numpy()) for name, one in step.weights.items())
    momentum = max(float(np.abs(one.numpy()).max()) for name, one in step.rule.state.items())
    scale = float(step.scale.scale)
    step.scale.scale.assign(8.0)
    skipped.append(float(step.finish(arrays, tf.constant(0.1))[1]))
    moved = any(not np.array_equal(before[name], one.numpy()) for name, one in step.weights.items())
    finite = all(np.isfinite(one.numpy()).all() for one in step.weights.values())
    return {
        "skipped": skipped,
        "stayed": stayed,
        "momentum": momentum,
        "scale": scale / 2.0**39,
        "moved": moved,
        "finite": finite,
    }


def accumulated() -> Any:
    """Weights after one step of three passes, two times, beside those of one pass over all their images."""
    found: dict[str, Any] = {}
    for xla in (False, True):
        model = original(*TINY)
        model.network.eval()
        ends = []
        for passes in (1, 3):
            port = ported(model)
            step = KerasStep(port, passes=passes, scales=False, xla=xla, strategy=None, told=lambda *_: None)
            arrays = batch_of(model, 6)[1]
            # With the same images in every pass batch statistics are the same; their mean gradient is one pass's.
            shares: list[float] = []
            for _ in range(2):
                kinds = [step.finish] if passes == 1 else [step.begin, step.add, step.finish]
                for kind in kinds:
                    result = kind(arrays, tf.constant(0.01)) if kind is step.finish else kind(arrays)
                    shares.append(float(result[0] if kind is step.finish else result))
            ends.append({name: one.numpy() for name, one in step.weights.items()})
            found[f"losses, xla={xla}, passes={passes}"] = [sum(shares[:passes], 0.0), sum(shares[passes:], 0.0)]
        found[f"apart, xla={xla}"] = max(float(far(ends[1][name], ends[0][name])) for name in ends[0])
    return found


def strategy() -> Any:
    """A step through a strategy over one worker is the step without; its device is waited for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    spec = tf.train.ClusterSpec({"worker": [address]})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        spec, task_type="worker", task_id=0, rpc_layer="grpc"
    )
    workers = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    model = original(*TINY)
    arrays = batch_of(model)[1]
    ends = []
    for through, xla in ((None, False), (workers, False), (None, True), (workers, True)):
        port = ported(model)
        step = KerasStep(port, passes=2, scales=True, xla=xla, strategy=through, told=lambda *_: None)
        assert step.scale is not None
        step.scale.scale.assign(8.0)
        step.begin(arrays)
        share, skipped = step.finish(arrays, tf.constant(0.01))
        weights = {one.path: one.numpy() for one in port.network.variables}
        ends.append((float(share), float(skipped), weights))
    TensorflowDevice(Cpu(vendor("cpu")), on_host=True).settle()
    return {
        "shares": [one[0] for one in ends],
        "skipped": [one[1] for one in ends],
        "apart": [max(far(ends[other][2][name], one) for name, one in ends[0][2].items()) for other in (1, 2, 3)],
    }
