"""`compiler=eager`: none; operators run one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.engines.base import Engine

if TYPE_CHECKING:
    from torch import nn


class Eager(Engine):
    """The framework alone."""

    def unavailable_reason(self) -> str | None:
        """Always there."""
        return None

    def compile(self, network: nn.Module) -> None:
        """Leave the network as it is."""
