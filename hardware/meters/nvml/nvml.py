"""NVIDIA GPUs through NVML, by NVIDIA's own binding (`nvidia-ml-py`).

Power is the instantaneous field where the driver has it: `nvmlDeviceGetPowerUsage` is a one-second mean on most GPUs
since Ampere. Power and the energy counter are read every time; the figures that move slowly once a second.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from hardware.base import DeviceIdentity
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.nvml.figures import FAST, FIGURES, SLOW, Figure

SLOW_PERIOD_S = 1.0


@dataclass(kw_only=True, slots=True)
class NvmlGpu:
    """One GPU and the way each figure is read from it; what it does not tell is not there."""

    source: str
    handle: Any
    figures: dict[str, Figure]
    slow_due_s: float = 0.0


class Nvml(Meter):
    """Power, energy, temperature, utilisation, clock, throttle reasons and memory of whole GPUs."""

    name: ClassVar[str] = "nvml"
    period_s: ClassVar[float] = 0.1

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._nvml: ModuleType | None = None
        self._gpus: list[NvmlGpu] = []

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find each device by UUID, else PCI id, and how each of its figures is read.

        Raises:
            MeterUnavailableError: no NVML, a device that NVML does not know, MIG or a virtual GPU.
        """
        if not devices:
            raise MeterUnavailableError("nvml: no device was named yet")
        self.close()
        nvml = start_nvml()
        self._nvml = nvml
        try:
            found = [_find(nvml, device) for device in devices]
        except nvml.NVMLError as error:
            self.close()
            raise MeterUnavailableError(f"nvml: {error}") from error
        except MeterUnavailableError:
            self.close()
            raise
        self._gpus = list({gpu.source: gpu for gpu in found}.values())

    def read(self) -> list[Reading]:
        """One reading per GPU; one that is lost has nulls and NVML's text.

        Raises:
            MeterUnavailableError: not opened, or no GPU answers.
        """
        if self._nvml is None:
            raise MeterUnavailableError("nvml: not open")
        readings = [self._read(self._nvml, gpu) for gpu in self._gpus]
        lost = [reading.raw for reading in readings if reading.raw is not None]
        if len(lost) == len(readings):
            raise MeterUnavailableError(f"nvml: {lost[0]}")
        return readings

    def _read(self, nvml: ModuleType, gpu: NvmlGpu) -> Reading:
        now_s = self._clock()
        wanted = FAST | SLOW if now_s >= gpu.slow_due_s else FAST
        if wanted != FAST:
            gpu.slow_due_s = now_s + SLOW_PERIOD_S
        values: dict[str, Any] = {}
        for name, figure in gpu.figures.items():
            if name not in wanted:
                continue
            try:
                values[name] = figure(nvml, gpu.handle)
            except (nvml.NVMLError_GpuIsLost, nvml.NVMLError_Uninitialized, nvml.NVMLError_DriverNotLoaded) as error:
                return Reading(source=gpu.source, scope="device", raw=f"{gpu.source}: {error}")
            except (nvml.NVMLError, LookupError):
                values[name] = None
        return Reading(source=gpu.source, scope="device", **values)

    def close(self) -> None:
        """Let go of NVML."""
        nvml, self._nvml, self._gpus = self._nvml, None, []
        if nvml is not None:
            try:
                nvml.nvmlShutdown()
            except nvml.NVMLError:
                return  # the driver is gone; there is nothing left to let go of


def start_nvml() -> ModuleType:
    """NVML's binding, initialised.

    Raises:
        MeterUnavailableError: no binding, or no driver.
    """
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError as error:
        raise MeterUnavailableError("nvml: Python package nvidia-ml-py is not installed") from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise MeterUnavailableError(f"nvml: {error}") from error
    return nvml


def _find(nvml: ModuleType, device: DeviceIdentity) -> NvmlGpu:
    """The GPU that `device` is."""
    uuid = device.uuid
    if uuid and uuid.upper().startswith("MIG-"):
        raise MeterUnavailableError(
            f"nvml: {uuid} is a MIG instance; power is only known for the whole GPU, which others may use as well"
        )
    if uuid and not uuid.startswith("GPU-"):
        uuid = f"GPU-{uuid}"  # as torch writes it
    handle = handle_of(nvml, uuid, device)
    _refuse_partitions(nvml, handle, uuid or str(device.pci_bus_id))
    figures = {name: figure for name, ways in FIGURES.items() if (figure := _first_way(nvml, handle, ways))}
    return NvmlGpu(source=uuid or str(device.pci_bus_id), handle=handle, figures=figures)


def handle_of(nvml: ModuleType, uuid: str | None, device: DeviceIdentity) -> Any:
    """NVML's handle of a device, by UUID, else by PCI address.

    Raises:
        MeterUnavailableError: NVML knows neither.
    """
    if uuid:
        try:
            return nvml.nvmlDeviceGetHandleByUUID(uuid)
        except (nvml.NVMLError_NotFound, nvml.NVMLError_InvalidArgument) as error:
            if not device.pci_bus_id:
                raise MeterUnavailableError(f"nvml: no GPU {uuid}: {error}") from error
    if device.pci_bus_id:
        try:
            return nvml.nvmlDeviceGetHandleByPciBusId(device.pci_bus_id)
        except (nvml.NVMLError_NotFound, nvml.NVMLError_InvalidArgument) as error:
            raise MeterUnavailableError(f"nvml: no GPU at PCI {device.pci_bus_id}: {error}") from error
    raise MeterUnavailableError(
        f"nvml: device {device.index} has neither UUID nor PCI id; indices differ between tools"
    )


def _refuse_partitions(nvml: ModuleType, handle: Any, source: str) -> None:
    """A part of a GPU has no power sensor of its own."""
    try:
        mig, _pending = nvml.nvmlDeviceGetMigMode(handle)
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
        mig = nvml.NVML_DEVICE_MIG_DISABLE
    if mig == nvml.NVML_DEVICE_MIG_ENABLE:
        raise MeterUnavailableError(
            f"nvml: {source} is in MIG mode; power is only known for the whole GPU, not for an instance of it"
        )
    try:
        mode = nvml.nvmlDeviceGetVirtualizationMode(handle)
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
        return
    if mode == nvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU:
        raise MeterUnavailableError(f"nvml: {source} is a virtual GPU; power is only known on its host")


def _first_way(nvml: ModuleType, handle: Any, ways: tuple[Figure, ...]) -> Figure | None:
    """The first way to read a figure that this GPU, driver and binding know."""
    for way in ways:
        try:
            way(nvml, handle)
        except (
            nvml.NVMLError_NotSupported,
            nvml.NVMLError_FunctionNotFound,
            nvml.NVMLError_NoPermission,
            nvml.NVMLError_InvalidArgument,
            AttributeError,
            LookupError,
        ):
            continue
        return way
    return None
