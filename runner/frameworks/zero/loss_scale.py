"""The scale of the loss in float16, over ranks that each hold a part of the gradients.

torch's gradient scaler looks at the gradients it is given, and under ZeRO each rank has others: one rank would skip a
step that another takes. ZeRO itself looks at the norm of all of them, and skips on all ranks alike. It is told the
scale, and this class moves it by the rules of the vendor's own scaler.
"""

from __future__ import annotations

from typing import Any


class SharedScale:
    """Halves with every step that ZeRO skipped, doubles after `interval` steps in a row that it took."""

    def __init__(self, optimizer: Any, scaler: Any) -> None:
        """Tell ZeRO's optimizer the scale that `scaler` begins with."""
        self._optimizer = optimizer
        self._growth, self._backoff = float(scaler.get_growth_factor()), float(scaler.get_backoff_factor())
        self._interval = int(scaler.get_growth_interval())
        self._taken = 0
        self.value = float(scaler.get_scale())
        optimizer.override_loss_scale(self.value)

    def update(self, *, skipped: bool) -> None:
        """Follow a step."""
        self._taken = 0 if skipped else self._taken + 1
        if skipped:
            self.value *= self._backoff
        elif self._taken == self._interval:
            self.value, self._taken = self.value * self._growth, 0
        self._optimizer.override_loss_scale(self.value)

    def state_dict(self) -> dict[str, float]:
        """For a checkpoint."""
        return {"value": self.value, "taken": self._taken}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from a checkpoint."""
        self.value, self._taken = state["value"], int(state["taken"])
        self._optimizer.override_loss_scale(self.value)
