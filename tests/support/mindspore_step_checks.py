"""Checks of steps over a matrix and a bias, against torch's optimizers and by hand; `mindspore_checks.py` runs them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import mindspore
import numpy as np
import torch
from mindspore import Parameter, Tensor, nn
from torch import nn as torch_nn

from models.optimizers import build_optimizer as torch_optimizer
from models.training import Optimizer, ParameterGroup
from runner.frameworks.cells.optimizer import build_rule
from runner.frameworks.cells.programs import Programs
from runner.frameworks.cells.step import build_passes
from runner.frameworks.ported.recipe import Treatment

MODES = (False, True)
"""Operator by operator, and compiled."""


class Events:
    """Keeps what is emitted."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def emit(self, name: Any, value: dict[str, Any]) -> None:
        """Keep it."""
        self.told.append((str(name), value))


class Linear(nn.Cell):  # type: ignore[misc]
    """The mean of the inputs times a matrix and a bias; its gradients are the inputs' means."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = Parameter(Tensor([[1.0, -2.0], [0.5, 3.0]], mindspore.float32), name="matrix")
        self.bias = Parameter(Tensor([0.25, -1.0], mindspore.float32), name="bias")

    def construct(self, values: Tensor) -> Tensor:
        return ((values * self.matrix).sum(axis=(1, 2)) + (self.bias * values[:, 0]).sum(axis=1)).mean()


class Torchs(torch_nn.Module):
    """The same in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = torch_nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 3.0]]))
        self.bias = torch_nn.Parameter(torch.tensor([0.25, -1.0]))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return ((values * self.matrix).sum((1, 2)) + (self.bias * values[:, 0]).sum(1)).mean()


TREATED = {"matrix": Treatment(1.0, 0.1), "bias": Treatment(0.5, 0.0)}
GROUP = ParameterGroup(match=("bias",), lr_ratio=0.5, weight_decay=0.0)


def steps_of(
    recipe: Optimizer, compiled: bool, *, passes: int = 1, scales: bool = False, norm: float | None = None
) -> Any:
    """The functions of a step over `Linear`."""
    cell = Linear()
    rule = build_rule(recipe, [cell.matrix, cell.bias], TREATED)
    accumulate, step, state = build_passes(
        cell, [cell.matrix, cell.bias], rule, passes=passes, scales=scales, max_norm=norm, world=1
    )
    programs = Programs(Events(), compiles=compiled)  # type: ignore[arg-type]
    return SimpleNamespace(
        cell=cell, accumulate=programs.of("pass", accumulate), step=programs.of("step", step), state=state
    )


def drawn(number: int, rows: int = 2) -> np.ndarray[Any, Any]:
    """Inputs of one pass."""
    return np.random.default_rng(number).normal(size=(rows, 2, 2)).astype(np.float32)


def weights_of(cell: Any) -> list[float]:
    """All numbers of both tensors."""
    return [float(one) for tensor in (cell.matrix, cell.bias) for one in tensor.asnumpy().ravel()]


def weights_of_torch(module: Torchs) -> list[float]:
    """As above."""
    return [float(one) for tensor in (module.matrix, module.bias) for one in tensor.detach().numpy().ravel()]


def rate(value: float) -> Tensor:
    """As the stepper gives it."""
    return Tensor(value, mindspore.float32)


RECIPES = {
    "sgd": Optimizer(name="sgd", lr=0.1, weight_decay=0.1, groups=(GROUP,)),
    "momentum": Optimizer(name="sgd", lr=0.1, momentum=0.9, weight_decay=0.1, groups=(GROUP,)),
    "nesterov": Optimizer(name="sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, groups=(GROUP,)),
    "adam": Optimizer(name="adam", lr=0.1, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.1, groups=(GROUP,)),
    "adamw": Optimizer(name="adamw", lr=0.1, weight_decay=0.1, groups=(GROUP,)),
}


def optimizers() -> dict[str, float]:
    """How far each rule is from torch's after four steps of changing rates, clipped by the norm; both ways to run."""
    found: dict[str, float] = {}
    for name, recipe in RECIPES.items():
        for compiled in MODES:
            module, own = Torchs(), steps_of(recipe, compiled, norm=0.5)
            optimizer = torch_optimizer(recipe, module.named_parameters())
            for number, factor in enumerate((1.0, 0.5, 2.0, 1.0)):
                for group in optimizer.param_groups:
                    group["lr"] = 0.1 * factor * (0.5 if group["params"][0] is module.bias else 1.0)
                values = drawn(number)
                optimizer.zero_grad()
                module(torch.from_numpy(values)).backward()
                torch_nn.utils.clip_grad_norm_(module.parameters(), 0.5)
                optimizer.step()
                own.step(rate(0.1 * factor), Tensor(values))
            apart = np.abs(np.array(weights_of(own.cell)) - np.array(weights_of_torch(module))).max()
            found[f"{name}, {'graph' if compiled else 'pynative'}"] = float(apart)
    return found


def accumulation() -> dict[str, Any]:
    """Weights after a step of one pass of four samples, and of two passes of two; and after another step of each."""
    found: dict[str, Any] = {}
    for compiled in MODES:
        whole, halves = steps_of(RECIPES["momentum"], compiled), steps_of(RECIPES["momentum"], compiled, passes=2)
        shares = []
        for number in range(2):
            values = drawn(number, rows=4)
            share, _ = whole.step(rate(0.1), Tensor(values))
            first = halves.accumulate(Tensor(values[:2]))
            second, _ = halves.step(rate(0.1), Tensor(values[2:]))
            shares.append([float(share), float(first) + float(second)])
        found["graph" if compiled else "pynative"] = {
            "whole": weights_of(whole.cell),
            "halves": weights_of(halves.cell),
            "shares": shares,
        }
    return found


def overflow() -> dict[str, Any]:
    """A scaled step, one that overflows and one more: weights, moments, scale, whether each was taken."""
    found: dict[str, Any] = {}
    for recipe in ("momentum", "adam"):
        for compiled in MODES:
            own = steps_of(RECIPES[recipe], compiled, scales=True)
            plain = steps_of(RECIPES[recipe], compiled)
            told = []
            for number, values in enumerate((drawn(0), np.full((2, 2, 2), np.inf, np.float32), drawn(1))):
                _, finite = own.step(rate(0.1), Tensor(values))
                if number != 1:
                    plain.step(rate(0.1), Tensor(values))
                moments = {
                    name: one.asnumpy().tolist() for name, one in own.state.items() if name not in ("scale", "counter")
                }
                told.append([bool(finite), weights_of(own.cell), moments, float(own.state["scale"])])
            name = f"{recipe}, {'graph' if compiled else 'pynative'}"
            found[name] = {"told": told, "plain": weights_of(plain.cell), "counter": int(own.state["counter"])}
    return found
