"""JAX's devices, as far as they can be judged without JAX."""

from __future__ import annotations

import numpy as np

from hardware.runtimes.jax import OwnScalars


class OverRanks:
    """An array of which each rank has one number."""

    def __init__(self, own: float) -> None:
        self.own = own

    def addressable_data(self, index: int) -> np.ndarray:
        return np.array([self.own], dtype=np.float32)


def test_a_rank_reads_its_own_loss() -> None:
    held = OwnScalars(4)
    held.put(0, OverRanks(2.5))
    held.put(1, np.float32(0.5))
    held.put(2, np.bool_(True))
    assert held.values(3) == [2.5, 0.5, 1.0]
    assert OwnScalars(2).values(2) == [0.0, 0.0]
