"""Verifies before anything is trained that the precision asked for is the one that runs, whatever the framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch

from hardware.precision.probe import check, probe
from hardware.precision.product_speed import time_to_float32
from runner.core.events import Name
from runner.measure.context import Context

if TYPE_CHECKING:
    from torch import nn

SLOW = 2.0
"""A narrow type whose products take so many times as long as float32 is not in the hardware."""


def verify_precision(
    context: Context,
    module: nn.Module,
    device: torch.device,
    forward_context: Callable[[], AbstractContextManager[Any]],
    *,
    plugin: Any,
    optimizers: Iterable[Any],
    beside: Mapping[str, Any] | None = None,
) -> None:
    """Probe parameters, autocast and matrix products, tell, and refuse what is not as asked.

    Args:
        context: the rank's.
        module: what is trained, as the framework has converted it.
        device: where it runs.
        forward_context: what a forward pass runs in.
        plugin: has the gradient scaler, where there is one.
        optimizers: their `param_groups` hold the weights that are updated.
        beside: what the framework itself has found out, such as the types of `products`.

    Raises:
        PrecisionUnsupportedError: what runs is not what was asked for.
    """
    found = probe(module, device, forward_context, plugin=plugin, optimizers=optimizers) | dict(beside or {})
    ratio = _product_time_ratio(context, device)
    context.events.emit(Name.PRECISION, found | {"product_time_to_float32": ratio})
    check(found, context.case.precision)
    if ratio is not None and ratio > SLOW and context.rank == 0:
        context.events.emit(Name.WARNING, {"message": _slow(context, ratio)})


def _products(context: Context) -> str:
    """The type in which most products are computed."""
    precision = context.case.precision
    return precision.autocast or precision.weights


def _product_time_ratio(context: Context, device: torch.device) -> float | None:
    """None for float32 itself."""
    products = _products(context)
    if products == "float32":
        return None
    return time_to_float32(getattr(torch, products), device, context.device.synchronize)


def _slow(context: Context, ratio: float) -> str:
    name, products = context.case.precision.name, _products(context)
    return (
        f"precision={name}: a matrix product in {products} takes {ratio:.0f} times as long as in float32 here, as "
        f"where software does what the hardware lacks. The figures are those of {products} on this device all the "
        "same; precision=fp32 is likely to be faster."
    )
