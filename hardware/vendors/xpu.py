"""Intel GPUs (Data Center GPU Max and Flex, Arc) through `torch.xpu`, which PyTorch has had built in since 2.5.

A card of two tiles is shown as two devices unless ZE_FLAT_DEVICE_HIERARCHY=COMPOSITE. ZE_AFFINITY_MASK chooses devices
as `0,1`, and tiles in that hierarchy as `0.1` (oneAPI Level Zero specification, core programming guide, affinity mask).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from hardware.base import DeviceIdentity, HardwareUnavailableError, PrecisionUnsupportedError
from hardware.bus.pci import normal_pci
from hardware.layout import MeshLayout
from hardware.precision.switches import Switch
from hardware.spec import PrecisionSpec
from hardware.stacks.torch_module import TorchModuleDevice

DEVICE_NODES = ("/dev/dri/renderD*",)
"""What the driver makes, as other GPUs' drivers do; `find_nodes` tells them apart."""
DRIVERS = frozenset({"i915", "xe"})
INTEL = "8086"
CARD_IDS = (
    *("0x0b6", "0x0bd", "0x0be"),  # Data Center GPU Max
    *("0x490", "0x4f8", "0x569", "0x56a", "0x56b", "0x56c"),  # DG1, Arc, Data Center GPU Flex
    *("0xe20", "0xe21", "0xe22"),  # Arc B, Arc Pro B
)
"""How the PCI device ids of cards begin (Linux, include/drm/intel/pciids.h)."""
LOADER = "libze_loader.so*"
LIBRARY_FOLDERS = ("usr/lib/*-linux-gnu", "usr/lib64", "usr/lib", "usr/local/lib64", "usr/local/lib", "lib/*-linux-gnu")
HIERARCHY, MASK = "ZE_FLAT_DEVICE_HIERARCHY", "ZE_AFFINITY_MASK"
COMPOSITE = "COMPOSITE"
"""The hierarchy in which a device is a card."""
TWO_STACKS = re.compile(r"GPU Max 1[345]50\b")
"""Cards whose two stacks are two devices in any other hierarchy, by the same name; the Max 1100 has one."""
ONECCL = "oneccl_bindings_for_pytorch"
UUID_DIGITS = 32


def find_nodes(root: Path = Path("/")) -> list[Path]:
    """Nodes of Intel's cards; graphics that a processor contains are left out."""
    return sorted(node for node, _ in _cards(root))


def _cards(root: Path) -> list[tuple[Path, str]]:
    """Node and PCI address of each of Intel's cards."""
    folders = (root / "sys/class/drm").glob("renderD*")
    found = [(root / "dev/dri" / folder.name, _card_address(folder / "device")) for folder in folders]
    return [(node, address) for node, address in found if address is not None and node.exists()]


def _card_address(device: Path) -> str | None:
    """PCI address of a device that is an Intel GPU on a card; None for any other.

    A processor's own graphics sit on the root bus, at 0000:00:02.0; a card sits behind a bridge. Only a virtual machine
    may show a card on its root bus, and then the device id tells.
    """
    if _text(device / "vendor") != f"0x{INTEL}" or not _text(device / "class").startswith(("0x0300", "0x0380")):
        return None
    address = normal_pci(device.resolve().name)
    if (device / "driver").resolve().name not in DRIVERS or address is None:
        return None
    on_card = not address.startswith("0000:00:") or _text(device / "device").startswith(CARD_IDS)
    return address if on_card else None


def address_in(uuid: str) -> str | None:
    """PCI address in a UUID as Intel's tools write it; None for UUIDs that are made otherwise.

    Source: Intel compute-runtime, `Device::generateUuidFromPciBusInfo`: from the last byte vendor, device, revision and
    PCI domain with 16 bits each, then bus, device and function.
    """
    digits = uuid.replace("-", "")
    if len(digits) != UUID_DIGITS or not digits.endswith(INTEL):
        return None
    function, slot, bus, domain = digits[10:12], digits[12:14], digits[14:16], digits[16:20]
    return normal_pci(f"{domain}:{bus}:{slot}.{function.lstrip('0') or '0'}")


def _text(path: Path) -> str:
    try:
        return path.read_text().strip().lower()
    except OSError:
        return ""


class Xpu(TorchModuleDevice):
    """The GPUs, or their tiles, that `ZE_AFFINITY_MASK` shows this process."""

    namespace: ClassVar[str] = "xpu"
    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    # PyTorch 2.7 and later: "TF32 acceleration on top of oneDNN is available for Intel GPUs" (ATen/Context.cpp).
    switches: ClassVar[tuple[Switch, ...]] = (Switch(path="backends.mkldnn.allow_tf32"),)

    def found_nodes(self) -> list[Path]:
        """Nodes of the cards that are here."""
        return find_nodes(self.device_root)

    def unavailable_reason(self) -> str | None:
        """Names each of card, PyTorch and Level Zero loader that is missing."""
        missing = [] if self.found_nodes() else ["no Intel GPU on a card (/dev/dri/renderD* of the driver xe or i915)"]
        if importlib.util.find_spec("torch") is None:
            missing.append("no Python package torch")
        if not self._has_loader():
            missing.append("no Level Zero loader (libze_loader.so)")
        return " and ".join(missing) or None

    def _has_loader(self) -> bool:
        folders = [folder for pattern in LIBRARY_FOLDERS for folder in self.device_root.glob(pattern)]
        # Where the loader comes with a Python environment, or a module system set it up.
        folders += [
            Path(sys.prefix) / "lib",
            *map(Path, filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))),
        ]
        return any(True for folder in folders for _ in folder.glob(LOADER))

    def communication_backend(self) -> str:
        """`xccl`, built into PyTorch since 2.8; `ccl` of Intel's bindings where that is not there."""
        from torch import distributed

        configured = self.spec.communication_backend
        if distributed.is_backend_available(configured) or importlib.util.find_spec(ONECCL) is None:
            return configured
        return "ccl"

    def strategy(self, devices: int, layout: MeshLayout | None = None) -> Any:
        """One device, or data parallel over oneCCL.

        Raises:
            HardwareUnavailableError: Intel's bindings are needed but do not load.
            RuntimeError: several ranks that torchrun did not start.
        """
        if devices > 1 and self.communication_backend() == "ccl":
            try:
                importlib.import_module(ONECCL)  # registers `ccl`
            except (ImportError, OSError, RuntimeError, AttributeError) as error:
                raise HardwareUnavailableError(
                    f"{self.spec.title}: {ONECCL} is installed but does not load: {error}. It must fit this PyTorch."
                ) from error
        return super().strategy(devices, layout)

    def require_chip(self, precision: PrecisionSpec) -> None:
        """Refuse what the visible GPUs would emulate or ignore.

        Raises:
            PrecisionUnsupportedError: names the GPU and what it lacks.
        """
        types = (precision.weights, precision.autocast)
        if "bfloat16" in types:
            self._require("has_bfloat16_conversions", precision.name)
        if "float16" in types:
            self._require("has_fp16", precision.name)
        if precision.matmul == "tf32":
            self._require("has_subgroup_matrix_multiply_accumulate_tensor_float32", precision.name)

    def _require(self, ability: str, what: str) -> None:
        """Abilities that this PyTorch does not tell are left to the probe."""
        for index in self.used():
            if getattr(self._properties(index), ability, None) is False:
                raise PrecisionUnsupportedError(f"{self.chip_name(index)} has no {what}: torch says {ability}=False")

    def set_matmul(self, mode: str) -> None:
        """Compute float32 products and convolutions as `mode`.

        Raises:
            PrecisionUnsupportedError: this PyTorch or the visible GPUs have no TF32.
        """
        import torch

        if mode == "tf32":
            self._require("has_subgroup_matrix_multiply_accumulate_tensor_float32", "tf32")
        torch.set_float32_matmul_precision("high" if mode == "tf32" else "highest")  # what inductor reads
        super().set_matmul(mode)

    def _identity(self, index: int) -> DeviceIdentity:
        told = super()._identity(index)
        known = {address for _, address in _cards(self.device_root)}
        address = address_in(told.uuid) if told.uuid else None
        return replace(
            told,
            pci_bus_id=address if address in known else told.pci_bus_id,
            partition=COMPOSITE if TWO_STACKS.search(told.name) and _shows_cards() else None,
        )

    def normalise_uuid(self, uuid: str, index: int) -> str:
        """As Intel's tools write it: the bytes from the last to the first.

        torch: `8680da0b-2f00-0000-2900-000000000000`; xpu-smi: `00000000-0000-0029-0000-002f0bda8086`.
        """
        digits = uuid.replace("-", "").lower()
        if len(digits) != UUID_DIGITS:
            return uuid
        turned = "".join(reversed([digits[at : at + 2] for at in range(0, UUID_DIGITS, 2)]))
        return "-".join((turned[:8], turned[8:12], turned[12:16], turned[16:20], turned[20:]))

    def _node(self, index: int) -> Path | None:
        """None: the order of Level Zero's devices is not that of the nodes, and a tile has none."""
        return None

    def versions(self) -> dict[str, str]:
        """Besides what all stacks tell: the driver, oneAPI's runtime, and how tiles and masks are set."""
        import torch

        found = super().versions() | _set_variables(HIERARCHY, MASK)
        driver = getattr(self._properties(0), "driver_version", None) if self.count() else None
        runtime = getattr(torch.version, "xpu", None)
        told = {"driver": driver, "oneapi": runtime}
        return found | {name: str(value) for name, value in told.items() if value}


def _shows_cards() -> bool:
    """Whether a device is a card; a mask such as `0.1` shows one stack of it alone."""
    return os.environ.get(HIERARCHY, "").upper() == COMPOSITE and "." not in os.environ.get(MASK, "")


def _set_variables(*names: str) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}
