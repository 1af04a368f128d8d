"""Checks that need TensorFlow, in a process of their own: `tensorflow_checks.py GROUP` prints their results as JSON."""

from __future__ import annotations

import copy
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
if find_spec("triton") is not None:  # before TensorFlow, as the device imports it
    import_module("triton._C.libtriton")

import numpy as np
import tensorflow as tf
import torch
from hydra import compose
from torch import nn

from models.optimizers import build_optimizer as torch_optimizer
from models.ports.tensorflow.port import TensorflowPort
from models.ports.tensorflow.resnet import ResNetTensorflow
from models.training import Optimizer
from models.vision.classification.resnet50 import ResNet50
from runner.config.compose import composing, to_case
from runner.core.events import read_events
from runner.frameworks.keras.loss_scale import LossScale
from runner.frameworks.keras.optimizer import build_rule, clipped
from runner.frameworks.keras.probing import kept_bits, product_types
from runner.frameworks.keras.step import KerasStep
from runner.frameworks.keras.tracing import TracedFunction
from runner.frameworks.ported.recipe import Treatment

RATES = (0.01, 0.02, 0.005, 0.005)
"""Of four steps, one after the other."""


def original(*overrides: str) -> ResNet50:
    """The PyTorch model of a recipe, with weights by a seed and norms that are not what they begin with."""
    with composing():
        chosen = ["model=resnet50", "vendor=cpu", *overrides]
        recipe = to_case(compose("config", overrides=chosen)).model
    torch.manual_seed(5)
    found = ResNet50(recipe)
    for layer in found.network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
            assert layer.running_mean is not None and layer.running_var is not None
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return found


def ported(model: ResNet50, products: str = "float32") -> TensorflowPort:
    """Its port, with its weights."""
    port = ResNetTensorflow(model, weights="float32", products=products)
    own = port.from_original()
    for variable in port.network.variables:
        variable.assign(own.pop(variable.path))
    assert not own
    return port


def batch_of(model: ResNet50, size: int = 8) -> tuple[dict[str, Any], dict[str, Any]]:
    """One for torch, and the same for TensorFlow."""
    torch.manual_seed(11)
    batch = model.synthetic_batch(size)
    return batch, {name: tf.constant(value.numpy()) for name, value in batch.items()}


def far(found: Any, expected: Any) -> float:
    """Largest difference, in parts of the largest expected number."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))


def length(values: Any) -> float:
    """Euclidean."""
    return float(np.linalg.norm(np.asarray(values, np.float64).ravel()))


# --- the port ---------------------------------------------------------------------------------------------------

TINY = ("scale=tiny", "model.architecture.image_size=64", "model.train.regularisation.label_smoothing=0.1")


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


# --- the step ---------------------------------------------------------------------------------------------------


class SmallPair(nn.Module):
    """A matrix that is decayed, and a bias that learns at half the rate and is not."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))
        self.bias = nn.Parameter(torch.linspace(0.5, 1, 4))


def rule_against_torch(largest: float | None = None, **options: Any) -> float:
    """Furthest that a weight is from torch's after four steps at changing rates."""
    from models.training import ParameterGroup

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


def traces() -> Any:
    """Which calls are told as traces: other rates are not, other shapes are, other lengths only where they matter."""
    told: list[str] = []
    common: Any = {"xla": False, "told": lambda name, seconds: told.append(f"{name} {seconds > 0}")}

    def body(batch: Any, rate: Any) -> Any:
        return tf.reduce_sum(batch["x"]) * rate

    values, counts = [], []
    fixed = TracedFunction(body, "fixed", **common)
    for shape, rate in (((4, 3), 1.0), ((4, 3), 2.0), ((2, 3), 2.0), ((4, 3), 3.0)):
        values.append(float(fixed({"x": tf.ones(shape)}, tf.constant(rate))))
        counts.append(len(told))
    evaluated = TracedFunction(body, "any", any_length=True, **common)
    for shape in ((4, 3), (2, 3), (4, 5)):
        values.append(float(evaluated({"x": tf.ones(shape)}, tf.constant(1.0))))
        counts.append(len(told))
    compiled = TracedFunction(body, "xla", xla=True, told=common["told"], any_length=True)
    for shape in ((4, 3), (2, 3), (4, 3)):
        values.append(float(compiled({"x": tf.ones(shape)}, tf.constant(1.0))))
        counts.append(len(told))
    return {"values": values, "counts": counts, "told": told}


def probed() -> Any:
    """Types of products inside branches and called functions are found; the host keeps all bits."""

    @tf.function(autograph=False)
    def inner(x: Any) -> Any:
        return tf.matmul(tf.cast(x, tf.bfloat16), tf.cast(x, tf.bfloat16))

    def branch(x: Any) -> Any:
        return tf.matmul(tf.cast(x, tf.float16), tf.cast(x, tf.float16))

    @tf.function(autograph=False)
    def outer(x: Any) -> Any:
        some = tf.cond(tf.reduce_sum(x) > 0, lambda: branch(x), lambda: tf.cast(x, tf.float16))
        return some, inner(x)

    spec = tf.TensorSpec((4, 4), tf.float32)
    nested = product_types(outer.get_concrete_function(spec).graph)
    none = product_types(tf.function(lambda x: x + 1).get_concrete_function(spec).graph)
    return {"nested": nested, "none": none, "bits": [kept_bits("/device:CPU:0", xla=xla) for xla in (False, True)]}


def waited() -> Any:
    """An operator that takes its time on an asynchronous executor: marks and edges come after it, calls before."""
    import time

    from hardware_specs import vendor
    from tensorflow.python.eager import context, executor

    from hardware.runtimes.tensorflow import TensorflowDevice
    from hardware.vendors.cpu import Cpu

    class AsynchronousHost(TensorflowDevice):
        asynchronous_on_host = True

    device = AsynchronousHost(Cpu(vendor("cpu")), on_host=True)

    def late(x: Any) -> Any:
        time.sleep(0.3)
        return x * 2

    delayed = tf.function(lambda x: tf.py_function(late, [x], tf.float32), autograph=False)
    delayed = delayed.get_concrete_function(tf.TensorSpec((), tf.float32))
    with context.executor_scope(executor.new_executor(True)):
        opening = device.event()
        opening.record()
        began_s = time.perf_counter()
        marks = []
        for _ in range(2):
            result = delayed(tf.constant(1.0))
            device.submitted(result)
            marks.append(device.event())
            marks[-1].record()
        submitted_s = time.perf_counter() - began_s
        device.synchronize()
        synchronised_s = time.perf_counter() - began_s
        steps = [device.elapsed_s(opening, marks[0]), device.elapsed_s(marks[0], marks[1])]

        class Failing:
            """A result whose device met an error."""

            def numpy(self) -> None:
                raise tf.errors.InternalError(None, None, "the device met an error")

        device.submitted(Failing())
        device.event().record()
        try:
            device.synchronize()
            failure = ""
        except RuntimeError as error:
            failure = str(error)
    return {"submitted_s": submitted_s, "synchronised_s": synchronised_s, "steps": steps, "failure": failure}


# --- the stepper ------------------------------------------------------------------------------------------------


def stepper() -> Any:
    """A resumed part goes on as the one that was not cut; evaluations with a short last batch change nothing."""
    from framework_run import case_of, context_of

    from runner.frameworks.implementations import build_trainable
    from runner.frameworks.keras.stepper import KerasStepper

    folder = Path(tempfile.mkdtemp())
    (folder / "events").mkdir()
    chosen = ["model=resnet50", "framework=tensorflow", "precision=fp16", "data=synthetic"]
    context = context_of(case_of(chosen), folder)

    def begun() -> Any:
        return KerasStepper(context, build_trainable(context))

    def train(one: Any, steps: int) -> list[float]:
        return [float(one.take_pass(one.placed(batch))) for _ in range(steps)]

    cut = begun()
    torch.manual_seed(3)
    batch = cut.original.synthetic_batch(8)
    torch.manual_seed(4)
    evaluated = [cut.original.synthetic_batch(size) for size in (8, 8, 3)]
    train(cut, 3)
    before = cut.weights()
    quality = cut.evaluate(evaluated)
    unchanged = all(np.array_equal(one, cut.weights()[name]) for name, one in before.items())
    cut.save(folder / "last.ckpt", {"best": 0.5})
    resumed = begun()
    state = resumed.load(folder / "last.ckpt")
    resumed_before = all(np.array_equal(one, resumed.weights()[name]) for name, one in before.items())
    losses = [train(cut, 3), train(resumed, 3)]
    ends = [cut.weights(), resumed.weights()]
    kept = [{name: one.numpy() for name, one in stepper.step.state.items()} for stepper in (cut, resumed)]
    network = resumed.original.network.eval()
    network.load_state_dict(resumed.port.to_original(before))
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        right = [(network(one["image"]).argmax(1) == one["label"]).float() for one in evaluated]
    told, _ = read_events(folder / "events/rank0.log")
    return {
        "state": state,
        "resumed": resumed_before,
        "losses": losses,
        "weights": all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0]),
        "optimizer": all(np.array_equal(kept[0][name], kept[1][name]) for name in kept[0]),
        "scale": float(kept[0]["scale/value"]),
        "steps": [cut.rates.steps, resumed.rates.steps],
        "unchanged": unchanged,
        "top1": [quality["top1"], float(torch.cat(right).mean())],
        "mismatch": _mismatch(cut, "bf16"),
        "match": _mismatch(cut, "fp16"),
        "traces": [event.value["what"] for event in told if event.name == "COMPILED"],
    }


def _mismatch(stepper: Any, asked: str) -> str:
    """What the probe says when another precision had been asked for."""
    from hardware_specs import precision

    from hardware.precision.probe import check

    try:
        check(stepper.probe(), precision(asked))
    except ValueError as error:
        return str(error)
    return ""


def strategy() -> Any:
    """A step through a strategy over one worker is the step without; its device is waited for."""
    import socket

    from hardware_specs import vendor

    from hardware.runtimes.tensorflow import TensorflowDevice
    from hardware.vendors.cpu import Cpu

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


GROUPS: dict[str, tuple[Callable[[], Any], ...]] = {
    "port": (same_network, sizes, there_and_back, types, refused),
    "step": (rules, momentum_of_another_rate, scale_rule, left_out, accumulated, traces, probed),
    "device": (waited,),
    "stepper": (stepper,),
    "strategy": (strategy,),
}


def main(group: str) -> None:
    """Every check of a group, also after one that failed."""
    found: dict[str, Any] = {}
    for check in GROUPS[group]:
        try:
            found[check.__name__] = check()
        except Exception:  # noqa: BLE001 -- what it was is for the test to show
            found[check.__name__] = {"error": traceback.format_exc()[-3000:]}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
