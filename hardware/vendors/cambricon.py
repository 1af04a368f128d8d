"""Cambricon MLUs through torch_mlu, which adds `torch.mlu` in the shape of `torch.cuda` (Cambricon/torch_mlu)."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from hardware.base import DeviceIdentity, PrecisionUnsupportedError
from hardware.bus.nodes import existing, node_number
from hardware.meters.smi.cnmon.cards import normal_uuid
from hardware.meters.smi.cnmon.driver import driver_cards
from hardware.precision.switches import Switch
from hardware.spec import PrecisionSpec
from hardware.stacks.torch_module import TorchModuleDevice

DEVICE_NODES = ("/dev/cambricon_dev[0-9]*",)
"""What the driver makes, as glob patterns."""
FIRST_VARIABLE, LAST_VARIABLE = "CN_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"
"""torch_mlu takes the first where it is set, and the last where neither it nor MLU_VISIBLE_DEVICES is."""

_WHOLE = re.compile(r"cambricon_dev\d+")


def find_nodes(root: Path) -> list[Path]:
    """Nodes of whole devices below `root`, by number; those of parts, such as `cambricon_dev0vf1`, are left out."""
    nodes = [node for node in existing(DEVICE_NODES, root) if _WHOLE.fullmatch(node.name)]
    return sorted(nodes, key=lambda node: node_number(node) or 0)


class Cambricon(TorchModuleDevice):
    """The MLUs that `MLU_VISIBLE_DEVICES` shows this process."""

    namespace: ClassVar[str] = "mlu"
    packages: ClassVar[tuple[str, ...]] = ("torch_mlu",)
    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    # The third covers vector products alone (dot, mv, addmv, addr) and is off by default; it stays so.
    switches: ClassVar[tuple[Switch, ...]] = (
        Switch(path="backends.mlu.matmul.allow_tf32"),
        Switch(path="backends.cnnl.allow_tf32"),
        Switch(path="backends.mlu.custom.allow_tf32", tf32=False),
    )

    def found_nodes(self) -> list[Path]:
        """Nodes of whole devices that are here."""
        return find_nodes(self.device_root)

    def require_chip(self, precision: PrecisionSpec) -> None:
        """Refuse bfloat16 where torch_mlu says that the chip has none; whether TF32 is one the probe measures.

        Raises:
            PrecisionUnsupportedError: names the chip.
        """
        supported = getattr(self.module, "is_bf16_supported", None)
        if "bfloat16" in (precision.weights, precision.autocast) and supported is not None and not supported():
            raise PrecisionUnsupportedError(f"{self.chip_name(0)} has no bfloat16, which {precision.name} needs")

    def normalise_uuid(self, uuid: str, index: int) -> str:
        """As cnmon writes it: without `MLU-`, in small letters."""
        return normal_uuid(uuid) or uuid

    def _identity(self, index: int) -> DeviceIdentity:
        """With the PCI address from the driver's files under /proc where torch_mlu and the kernel tell none."""
        found = super()._identity(index)
        if found.pci_bus_id is not None or found.driver_index is None:
            return found
        cards = {card.number: card.pci_bus_id for card in driver_cards(self.device_root)}
        return replace(found, pci_bus_id=cards.get(found.driver_index))

    def _node(self, index: int) -> Path | None:
        """None also where another variable than this vendor's own chooses."""
        own = self.spec.visible_devices_env or ""
        if FIRST_VARIABLE in os.environ or (own not in os.environ and LAST_VARIABLE in os.environ):
            return None
        return super()._node(index)
