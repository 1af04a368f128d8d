"""The types that a model is counted in: of its weights, and of autocast's products, cast as Lightning's plugins do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from models.datasets.base import Batch

NARROW = ("float16", "bfloat16")


@dataclass(slots=True, frozen=True)
class Cast:
    """One way to hold weights and to compute."""

    weights: torch.dtype
    autocast: torch.dtype | None

    @classmethod
    def of(cls, weights: str, autocast: str | None) -> Cast:
        """By torch's names of the types.

        Raises:
            ValueError: no precision is made of these.
        """
        mixed = weights == "float32" and autocast in (None, *NARROW)
        if not mixed and not (weights in NARROW and autocast is None):
            raise ValueError(f"Cannot count weights of {weights} with autocast to {autocast}")
        return cls(getattr(torch, weights), getattr(torch, autocast) if autocast else None)

    def module(self, module: nn.Module) -> None:
        """Bring a module's floating-point parameters and buffers to the weights' type."""
        module.to(self.weights)

    def batch(self, batch: Batch) -> Batch:
        """A batch whose floating-point tensors have the weights' type, where that is narrow."""
        if self.weights == torch.float32:
            return batch
        cast: Batch = tree_map_only(Tensor, lambda one: one.to(self.weights) if one.is_floating_point() else one, batch)
        return cast

    @contextmanager
    def forward(self) -> Iterator[None]:
        """In force during a forward pass: autocast, or the weights' type for new tensors."""
        if self.autocast is not None:
            with torch.autocast("cpu", dtype=self.autocast):
                yield
            return
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.weights)
        try:
            yield
        finally:
            torch.set_default_dtype(before)
