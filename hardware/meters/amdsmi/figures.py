"""How each figure is read from AMD's Python library `amdsmi`, whose names and keys changed over ROCm 5.7 to 7.

A way raises the library's `AmdSmiException`, `AttributeError` where the library has no such function, or `LookupError`
where the answer is void: `N/A`, a number with all bits set, one that is not possible. Sources: amdsmi_interface.py of
these versions; amdsmi.h for units (watts, microjoules per count, degrees Celsius, MHz) and for which key a chip fills.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

Figure = Callable[[ModuleType, Any], Any]

MOST_W, HOTTEST_C, FASTEST_MHZ = 3000.0, 150.0, 10_000.0
"""No board draws more, runs hotter or clocks higher."""
VOID = frozenset({2**64 - 1, 2**32 - 1, 2**16 - 1})
"""What the library answers for what a chip does not have."""
MIB = 2**20


def number(value: object, *, most: float, least: float = 0.0) -> float:
    """A number that a sensor can mean.

    Raises:
        LookupError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise LookupError(f"void: {value}")
    return float(value)


def _call(smi: ModuleType, names: tuple[str, ...], *arguments: Any) -> Any:
    """The function under the first of its names that this version has."""
    name = next((name for name in names if hasattr(smi, name)), names[0])
    return getattr(smi, name)(*arguments)


def _first(answer: Mapping[str, Any], keys: tuple[str, ...], *, most: float, positive: bool = False) -> float:
    """The first of these keys that holds a number."""
    for key in keys:
        value = answer.get(key)
        if isinstance(value, int | float) and value not in VOID and value <= most and (value > 0 or not positive):
            return number(value, most=most)
    raise LookupError(f"none of {', '.join(keys)} is told")


def power_w(smi: ModuleType, handle: Any) -> float:
    """Power of the socket: now (MI300 and later), else a mean (MI200, Navi and earlier).

    `socket_power`, which ROCm 7 fills for all chips, comes last: before, it was in microwatts and for hosts alone.
    """
    answer = _call(smi, ("amdsmi_get_power_info", "amdsmi_get_power_measure"), handle)
    keys = ("current_socket_power", "average_socket_power", "socket_power")
    return _first(answer, keys, most=MOST_W, positive=True)


def energy_j(smi: ModuleType, handle: Any) -> float:
    """Energy since the driver was loaded: a 64-bit count, which at 15 microjoules each never comes round."""
    answer = _call(smi, ("amdsmi_get_energy_count", "amdsmi_dev_get_energy_count"), handle)
    counts = answer.get("energy_accumulator", answer.get("power"))  # the key's name until ROCm 6.2
    resolution_uj = number(answer.get("counter_resolution"), most=1e6)
    joules = number(counts, most=2**64 - 2) * resolution_uj * 1e-6
    if joules <= 0:
        raise LookupError("a counter that stands at 0 counts nothing")
    return joules


def temperature_c(smi: ModuleType, handle: Any) -> float:
    """Temperature of the hottest spot of the die; where a chip has no such sensor, of its edge."""
    kinds = smi.AmdSmiTemperatureType
    problem: Exception = LookupError("no temperature sensor")
    for name in ("HOTSPOT", "JUNCTION", "EDGE"):
        try:
            now = smi.AmdSmiTemperatureMetric.CURRENT
            return number(smi.amdsmi_get_temp_metric(handle, getattr(kinds, name), now), most=HOTTEST_C)
        except (smi.AmdSmiException, LookupError, AttributeError) as error:
            problem = error
    raise problem


def utilisation(smi: ModuleType, handle: Any) -> float:
    """Share of time in which the graphics and compute engine was busy, 0..1."""
    return number(smi.amdsmi_get_gpu_activity(handle).get("gfx_activity"), most=100) / 100


def memory_bytes(smi: ModuleType, handle: Any) -> int:
    """Device memory in use."""
    return int(number(smi.amdsmi_get_gpu_memory_usage(handle, smi.AmdSmiMemoryType.VRAM), most=2**50))


def memory_mib_bytes(smi: ModuleType, handle: Any) -> int:
    """The same, told in MiB."""
    return int(number(smi.amdsmi_get_gpu_vram_usage(handle).get("vram_used"), most=2**30)) * MIB


def clock_mhz(smi: ModuleType, handle: Any) -> float:
    """Clock of the compute units."""
    answer = _call(smi, ("amdsmi_get_clock_info", "amdsmi_get_clock_measure"), handle, smi.AmdSmiClkType.GFX)
    return _first(answer, ("clk", "cur_clk"), most=FASTEST_MHZ)


FIGURES: dict[str, tuple[Figure, ...]] = {
    "energy_j": (energy_j,),
    "power_w": (power_w,),
    "temperature_c": (temperature_c,),
    "utilisation": (utilisation,),
    "memory_used_bytes": (memory_bytes, memory_mib_bytes),
    "clock_mhz": (clock_mhz,),
}
"""Field of `Reading` to the ways to read it, the better one first."""
FAST = frozenset({"energy_j", "power_w"})
"""Read every time; the others, which change slowly, once a second."""
