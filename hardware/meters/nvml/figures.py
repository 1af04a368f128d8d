"""How each figure is read from NVML: one or more ways each, the better one first.

A way raises NVML's error, `AttributeError` where the binding is too old, or `LookupError` where the answer is void.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

Figure = Callable[[ModuleType, Any], Any]

_VALUE_OF_TYPE = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Member of NVML's field value, by its `nvmlValueType_t`."""


def power_instant_w(nvml: ModuleType, handle: Any) -> float:
    """Power now, of the GPU alone (scope 0)."""
    field = nvml.nvmlDeviceGetFieldValues(handle, [nvml.NVML_FI_DEV_POWER_INSTANT])[0]
    if field.nvmlReturn != nvml.NVML_SUCCESS:
        raise LookupError("no instantaneous power")
    return _positive(getattr(field.value, _VALUE_OF_TYPE[field.valueType])) / 1000


def power_usage_w(nvml: ModuleType, handle: Any) -> float:
    """Power, on many GPUs the mean of the last second."""
    return _positive(nvml.nvmlDeviceGetPowerUsage(handle)) / 1000


def _positive(milliwatts: float) -> float:
    if milliwatts <= 0:
        raise LookupError("a GPU that answers draws power")
    return milliwatts


def energy_j(nvml: ModuleType, handle: Any) -> float:
    """Energy since the driver was loaded; NVML counts millijoules."""
    return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000


def temperature_c(nvml: ModuleType, handle: Any) -> float:
    """Temperature of the die."""
    return float(nvml.nvmlDeviceGetTemperatureV(handle, nvml.NVML_TEMPERATURE_GPU))


def temperature_old_c(nvml: ModuleType, handle: Any) -> float:
    """Temperature of the die, from drivers before 560."""
    return float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))


def utilisation(nvml: ModuleType, handle: Any) -> float:
    """Share of NVML's last sample period in which a kernel ran, 0..1."""
    return float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100


def memory_bytes(nvml: ModuleType, handle: Any) -> int:
    """Memory in use without what the driver reserves for itself."""
    return int(nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2).used)


def memory_old_bytes(nvml: ModuleType, handle: Any) -> int:
    """Memory in use, the driver's own included."""
    return int(nvml.nvmlDeviceGetMemoryInfo(handle).used)


def clock_mhz(nvml: ModuleType, handle: Any) -> float:
    """Clock of the streaming multiprocessors."""
    return float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))


def throttle(nvml: ModuleType, handle: Any) -> str:
    """Why the clock is not higher, NVML's names joined by `+`."""
    return _reasons(nvml, int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)))


def throttle_old(nvml: ModuleType, handle: Any) -> str:
    """The same, from drivers before 535."""
    return _reasons(nvml, int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)))


def _reasons(nvml: ModuleType, mask: int) -> str:
    """Names of the bits set in `mask`; a bit without one is written as a number."""
    names = _reason_names(nvml)
    bits = [1 << i for i in range(mask.bit_length()) if mask >> i & 1]
    return "+".join(names.get(bit, hex(bit)) for bit in bits)


@functools.cache
def _reason_names(nvml: ModuleType) -> dict[int, str]:
    """Bit to name, from the binding's constants."""
    names: dict[int, str] = {}
    for prefix in ("nvmlClocksThrottleReason", "nvmlClocksEventReason"):
        for name, value in vars(nvml).items():
            if name.startswith(prefix) and isinstance(value, int) and value.bit_count() == 1:
                # Deprecated second names come later in the binding; the first one stays.
                names.setdefault(value, name.removeprefix(prefix))
    return names


FIGURES: dict[str, tuple[Figure, ...]] = {
    "energy_j": (energy_j,),
    "power_w": (power_instant_w, power_usage_w),
    "temperature_c": (temperature_c, temperature_old_c),
    "utilisation": (utilisation,),
    "memory_used_bytes": (memory_bytes, memory_old_bytes),
    "clock_mhz": (clock_mhz,),
    "throttle": (throttle, throttle_old),
}
"""Field of `Reading` to the ways to read it."""
FAST = frozenset({"energy_j", "power_w"})
"""Read every time."""
SLOW = frozenset(FIGURES) - FAST
"""Read once a second: they change slowly, and each costs a call."""
