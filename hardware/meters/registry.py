"""Meters by name. A new one is a file here and a line below, or an entry point `touchstone.meters` elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from hardware.base import DeviceIdentity
from hardware.meters.base import Meter, MeterUnavailableError
from hardware.meters.first import FirstOf
from hardware.packages import METERS as GROUP
from hardware.registry import Registry

BUILT_IN = {
    "nvml": "hardware.meters.nvml.nvml:Nvml",
    "nvidia_smi": "hardware.meters.smi.nvidia_smi:NvidiaSmi",
    "xpu_smi": "hardware.meters.smi.xpu_smi.xpu_smi:XpuSmi",
    "ixsmi": "hardware.meters.smi.ixsmi:Ixsmi",
    "mthreads_gmi": "hardware.meters.smi.mthreads_gmi:MthreadsGmi",
    "npu_smi": "hardware.meters.smi.npu_smi.npu_smi:NpuSmi",
    "cnmon": "hardware.meters.smi.cnmon.cnmon:Cnmon",
    "amdsmi": "hardware.meters.amdsmi.amdsmi:AmdSmi",
    "rocm_smi": "hardware.meters.smi.rocm_smi:RocmSmi",
    "hy_smi": "hardware.meters.smi.hy_smi:HySmi",
    "mx_smi": "hardware.meters.smi.mx_smi.mx_smi:MxSmi",
    "tsm_smi": "hardware.meters.smi.tsm_smi:TsmSmi",
    "zx_smi": "hardware.meters.smi.zx_smi:ZxSmi",
    "hxsmi": "hardware.meters.smi.hxsmi:Hxsmi",
    "hl_smi": "hardware.meters.smi.hl_smi:HlSmi",
    "gc_monitor": "hardware.meters.smi.gc_monitor:GcMonitor",
    "xpumcli": "hardware.meters.smi.xpumcli.xpumcli:Xpumcli",
    "ipmi": "hardware.meters.node.ipmi:Ipmi",
    "redfish": "hardware.meters.node.redfish:Redfish",
    "rapl": "hardware.meters.node.rapl:Rapl",
    "host": "hardware.meters.node.host:Host",
}
"""Name to `module:class`."""
METERS = Registry(kind="meter", group=GROUP, base="hardware.meters.base:Meter", built_in=BUILT_IN)


def meter_names() -> list[str]:
    """Every meter that can be asked for."""
    return METERS.names()


def make_meter(name: str) -> Meter:
    """A meter that is not opened yet.

    Args:
        name: of a meter, or of several in each other's place: `nvml|nvidia_smi` reads the first that can be opened.

    Raises:
        MeterUnavailableError: no meter has this name, or it cannot be imported.
    """
    if "|" in name:
        return FirstOf([make_meter(one) for one in name.split("|")])
    try:
        meter: Meter = METERS.find(name)()
    except ValueError as error:
        raise MeterUnavailableError(str(error)) from error
    return meter


def open_meters(names: Sequence[str], devices: Sequence[DeviceIdentity]) -> tuple[dict[str, Meter], dict[str, str]]:
    """Open the meters of these names, in this order.

    Args:
        names: as in a vendor's `meters`.
        devices: the devices to measure.

    Returns:
        The opened meters by name, and for each other name the reason.
    """
    opened: dict[str, Meter] = {}
    reasons: dict[str, str] = {}
    for name in dict.fromkeys(names):
        try:
            meter = make_meter(name)
            meter.open(devices)
        except MeterUnavailableError as error:
            reasons[name] = str(error)
        else:
            opened[name] = meter
    return opened, reasons
