"""Names, units and form of what `runner.peaks` measures. Pure: no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hardware.chips import COMPUTE, Chip

MEMORY = "peak/memory_copy_gb_s"
ALL_REDUCE_BUS = "peak/all_reduce_bus_gb_s"
ALL_REDUCE_ALGORITHM = "peak/all_reduce_algorithm_gb_s"
POINT_TO_POINT = "peak/point_to_point_gb_s"

GIGA, TERA = 1e9, 1e12
FAR_BELOW = 0.8
"""Share of what a short try of the same size reached, below which a figure is not believed to be all that the device
can do. Clocks that fall under load cost accelerators less than that."""


def product(compute: str) -> str:
    """Name of the figure of a matrix product; `compute` is a key of the chip catalogue's peak rates."""
    return f"peak/matmul_{compute}_{'tops' if compute == 'int8' else 'tflops'}"


def copy(direction: str, memory: str) -> str:
    """Name of the figure of a copy: `host_to_device` or `device_to_host`; host memory `pinned` or `pageable`."""
    return f"peak/{direction}_{memory}_gb_s"


PRODUCTS = {product(compute): compute for compute in COMPUTE}
"""Figure to key of the chip catalogue's peak rates."""
COPIES = {
    copy(direction, memory): (direction, memory)
    for direction in ("host_to_device", "device_to_host")
    for memory in ("pinned", "pageable")
}
"""Figure to direction and kind of host memory."""
NAMES = (*PRODUCTS, MEMORY, *COPIES, ALL_REDUCE_BUS, ALL_REDUCE_ALGORITHM, POINT_TO_POINT)
"""Every figure, in the order they are measured and shown."""


def unit(name: str) -> str:
    """10^12 operations or 10^9 bytes per second."""
    if name in PRODUCTS:
        return "TOP/s" if name.endswith("_tops") else "TFLOP/s"
    return "GB/s"


@dataclass(kw_only=True, slots=True)
class Spread:
    """How far the timed blocks lie apart, in the figure's unit."""

    lowest: float
    highest: float
    relative: float
    """(highest - lowest) / median."""
    blocks: int


@dataclass(kw_only=True, slots=True)
class Peak:
    """One measured figure; a value that was not measured is null and has a reason."""

    value: float | None
    """Median over the timed blocks."""
    unit: str
    reason: str | None = None
    spread: Spread | None = None
    conditions: dict[str, Any] = field(default_factory=dict)
    """Size, types, calls, convention: what one must know to measure it again."""
    window_s: tuple[float, float] | None = None
    """Monotonic seconds of the first edge and the last, which join it with the power trace."""

    def __post_init__(self) -> None:
        assert (self.value is None) == (self.reason is not None), "null needs a reason, a value must have none"


def missing(names: Iterable[str], reason: str) -> dict[str, Peak]:
    """These figures without a value."""
    return {name: Peak(value=None, unit=unit(name), reason=reason) for name in names}


def data_sheet(name: str, chip: Chip | None) -> float | None:
    """What the chip's data sheet says of a figure, in its unit; null where it says nothing."""
    if chip is None:
        return None
    if name in PRODUCTS:
        return chip.peaks_tflops[PRODUCTS[name]]
    return chip.memory_bandwidth_gb_s if name == MEMORY else None
