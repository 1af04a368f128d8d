"""Optimizers and learning-rate schedules by their field-standard names."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer as TorchOptimizer
from torch.optim.lr_scheduler import LambdaLR

from models.recipe import Optimizer, Schedule


def build_optimizer(recipe: Optimizer, decayed: list[nn.Parameter], undecayed: list[nn.Parameter]) -> TorchOptimizer:
    """The optimizer over two parameter groups; weight decay applies to the first alone."""
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": undecayed, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    given = {"momentum": recipe.momentum, "betas": recipe.betas, "eps": recipe.eps}
    options = {name: value for name, value in given.items() if value is not None}
    optimizer: TorchOptimizer = _optimizer_class(recipe.name)(groups, lr=recipe.lr, **options)
    return optimizer


def _optimizer_class(name: str) -> Any:
    if name == "lamb":
        from timm.optim import Lamb

        return Lamb
    return {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]


def build_scheduler(recipe: Schedule, optimizer: TorchOptimizer) -> LambdaLR:
    """Scheduler to be stepped once per optimizer step."""
    return LambdaLR(optimizer, lambda step: rate_factor(recipe, step))


def rate_factor(recipe: Schedule, step: int) -> float:
    """Learning rate at optimizer step `step` (0-based), divided by the peak rate."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    if recipe.name == "multistep":
        passed = [gamma for at, gamma in zip(recipe.milestones, recipe.gammas, strict=True) if step >= at]
        return passed[-1] if passed else 1.0
    if recipe.name == "constant" or recipe.total_steps is None:
        return 1.0
    span = max(1, recipe.total_steps - recipe.warmup_steps)
    progress = min(1.0, (step - recipe.warmup_steps) / span)
    shape = 0.5 * (1 + math.cos(math.pi * progress)) if recipe.name == "cosine" else 1.0 - progress
    return recipe.final_ratio + (1 - recipe.final_ratio) * shape
