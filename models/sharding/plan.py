"""How a model's matrices are split over the ranks of a tensor group, as its file says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from typing import Literal

Split = Literal["columns", "rows", "columns_gathered", "rows_of_whole", "summed"]
"""How one module is split; all that are not named in a plan are whole on every rank.

columns: each rank computes its share of the outputs, which stay apart (a layer that heads or `rows` follow).
rows: each rank takes its share of the inputs, as `columns` left them; the outputs are added up over the ranks.
columns_gathered: as `columns`, and every rank gets all outputs (a head over the vocabulary; an embedding's width).
rows_of_whole: as `rows`, of inputs that are whole (of an embedding, each rank has its share of the vocabulary).
summed: whole, but applied to a rank's own heads, so that its gradient is added up over the ranks.
"""


@dataclass(kw_only=True, slots=True, frozen=True)
class TensorPlan:
    """Of one network, at its sizes."""

    splits: Mapping[str, Split]
    """Glob patterns of modules' names in the network, each with how they are split."""
    divides: Mapping[str, int]
    """What is split, in words, with its size: each must be a multiple of the number of ranks."""

    @property
    def fitting(self) -> list[int]:
        """Numbers of ranks, more than one, that divide everything."""
        common = gcd(*self.divides.values())
        return [count for count in range(2, common + 1) if common % count == 0]
