"""Distributions that a framework consists of, by its name in `framework=`: their versions are told with a result."""

from __future__ import annotations

from types import MappingProxyType

DISTRIBUTIONS = MappingProxyType(
    {
        "deepspeed": ("deepspeed",),
        "paddle": ("paddlepaddle", "paddlepaddle-gpu", "paddlepaddle-xpu", "paddle-iluvatar-gpu"),
        "tensorflow": ("tensorflow", "tensorflow-cpu", "keras"),
        "jax": ("jax", "jaxlib", "flax", "optax"),
        "megatron": ("megatron-core", "transformer-engine"),
        "mindspore": ("mindspore",),
    }
)
"""Of those that are not installed nothing is told: a build for a vendor's chips has a name of its own."""


def distributions_of(framework: str | None = None) -> tuple[str, ...]:
    """Of one framework; None: of all."""
    found = DISTRIBUTIONS.values() if framework is None else (DISTRIBUTIONS.get(framework, ()),)
    return tuple(name for names in found for name in names)
