"""Automatic mixed precision by `paddle.amp`: what is cast, who keeps float32 masters, what scales the loss."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
import paddle

from hardware.spec import PrecisionSpec

GROWTH_STEPS = 2000
"""Steps without an overflow after which the loss scale doubles: torch's and Paddle's default."""


class MixedPrecision:
    """How one precision is done at one level; nothing is mixed in float32."""

    def __init__(self, precision: PrecisionSpec, level: Literal["O1", "O2"], initial_loss_scale: float) -> None:
        self._type, self._level = precision.autocast, level
        self.scaler: Any = None
        """`paddle.amp.GradScaler`; None where nothing scales. Off the devices that Paddle mixes on, it is disabled."""
        if precision.loss_scaling:
            self.scaler = paddle.amp.GradScaler(init_loss_scaling=initial_loss_scale, incr_every_n_steps=GROWTH_STEPS)
            self._without_axis()

    @property
    def level(self) -> str | None:
        """`O1` or `O2`; None in float32."""
        return None if self._type is None else self._level

    @property
    def narrow(self) -> str | None:
        """Type of the network's own weights where that is not float32."""
        return self._type if self.level == "O2" else None

    def decorate(self, network: Any, optimizer: Any) -> tuple[Any, Any]:
        """Network and optimizer as the level has them; O2 makes the network's weights narrow."""
        if self.narrow is None:
            return network, optimizer
        decorated: tuple[Any, Any] = paddle.amp.decorate(
            models=network, optimizers=optimizer, level="O2", dtype=self.narrow, master_weight=True
        )
        return decorated

    def cast(self) -> AbstractContextManager[Any]:
        """Around a forward pass."""
        if self._type is None:
            return nullcontext()
        context: AbstractContextManager[Any] = paddle.amp.auto_cast(level=self._level, dtype=self._type)
        return context

    def scaled(self, share: Any) -> Any:
        """What the backward pass begins with."""
        return share if self.scaler is None else self.scaler.scale(share)

    def step(self, optimizer: Any) -> None:
        """Update the weights, unless a scaled gradient is not finite; clipping is the optimizer's, after unscaling."""
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()

    @property
    def skipped(self) -> bool | None:
        """Whether the last step left the weights alone; None without a scaler.

        Paddle has looked at it itself, before it decided whether to call the optimizer: nothing is waited for here.
        """
        return None if self.scaler is None else bool(self.scaler._cache_found_inf)

    def scales(self) -> bool:
        """Whether losses are really scaled; a scaler that does not know the device or the type switches itself off."""
        if self.scaler is None:
            return False
        with self.cast():
            pass  # the scaler looks at the type that was cast to last
        self.scaler.scale(paddle.ones([]))
        return bool(self.scaler.is_enable())

    def _without_axis(self) -> None:
        """Keep the scale without its axis of length 1.

        Paddle prints it when it lowers it, and NumPy from 2.4 on makes no number of an array with axes: version 3.3.1
        ends at the first overflow.
        """
        if self.scaler._scale is not None:
            self.scaler._scale = self.scaler._scale.reshape([])

    def state(self) -> dict[str, Any]:
        """Of the scaler: plain numbers."""
        kept = {} if self.scaler is None else self.scaler.state_dict()
        return {name: value.item() if isinstance(value, np.ndarray) else value for name, value in kept.items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        if self.scaler is not None:
            self.scaler.load_state_dict(state | {"scale": np.array([state["scale"]], dtype=np.float32)})
            self._without_axis()
