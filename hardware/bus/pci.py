"""PCI addresses: the name of a device that the kernel, the drivers and the vendors' tools agree on."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

_ADDRESS = re.compile(r"(?:(?P<domain>[0-9a-f]{4,8}):)?(?P<rest>[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", re.IGNORECASE)


def normal_pci(text: str) -> str | None:
    """A PCI address as `dddd:bb:dd.f` in small letters, whatever its domain's length; None if it is none."""
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        return None
    domain = int(match["domain"] or "0", 16)
    return f"{domain:04x}:{match['rest'].lower()}"


def find_pci(text: str) -> str | None:
    """The first PCI address inside a text, normalised; None when it holds none."""
    match = re.search(rf"(?<![0-9a-f:.]){_ADDRESS.pattern}(?![0-9a-f])", text, re.IGNORECASE)
    return normal_pci(match.group()) if match else None


def pci_address(properties: Any) -> str | None:
    """`0000:3b:00.0` from torch's device properties; None on versions of torch that do not tell (before 2.8)."""
    parts = [getattr(properties, name, None) for name in ("pci_domain_id", "pci_bus_id", "pci_device_id")]
    if not all(isinstance(part, int) for part in parts) or not any(parts):
        return None  # 0000:00:00.0 is the host bridge, never an accelerator
    domain, bus, device = parts
    return f"{domain:04x}:{bus:02x}:{device:02x}.0"


def uuid_text(properties: Any) -> str | None:
    """The UUID in torch's device properties; None where there is none, all its digits are 0, or it has no text.

    Python shows an object without a text of its own by its address in memory, which names no device.
    """
    text = str(getattr(properties, "uuid", None) or "")
    return text if re.search(r"[1-9a-f]", text, re.IGNORECASE) and not text.startswith("<") else None


def pci_address_of_node(node: Path, sys_root: Path = Path("/sys")) -> str | None:
    """PCI address of a character device such as `/dev/xpu0`, from the kernel; None where its driver links none."""
    try:
        status = node.stat()
    except OSError:
        return None
    if not stat.S_ISCHR(status.st_mode):
        return None
    link = sys_root / f"dev/char/{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}/device"
    return normal_pci(link.resolve().name) if link.exists() else None
