"""Optimizers by their field-standard names, over groups of parameters."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer as TorchOptimizer
from torch.optim.lr_scheduler import LambdaLR

from models.schedules import rate_factor
from models.training import Optimizer, ParameterGroup, Schedule

_REST = ParameterGroup(match=("*",))


def parameter_groups(recipe: Optimizer, named: Iterable[tuple[str, nn.Parameter]]) -> list[dict[str, Any]]:
    """Trained parameters in torch's form of groups, each with its learning rate and weight decay; none is empty.

    Args:
        recipe: the optimizer with its groups; what none of them matches follows the optimizer itself.
        named: the network's parameters with their names.

    Raises:
        ValueError: a group of the recipe matches no parameter; names it.
    """
    parts: dict[tuple[int, bool], list[nn.Parameter]] = {}
    matched: set[int] = set()
    candidates = (*recipe.groups, _REST)
    for name, parameter in named:
        number = next(i for i, group in enumerate(candidates) if any(fnmatchcase(name, glob) for glob in group.match))
        matched.add(number)
        if parameter.requires_grad and candidates[number].lr_ratio > 0:
            decays = recipe.decay == "all" or parameter.ndim > 1
            parts.setdefault((number, decays), []).append(parameter)
    for number, group in enumerate(recipe.groups):
        if number not in matched:
            raise ValueError(f"model.train.optimizer.groups: no parameter is called {' or '.join(group.match)}")
    groups = []
    for (number, decays), parameters in sorted(parts.items(), key=lambda part: (-part[0][0], not part[0][1])):
        group = candidates[number]
        decay = recipe.weight_decay if group.weight_decay is None else group.weight_decay
        rate = recipe.lr * group.lr_ratio
        groups.append({"params": parameters, "lr": rate, "weight_decay": decay if decays else 0.0})
    return groups


def build_optimizer(recipe: Optimizer, named: Iterable[tuple[str, nn.Parameter]]) -> TorchOptimizer:
    """The optimizer over the network's parameters; the first of its groups has the recipe's own learning rate."""
    given = {name: getattr(recipe, name) for name in ("momentum", "nesterov", "alpha", "betas", "eps")}
    options = {name: value for name, value in given.items() if value is not None}
    optimizer: TorchOptimizer = _optimizer_class(recipe.name)(parameter_groups(recipe, named), lr=recipe.lr, **options)
    return optimizer


def _optimizer_class(name: str) -> Any:
    if name == "lamb":
        from timm.optim import Lamb

        return Lamb
    classes = {
        "sgd": "SGD",
        "adam": "Adam",
        "adamw": "AdamW",
        "adafactor": "Adafactor",
        "rmsprop": "RMSprop",
        "adagrad": "Adagrad",
    }
    return getattr(torch.optim, classes[name])


def build_scheduler(recipe: Schedule, optimizer: TorchOptimizer, *, steps_per_epoch: float | None = None) -> LambdaLR:
    """Scheduler to be stepped once per optimizer step."""
    return LambdaLR(optimizer, lambda step: rate_factor(recipe, step, steps_per_epoch))
