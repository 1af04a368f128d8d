"""InfiniBand and RoCE devices, as the kernel shows them, and whether devices' memory goes through them directly.

Source: Linux, Documentation/ABI/stable/sysfs-class-infiniband.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

DIRECT = {
    "sys/module/nvidia_peermem": "nvidia_peermem is loaded: NVIDIA GPUs' memory is sent without a copy in the host's",
    "sys/module/nv_peer_mem": "nv_peer_mem is loaded: NVIDIA GPUs' memory is sent without a copy in the host's",
    "sys/module/gdrdrv": "gdrdrv is loaded: the processor makes small copies from and to NVIDIA GPUs (GDRCopy)",
    "sys/kernel/mm/memory_peers/amdkfd": "amdkfd is a memory peer: AMD GPUs' memory is sent without a copy there",
}
"""Where a kernel shows that it can register a device's memory, and what that means."""
NO_HINT = (
    "No module for peer memory is loaded. Kernels and drivers of late do it by dma-buf, which shows nowhere; the "
    "communication library says at its start what it uses (NCCL_DEBUG=INFO: GDRDMA)."
)


@dataclass(kw_only=True, slots=True)
class PortFinding:
    """One port of a device; what is not known is None."""

    device: str
    """As the communication library names it: `mlx5_0`."""
    port: int
    state: str | None
    """`ACTIVE`, `DOWN` …"""
    link: str | None
    """`InfiniBand`, or `Ethernet`: RoCE, or iWARP."""
    rate: str | None
    """As the kernel tells it: `400 Gb/sec (4X NDR)`; of one direction."""
    interface: str | None
    """The network interface of the same port."""
    numa_node: int | None
    firmware: str | None


@dataclass(kw_only=True, slots=True)
class FabricFinding:
    """All of this machine."""

    ports: list[PortFinding] = field(default_factory=list)
    direct: list[str] = field(default_factory=list)
    """Whether the memory of devices can be sent directly, as far as the kernel shows it."""
    problems: list[str] = field(default_factory=list)


def fabric(root: Path = Path("/")) -> FabricFinding:
    """What the kernel shows.

    Args:
        root: of the file system.
    """
    devices = sorted((root / "sys/class/infiniband").glob("*"))
    ports = [_port(device, port) for device in devices for port in _by_number(device / "ports")]
    direct = [words for path, words in DIRECT.items() if (root / path).exists()]
    return FabricFinding(
        ports=ports,
        direct=(direct or [NO_HINT]) if ports else [],
        problems=_problems(ports),
    )


def _by_number(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("*") if path.name.isdigit()), key=lambda path: int(path.name))


def _port(device: Path, port: Path) -> PortFinding:
    numa = _text(device / "device/numa_node")
    state = _text(port / "state")
    return PortFinding(
        device=device.name,
        port=int(port.name),
        state=state.partition(":")[2].strip() if state and ":" in state else state,
        link=_text(port / "link_layer"),
        rate=_text(port / "rate"),
        interface=_text(port / "gid_attrs/ndevs/0"),
        numa_node=int(numa) if numa and numa.isdigit() else None,  # -1: the machine has but one, or does not tell
        firmware=_text(device / "fw_ver"),
    )


def _problems(ports: Sequence[PortFinding]) -> list[str]:
    """Ports that are down, and ones of a link that is slower than the others'."""
    down = [f"{one.device}/{one.port}" for one in ports if one.state not in (None, "ACTIVE")]
    found = [f"not active: {', '.join(down)}"] if down else []
    for link in sorted({one.link for one in ports if one.link}):
        rates = {one.rate for one in ports if one.link == link and one.state == "ACTIVE" and one.rate}
        if len(rates) > 1:
            found.append(f"active {link} ports have different rates: {', '.join(sorted(rates))}")
    return found


def _text(file: Path) -> str | None:
    try:
        return file.read_text(errors="replace").strip() or None
    except OSError:  # a port that is down answers some files with an error
        return None
