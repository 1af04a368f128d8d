"""The GPUs that `amdsmi` lists: where each is, what it is, and whether it is a whole one."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from hardware.base import DeviceIdentity
from hardware.bus.pci import normal_pci
from hardware.meters.amdsmi.boards import device_number
from hardware.meters.base import MeterUnavailableError

WHOLE = ("SPX", "N/A", "")
"""Compute partitions of a GPU that is one device."""
GUEST = "GUEST"
"""Virtualisation mode of a virtual function inside a virtual machine."""


@dataclass(kw_only=True, slots=True, frozen=True)
class AmdChip:
    """One GPU of the library's list."""

    handle: Any
    pci_bus_id: str
    uuids: frozenset[str]
    """The library's own UUID, and ROCm's, which is the chip's serial number."""
    device_id: int | None

    def is_device(self, device: DeviceIdentity) -> bool:
        """Whether it is this device, by PCI address, else by UUID."""
        pci = normal_pci(device.pci_bus_id or "")
        return self.pci_bus_id == pci if pci is not None else device.uuid in self.uuids


def list_chips(smi: ModuleType) -> list[AmdChip]:
    """The GPUs whose PCI address the library tells.

    Raises:
        AmdSmiException: the library lists none.
    """
    return [chip for handle in smi.amdsmi_get_processor_handles() if (chip := _chip(smi, handle)) is not None]


def _chip(smi: ModuleType, handle: Any) -> AmdChip | None:
    pci = normal_pci(str(_asked(smi, ("amdsmi_get_gpu_device_bdf", "amdsmi_get_device_bdf"), handle)))
    if pci is None:
        return None
    asic = _asked(smi, ("amdsmi_get_gpu_asic_info", "amdsmi_get_asic_info"), handle)
    asic = asic if isinstance(asic, dict) else {}
    uuids = {str(_asked(smi, ("amdsmi_get_gpu_device_uuid", "amdsmi_get_device_uuid"), handle))}
    serial = device_number(asic.get("asic_serial"))
    if serial:
        uuids.add(f"GPU-{serial:016x}")
    return AmdChip(
        handle=handle, pci_bus_id=pci, uuids=frozenset(uuids), device_id=device_number(asic.get("device_id"))
    )


def require_whole(smi: ModuleType, chip: AmdChip) -> None:
    """Refuse a part of a GPU: power is known for the whole one alone.

    Raises:
        MeterUnavailableError: a virtual function, or a GPU in several compute partitions.
    """
    answer = _asked(smi, ("amdsmi_get_gpu_virtualization_mode",), chip.handle)
    mode = answer.get("mode") if isinstance(answer, dict) else answer
    if GUEST in str(getattr(mode, "name", mode)).upper():
        raise MeterUnavailableError(f"amdsmi: {chip.pci_bus_id} is a virtual GPU; power is only known on its host")
    partition = _asked(smi, ("amdsmi_get_gpu_compute_partition",), chip.handle)
    if partition is not None and str(partition).upper() not in WHOLE:
        raise MeterUnavailableError(
            f"amdsmi: {chip.pci_bus_id} is in compute partition mode {partition}; power is only known for the whole GPU"
        )


def _asked(smi: ModuleType, names: tuple[str, ...], handle: Any) -> Any:
    """What the first of these functions that this version has answers; None when it refuses."""
    function = next((getattr(smi, name) for name in names if hasattr(smi, name)), None)
    if function is None:
        return None
    try:
        return function(handle)
    except smi.AmdSmiException:
        return None
