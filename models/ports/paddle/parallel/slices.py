"""Which share of a tensor a rank of a tensor group has, and how the shares make the whole again; on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Slice:
    """How one tensor is shared."""

    axis: int | None = None
    """Along which it is cut; None: every rank has the whole of it."""
    joined: int = 1
    """So many equal tensors lie in it, one after the other along the axis; each is cut by itself."""

    def part(self, whole: Array, rank: int, ranks: int) -> Array:
        """A rank's share."""
        if self.axis is None:
            return whole
        cut = [np.split(one, ranks, self.axis)[rank] for one in np.split(whole, self.joined, self.axis)]
        return np.ascontiguousarray(np.concatenate(cut, self.axis))

    def whole(self, parts: Sequence[Array]) -> Array:
        """All ranks' shares, in their order, put together."""
        if self.axis is None:
            return parts[0]
        cut = [np.split(part, self.joined, self.axis) for part in parts]
        return np.concatenate([one[number] for number in range(self.joined) for one in cut], self.axis)
