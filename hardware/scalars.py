"""Scalars that stay on a device until they are asked for: losses of a segment, whether its steps were skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


class Scalars(Protocol):
    """Places for scalars, filled in the order of the device's work without waiting for it."""

    def put(self, place: int, value: Any) -> None:
        """Keep a scalar: one of the framework's, on the device, or a Python number."""

    def values(self, count: int) -> list[float]:
        """The first `count` of them, 0 where nothing was put; waits for the device."""


class TensorScalars:
    """In one tensor of torch's.

    Kept one by one, each where the allocator happened to place it, they would cut the memory that a step frees to
    pieces: the next steps would need fresh pages, more with every step.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        import torch

        self._tensor = torch.zeros(count, device=device, dtype=torch.float32)

    def put(self, place: int, value: Any) -> None:
        """Copy it on the device, in the order of its work."""
        self._tensor[place] = value.detach() if hasattr(value, "detach") else value

    def values(self, count: int) -> list[float]:
        """As numbers."""
        found: list[float] = self._tensor[:count].tolist()
        return found


class HeldScalars:
    """As the framework's own objects, for frameworks whose arrays cannot be written into."""

    def __init__(self, count: int) -> None:
        self._held: list[Any] = [0.0] * count

    def put(self, place: int, value: Any) -> None:
        """Keep a reference."""
        self._held[place] = value

    def values(self, count: int) -> list[float]:
        """As numbers."""
        return [float(value) for value in self._held[:count]]
