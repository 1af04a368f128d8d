"""Whether a gradient scaler skipped the optimizer's step, known on the device without waiting for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def loss_scale(plugin: Any) -> Tensor | float | None:
    """The scale that a precision plugin's gradient scaler has now; None where nothing scales.

    A copy on the device: torch's scaler, and the vendors' that follow it, change theirs in place. `get_scale` would
    wait for the device; it is asked where a scaler keeps no tensor, as before its first step.
    """
    import torch

    scaler = getattr(plugin, "scaler", None)
    if scaler is None or not scaler.is_enabled():
        return None
    scale = getattr(scaler, "_scale", None)
    return scale.detach().clone() if isinstance(scale, torch.Tensor) else float(scaler.get_scale())


def step_was_skipped(before: Tensor | float, after: Tensor | float) -> Tensor | bool:
    """Whether the step between two scales left the weights alone.

    A scaler lowers its scale when it met a gradient that is not finite, and never else; a scale that came down to 0
    makes every gradient NaN and cannot fall any more.
    """
    return (after < before) | (after == 0)
