"""An `amdsmi` library whose driver answers from a script, in the shape of ROCm 6.4 or of ROCm 5.7."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any


class AmdSmiException(Exception):
    pass


class Chip:
    """One GPU and what it answers; `broken` maps a function's name to the exception it raises."""

    def __init__(
        self, bdf: str, *, device_id: str = "0x74a1", serial: str = "0x8A1F3C5D7E9B0214", **answers: Any
    ) -> None:
        self.bdf = bdf
        self.broken: dict[str, Exception] = {}
        self.answers: dict[str, Any] = {
            "amdsmi_get_gpu_device_bdf": bdf,
            "amdsmi_get_gpu_device_uuid": f"uuid-{bdf}",
            "amdsmi_get_gpu_asic_info": {"device_id": device_id, "asic_serial": serial},
            "amdsmi_get_gpu_virtualization_mode": {"mode": types.SimpleNamespace(name="BAREMETAL")},
            "amdsmi_get_gpu_compute_partition": "SPX",
            "amdsmi_get_power_info": {
                "socket_power": 412,
                "current_socket_power": 412,
                "average_socket_power": "N/A",
                "power_limit": 750,
            },
            "amdsmi_get_energy_count": {
                "energy_accumulator": 1_000_000_000,
                "counter_resolution": 15.25,
                "timestamp": 1,
            },
            "amdsmi_get_temp_metric": {"HOTSPOT": 61},
            "amdsmi_get_gpu_activity": {"gfx_activity": 97, "umc_activity": 40, "mm_activity": "N/A"},
            "amdsmi_get_gpu_memory_usage": 40 << 30,
            "amdsmi_get_gpu_vram_usage": {"vram_total": 196592, "vram_used": 40960},
            "amdsmi_get_clock_info": {"clk": 2092, "min_clk": 132, "max_clk": 2100},
            "amdsmi_get_gpu_metrics_info": {
                "indep_throttle_status": "N/A",
                "prochot_residency_acc": 0,
                "ppt_residency_acc": 100,
                "socket_thm_residency_acc": 7,
                "vr_thm_residency_acc": "N/A",
                "hbm_thm_residency_acc": 0,
            },
        } | answers

    def answer(self, function: str) -> Any:
        for name in (function, "*"):
            if name in self.broken:
                raise self.broken[name]
        return self.answers[function]


RENAMED = {
    "amdsmi_get_gpu_device_bdf": "amdsmi_get_device_bdf",
    "amdsmi_get_gpu_device_uuid": "amdsmi_get_device_uuid",
    "amdsmi_get_gpu_asic_info": "amdsmi_get_asic_info",
    "amdsmi_get_power_info": "amdsmi_get_power_measure",
    "amdsmi_get_energy_count": "amdsmi_dev_get_energy_count",
    "amdsmi_get_clock_info": "amdsmi_get_clock_measure",
}
"""Names before ROCm 5.7's last."""
NEWER = {"amdsmi_get_gpu_virtualization_mode", "amdsmi_get_gpu_compute_partition", "amdsmi_get_gpu_memory_usage"}


def library(chips: Sequence[Chip], *, old: bool = False) -> Any:
    """A module `amdsmi` over these chips; it notes how often it was started and stopped."""
    smi: Any = types.ModuleType("amdsmi")
    smi.AmdSmiException = AmdSmiException
    smi.AmdSmiTemperatureType = types.SimpleNamespace(EDGE="EDGE", HOTSPOT="HOTSPOT", JUNCTION="HOTSPOT")
    smi.AmdSmiTemperatureMetric = types.SimpleNamespace(CURRENT="CURRENT")
    smi.AmdSmiMemoryType = types.SimpleNamespace(VRAM="VRAM")
    smi.AmdSmiClkType = types.SimpleNamespace(GFX="GFX")
    smi.starts = smi.stops = 0

    def start() -> None:
        smi.starts += 1

    def stop() -> None:
        smi.stops += 1

    def temperature(chip: Chip, sensor: str, metric: str) -> Any:
        assert metric == "CURRENT"
        told = chip.answer("amdsmi_get_temp_metric")
        if sensor not in told:
            raise AmdSmiException("not supported")
        return told[sensor]

    def memory(chip: Chip, kind: str) -> Any:
        assert kind == "VRAM"
        return chip.answer("amdsmi_get_gpu_memory_usage")

    def clock(chip: Chip, kind: str) -> Any:
        assert kind == "GFX"
        return chip.answer("amdsmi_get_clock_info")

    def plain(name: str) -> Callable[[Chip], Any]:
        return lambda chip: chip.answer(name)

    functions: dict[str, Callable[..., Any]] = {name: plain(name) for name in Chip("").answers}
    functions |= {
        "amdsmi_get_temp_metric": temperature,
        "amdsmi_get_gpu_memory_usage": memory,
        "amdsmi_get_clock_info": clock,
        "amdsmi_get_processor_handles": lambda: chips,
        "amdsmi_init": start,
        "amdsmi_shut_down": stop,
    }
    for name, function in functions.items():
        if not (old and name in NEWER):
            setattr(smi, RENAMED.get(name, name) if old else name, function)
    return smi
