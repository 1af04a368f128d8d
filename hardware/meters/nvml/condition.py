"""Which NVIDIA GPUs there are, who else uses them, and how their clocks and power are set: NVML's answers.

Source: NVML API reference. NVML has functions to lock clocks (`nvmlDeviceSetGpuLockedClocks`) and none to read back
whether they are locked, so clocks can be known to be fixed, never to be free.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from hardware.base import DeviceCondition, DeviceIdentity, DeviceProcess, DeviceSettings, unknown_condition
from hardware.bus.pci import normal_pci
from hardware.meters.base import MeterUnavailableError
from hardware.meters.nvml.figures import memory_bytes, memory_old_bytes, utilisation
from hardware.meters.nvml.nvml import handle_of, start_nvml

UNLISTED_BYTES = 1 << 30
"""Memory in use from which somebody must hold it, also when NVML lists no process: in a container it lists none of the
others'. Below lie what drivers keep for themselves."""
Answer = TypeVar("Answer")
NO_LOCK = "application clocks are as shipped, and NVML does not tell whether clocks are locked otherwise"


def nvml_devices() -> list[DeviceIdentity] | None:
    """All GPUs in NVML's order; None where NVML does not answer."""
    try:
        nvml = start_nvml()
    except MeterUnavailableError:
        return None
    try:
        return [_identity(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError:
        return None
    finally:
        _stop(nvml)


def _identity(nvml: ModuleType, index: int) -> DeviceIdentity:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    return DeviceIdentity(
        index=index,
        uuid=_words(nvml.nvmlDeviceGetUUID(handle)),
        pci_bus_id=normal_pci(_words(nvml.nvmlDeviceGetPciInfo(handle).busId)),
        name=_words(nvml.nvmlDeviceGetName(handle)),
        driver_index=int(nvml.nvmlDeviceGetMinorNumber(handle)),
        memory_bytes=_Answers(nvml)("memory", lambda: int(nvml.nvmlDeviceGetMemoryInfo(handle).total)),
    )


def nvml_condition(identity: DeviceIdentity) -> DeviceCondition:
    """The state of one GPU, found by UUID or PCI address; what NVML does not answer is None with its words."""
    try:
        nvml = start_nvml()
    except MeterUnavailableError as error:
        return unknown_condition(str(error))
    try:
        return _condition(nvml, handle_of(nvml, identity.uuid, identity))
    except (MeterUnavailableError, nvml.NVMLError) as error:
        return unknown_condition(str(error))
    finally:
        _stop(nvml)


def nvml_settings(identity: DeviceIdentity) -> DeviceSettings:
    """How one GPU is set, found by UUID or PCI address; what NVML does not answer is None with its words."""
    try:
        nvml = start_nvml()
    except MeterUnavailableError as error:
        return _unknown_settings(str(error))
    try:
        return _settings(nvml, handle_of(nvml, identity.uuid, identity))
    except (MeterUnavailableError, nvml.NVMLError) as error:
        return _unknown_settings(str(error))
    finally:
        _stop(nvml)


def _unknown_settings(reason: str) -> DeviceSettings:
    return DeviceSettings(reasons=dict.fromkeys(("power_limit_w", "max_clock_mhz"), reason))


def _settings(nvml: ModuleType, handle: Any) -> DeviceSettings:
    ask = _Answers(nvml)
    limit_w = ask("power_limit_w", lambda: _power_limit_w(nvml, handle))
    clock_mhz = ask("max_clock_mhz", lambda: float(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)))
    return DeviceSettings(
        power_limit_w=limit_w, max_clock_mhz=clock_mhz, facts=_modes(nvml, handle), reasons=ask.reasons
    )


def _power_limit_w(nvml: ModuleType, handle: Any) -> float:
    return float(nvml.nvmlDeviceGetEnforcedPowerLimit(handle)) / 1000


def _condition(nvml: ModuleType, handle: Any) -> DeviceCondition:
    ask = _Answers(nvml)
    processes = ask("processes", lambda: _processes(nvml, handle))
    limit_w = ask("power_limit_w", lambda: _power_limit_w(nvml, handle))
    clock = nvml.NVML_CLOCK_SM
    set_mhz = ask("clocks_locked", lambda: int(nvml.nvmlDeviceGetApplicationsClock(handle, clock)))
    shipped_mhz = ask("clocks_locked", lambda: int(nvml.nvmlDeviceGetDefaultApplicationsClock(handle, clock)))
    locked = True if set_mhz is not None and shipped_mhz is not None and set_mhz != shipped_mhz else None
    if locked is None:
        ask.reasons.setdefault("clocks_locked", NO_LOCK)
    facts = _facts(nvml, handle) | ({} if set_mhz is None else {"application clock": f"{set_mhz} MHz"})
    isolated = _isolated(nvml, handle, processes)
    if isolated is None:
        ask.reasons["isolated"] = ask.reasons["processes"]
    return DeviceCondition(
        isolated=isolated,
        processes=processes,
        power_limit_w=limit_w,
        clocks_locked=locked,
        facts=facts,
        reasons=ask.reasons,
    )


class _Answers:
    """Asks NVML, and keeps the first reason for each None."""

    def __init__(self, nvml: ModuleType) -> None:
        self._nvml = nvml
        self.reasons: dict[str, str] = {}

    def __call__(self, name: str, question: Callable[[], Answer]) -> Answer | None:
        try:
            return question()
        except (self._nvml.NVMLError, AttributeError, LookupError) as error:
            self.reasons.setdefault(name, f"nvml: {error}")
            return None


def _processes(nvml: ModuleType, handle: Any) -> tuple[DeviceProcess, ...]:
    """Processes that compute on the GPU, those of the multi-process service included, but for this one."""
    found = list(nvml.nvmlDeviceGetComputeRunningProcesses(handle))
    with contextlib.suppress(nvml.NVMLError, AttributeError):  # without that service there are no clients of it
        found += nvml.nvmlDeviceGetMPSComputeRunningProcesses(handle)
    others = {one.pid: one for one in found if one.pid != os.getpid()}
    return tuple(
        DeviceProcess(pid=pid, name=_name(pid), memory_bytes=one.usedGpuMemory) for pid, one in sorted(others.items())
    )


def _name(pid: int) -> str | None:
    """None where the process is another namespace's or another user's."""
    import psutil

    try:
        return str(psutil.Process(pid).name())
    except (psutil.Error, ValueError, OverflowError):
        return None


def _isolated(nvml: ModuleType, handle: Any, processes: tuple[DeviceProcess, ...] | None) -> bool | None:
    """Whether nobody is on the GPU: no process is listed, nothing runs, and no memory is held by unlisted ones."""
    if processes is None:
        return None
    ask = _Answers(nvml)
    busy = ask("busy", lambda: utilisation(nvml, handle))
    used = ask("used", lambda: memory_bytes(nvml, handle))
    used = ask("used", lambda: memory_old_bytes(nvml, handle)) if used is None else used
    return not processes and not busy and (used or 0) < UNLISTED_BYTES


def _facts(nvml: ModuleType, handle: Any) -> dict[str, str]:
    ask = _Answers(nvml)
    used = ask("used", lambda: memory_bytes(nvml, handle))
    told = {
        "driver": ask("driver", lambda: _words(nvml.nvmlSystemGetDriverVersion())),
        "largest SM clock": ask("largest", lambda: f"{nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)} MHz"),
        "memory in use": None if used is None else f"{used / 2**20:.0f} MiB",
    }
    return {name: value for name, value in told.items() if value is not None} | _modes(nvml, handle)


def _modes(nvml: ModuleType, handle: Any) -> dict[str, str]:
    """What an administrator sets and no load changes."""
    ask = _Answers(nvml)
    told = {
        "power limit as shipped": ask(
            "shipped", lambda: f"{nvml.nvmlDeviceGetPowerManagementDefaultLimit(handle) / 1000:g} W"
        ),
        "persistence mode": ask("persistence", lambda: _switch(nvml.nvmlDeviceGetPersistenceMode(handle))),
        "ECC": ask("ecc", lambda: _switch(nvml.nvmlDeviceGetEccMode(handle)[0])),
        "MIG mode": ask("mig", lambda: _switch(nvml.nvmlDeviceGetMigMode(handle)[0])),
    }
    return {name: value for name, value in told.items() if value is not None}


def _switch(state: int) -> str:
    return "on" if state else "off"


def _words(text: str | bytes) -> str:
    """Older bindings answer in bytes."""
    return text.decode(errors="replace") if isinstance(text, bytes) else text


def _stop(nvml: ModuleType) -> None:
    try:
        nvml.nvmlShutdown()
    except nvml.NVMLError:
        return  # the driver is gone; there is nothing left to let go of
