"""JAX's devices, as far as they can be judged without JAX."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from hardware.runtimes.jax import PREALLOCATE, OwnScalars, cuda_libraries, taken_ahead


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


def test_what_is_taken_ahead_of_need_is_known_by_the_variables_that_xla_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PREALLOCATE, raising=False)
    monkeypatch.delenv("XLA_PYTHON_CLIENT_ALLOCATOR", raising=False)
    assert PREALLOCATE in (taken_ahead() or "")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_ALLOCATOR", "platform")
    assert taken_ahead() is None
    monkeypatch.delenv("XLA_PYTHON_CLIENT_ALLOCATOR")
    monkeypatch.setenv(PREALLOCATE, "false")
    assert taken_ahead() is None


def test_libraries_are_those_that_jax_has_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def untold() -> int:
        raise RuntimeError("no NCCL")

    library = ModuleType("jax._src.lib")
    known = {"cuda_runtime_get_version": lambda: 13020, "cudnn_get_version": lambda: 91501, "nccl_get_version": untold}
    library.cuda_versions = SimpleNamespace(**known)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jax._src.lib", library)
    assert cuda_libraries() == {"cuda": "13.2", "cudnn": "91501"}
    library.cuda_versions = None  # type: ignore[attr-defined]
    assert cuda_libraries() == {}
