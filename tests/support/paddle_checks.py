"""Checks that need Paddle, all in one process of their own: `paddle_checks.py` prints what each found as JSON."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import paddle
import torch
from torch import nn

from hardware.spec import PrecisionSpec
from models.optimizers import build_optimizer as torch_optimizer
from models.ports.paddle import attention as attention_module
from models.ports.paddle.attention import attention
from models.ports.paddle.port import sequence_losses, token_loss
from models.training import Optimizer
from runner.frameworks.fleet.optimizer import build_optimizer
from runner.frameworks.fleet.precision import MixedPrecision
from runner.frameworks.ported.recipe import Treatment

FP16 = PrecisionSpec(name="fp16", weights="float32", autocast="float16", matmul="ieee", loss_scaling=True)
RATES = (0.01, 0.02, 0.005)
"""Of three steps, one after the other."""


def as_on_a_device() -> None:
    """Have paddle.amp take the host's processor for a custom device; off devices it does nothing at all."""
    place = types.SimpleNamespace(is_gpu_place=bool, is_xpu_place=bool, is_custom_place=lambda: True)
    for name in ("paddle.amp.auto_cast", "paddle.amp.grad_scaler"):
        module: Any = importlib.import_module(name)
        real = module._dygraph_tracer

        class Tracer:
            """Paddle's own, elsewhere."""

            def __getattr__(self, name: str, real: Any = real) -> Any:
                return place if name == "_expected_place" else getattr(real(), name)

            def __setattr__(self, name: str, value: Any, real: Any = real) -> None:
                setattr(real(), name, value)

        module._dygraph_tracer = Tracer
    importlib.import_module("paddle.amp.auto_cast")._is_custom_device_bfloat16_supported = lambda: True  # type: ignore[attr-defined]


# --- optimizers -------------------------------------------------------------------------------------------------


class Small(nn.Module):
    """A matrix that is decayed, one that learns at another rate, and a bias that is not decayed."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.first = nn.Parameter(torch.randn(4, 3, generator=generator))
        self.second = nn.Parameter(torch.randn(3, 3, generator=generator))
        self.bias = nn.Parameter(torch.randn(3, generator=generator))


def updated(recipe: Optimizer, max_grad_norm: float | None, scale: float) -> dict[str, float]:
    """The largest difference to torch after each of three steps, and how far the steps went."""
    twin = Small()
    rule = torch_optimizer(recipe, twin.named_parameters())
    treatments = {
        name: Treatment(group["lr"] / recipe.lr, group["weight_decay"])
        for group in rule.param_groups
        for name, one in twin.named_parameters()
        if any(one is other for other in group["params"])
    }
    layer = paddle.nn.Layer()
    for name, one in twin.named_parameters():
        parameter = layer.create_parameter(list(one.shape))
        parameter.set_value(paddle.to_tensor(one.detach().numpy()))
        setattr(layer, name, parameter)
    own = dict(layer.named_parameters())
    optimizer = build_optimizer(recipe, max_grad_norm, own, treatments)
    begin = {name: one.numpy().copy() for name, one in own.items()}
    generator, worst = np.random.default_rng(5), 0.0
    for rate in RATES:
        for name, one in twin.named_parameters():
            gradient = (scale * generator.standard_normal(one.shape)).astype(np.float32)
            one.grad = torch.from_numpy(gradient)
            own[name].grad = paddle.to_tensor(gradient)
        for group in rule.param_groups:
            group["lr"] = rate * group["lr"] / group.get("last", recipe.lr)
            group["last"] = rate
        if max_grad_norm is not None:
            nn.utils.clip_grad_norm_(twin.parameters(), max_grad_norm)
        rule.step()
        optimizer.set_lr(rate)
        optimizer.step()
        optimizer.clear_grad(set_to_zero=False)
        for name, one in twin.named_parameters():
            worst = max(worst, float(np.abs(own[name].numpy() - one.detach().numpy()).max()))
    moved = max(float(np.abs(own[name].numpy() - begin[name]).max()) for name in own)
    return {"worst": worst, "moved": moved}


RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {"name": "sgd"},
    "momentum": {"name": "sgd", "momentum": 0.9, "weight_decay": 0.1},
    "nesterov": {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "decay": "all"},
    "adam": {"name": "adam", "weight_decay": 0.1, "betas": (0.9, 0.98), "eps": 1e-6},
    "adamw": {"name": "adamw", "weight_decay": 0.1, "betas": (0.9, 0.95)},
    "lamb": {"name": "lamb", "weight_decay": 0.01, "betas": (0.9, 0.999), "eps": 1e-6},
}


def optimizers() -> dict[str, Any]:
    """Each, with a group of half the rate; clipped, not clipped, and with gradients that LAMB clips by itself."""
    groups = [{"match": ("second",), "lr_ratio": 0.5}]
    found = {}
    for name, values in RECIPES.items():
        recipe = Optimizer(lr=RATES[0], groups=_groups(groups), **values)
        for case, norm, scale in (("free", None, 0.1), ("clipped", 0.5, 1.0), ("large", None, 10.0)):
            found[f"{name} {case}"] = updated(recipe, norm, scale)
    return found


def _groups(groups: list[dict[str, Any]]) -> tuple[Any, ...]:
    from models.training import ParameterGroup

    return tuple(ParameterGroup(**group) for group in groups)


def refused() -> dict[str, str]:
    """What an optimizer that Paddle does not have in torch's form is told."""
    found = {}
    layer = paddle.nn.Linear(2, 2)
    own = dict(layer.named_parameters())
    for name, decays in (("adagrad", (0.0, 0.0)), ("adamw", (0.1, 0.2))):
        treatments = {key: Treatment(1.0, decay) for key, decay in zip(own, decays, strict=True)}
        try:
            build_optimizer(Optimizer(name=name, lr=0.1), None, own, treatments)  # type: ignore[arg-type]
        except ValueError as error:
            found[name] = str(error)
    return found


# --- mixed precision ----------------------------------------------------------------------------------------------


def scaler() -> dict[str, Any]:
    """Four steps of a scaled float32 network, the second of which overflows; then the state in a new scaler."""
    amp = MixedPrecision(FP16, "O1", 1024.0)
    scales = amp.scales()
    layer = paddle.nn.Linear(2, 1, bias_attr=False)
    layer.weight.set_value(paddle.to_tensor([[1.0], [2.0]]))
    rule = build_optimizer(
        Optimizer(name="sgd", lr=0.5), None, {"weight": layer.weight}, {"weight": Treatment(1.0, 0.0)}
    )
    steps = []
    for factor in (1.0, float("inf"), 1.0, float("nan")):
        loss = (layer(paddle.to_tensor([[3.0, 4.0]])) * factor).sum()
        amp.scaled(loss).backward()
        amp.step(rule)
        steps.append({"skipped": amp.skipped, "scale": amp.state()["scale"], "weight": layer.weight.flatten().tolist()})
        rule.clear_grad(set_to_zero=False)
    again = MixedPrecision(FP16, "O1", 1024.0)
    again.set_state(amp.state())
    return {"scales": scales, "steps": steps, "state": amp.state(), "again": again.state(), "narrow": amp.narrow}


def clipped_after_unscaling() -> list[float]:
    """A gradient (3, 4), scaled by 1024, clipped to norm 1, taken by a step of rate 1."""
    amp = MixedPrecision(FP16, "O1", 1024.0)
    amp.scales()
    layer = paddle.nn.Linear(2, 1, bias_attr=False)
    layer.weight.set_value(paddle.zeros([2, 1]))
    rule = build_optimizer(
        Optimizer(name="sgd", lr=1.0), 1.0, {"weight": layer.weight}, {"weight": Treatment(1.0, 0.0)}
    )
    amp.scaled(layer(paddle.to_tensor([[3.0, 4.0]])).sum()).backward()
    amp.step(rule)
    weights: list[float] = layer.weight.flatten().tolist()
    return weights


def levels() -> dict[str, Any]:
    """What decoration does to a network with a norm, at each level and without mixed precision."""
    found: dict[str, Any] = {}
    fp32 = PrecisionSpec(name="fp32", weights="float32", autocast=None, matmul="ieee")
    for case, precision, level in (("O1", FP16, "O1"), ("O2", FP16, "O2"), ("fp32", fp32, "O2")):
        amp = MixedPrecision(precision, level, 1024.0)  # type: ignore[arg-type]
        layer = paddle.nn.Sequential(paddle.nn.Linear(2, 2), paddle.nn.LayerNorm(2))
        own = dict(layer.named_parameters())
        rule = build_optimizer(Optimizer(name="adamw", lr=0.1), None, own, dict.fromkeys(own, Treatment(1.0, 0.0)))
        network, optimizer = amp.decorate(layer, rule)
        found[case] = {
            "types": {name: str(one.dtype) for name, one in network.named_parameters()},
            "masters": bool(optimizer._multi_precision),
            "level": amp.level,
            "scales": amp.scales(),
            "skipped": amp.skipped,
        }
    return found


@contextmanager
def as_fused() -> Iterator[None]:
    """Have attention take Paddle's own function, which on the host is a formula."""
    kept = attention_module.has_kernel
    attention_module.has_kernel = lambda dtype: dtype == paddle.float32
    try:
        yield
    finally:
        attention_module.has_kernel = kept


# --- functions ----------------------------------------------------------------------------------------------------


def functions() -> dict[str, float]:
    """Attention and losses against torch's: largest differences."""
    generator = np.random.default_rng(1)
    query, key, value = (generator.standard_normal((2, 5, heads, 8)).astype(np.float32) for heads in (4, 2, 2))
    seen = np.array([[True] * 5, [True, True, True, False, False]])[:, None, None, :]

    def theirs(**options: Any) -> np.ndarray[Any, Any]:
        left, middle, right = (torch.from_numpy(one).transpose(1, 2) for one in (query, key, value))
        mixed = nn.functional.scaled_dot_product_attention(left, middle, right, enable_gqa=True, **options)
        found: np.ndarray[Any, Any] = mixed.transpose(1, 2).numpy()
        return found

    own = [paddle.to_tensor(one) for one in (query, key, value)]
    scores = generator.standard_normal((3, 4, 7)).astype(np.float32)
    targets = np.array([[1, 2, -100, 3], [0, 6, 5, -100], [-100, -100, 1, 1]])
    counted = np.abs(targets) % 7
    ignored = np.full_like(targets, -100)
    flat = nn.functional.cross_entropy(torch.from_numpy(scores).flatten(0, 1), torch.from_numpy(targets).flatten())
    rows = nn.functional.cross_entropy(
        torch.from_numpy(scores).transpose(1, 2), torch.from_numpy(counted), reduction="none"
    ).mean(dim=-1)
    mine = sequence_losses(paddle.to_tensor(scores), paddle.to_tensor(counted)).numpy()
    paddle.seed(7)
    dropped = attention(*own, causal=True, dropout=0.5, training=True).numpy()
    kept = attention(*own, causal=True, dropout=0.5, training=False).numpy()
    with as_fused():
        fused = {
            "fused_causal": attention(*own, causal=True).numpy() - theirs(is_causal=True),
            "fused_seen": attention(*own, seen=paddle.to_tensor(seen)).numpy()
            - theirs(attn_mask=torch.from_numpy(seen)),
        }
    return {name: float(np.abs(one).max()) for name, one in fused.items()} | {
        "causal": float(np.abs(attention(*own, causal=True).numpy() - theirs(is_causal=True)).max()),
        "seen": float(
            np.abs(
                attention(*own, seen=paddle.to_tensor(seen)).numpy() - theirs(attn_mask=torch.from_numpy(seen))
            ).max()
        ),
        "token_loss": abs(float(token_loss(paddle.to_tensor(scores), paddle.to_tensor(targets))) - float(flat)),
        "nothing_counts": float(token_loss(paddle.to_tensor(scores), paddle.to_tensor(ignored))),
        "sequence_losses": float(np.abs(mine - rows.numpy()).max()),
        "evaluation_drops": float(np.abs(kept - theirs(is_causal=True)).max()),
        "training_drops": float(np.abs(dropped - kept).max()),
    }


CHECKS: tuple[Callable[[], Any], ...] = (
    optimizers,
    refused,
    functions,
    scaler,
    clipped_after_unscaling,
    levels,
)


def main() -> None:
    """Do every check; one that fails leaves its traceback."""
    paddle.set_device("cpu")
    as_on_a_device()
    found: dict[str, Any] = {}
    for check in CHECKS:
        try:
            found[check.__name__] = check()
        except Exception:  # noqa: BLE001 -- told to the test that reads it
            found[check.__name__] = {"failed": traceback.format_exc()}
    sys.stdout.write("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
