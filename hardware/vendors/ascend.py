"""Huawei Ascend NPUs through torch_npu, which adds `torch.npu` in the shape of `torch.cuda`.

Sources: torch_npu's repository (torch_npu/npu/__init__.py: ASCEND_RT_VISIBLE_DEVICES; npu_config.py: the HF32 switches
and precision mode; csrc/core/npu/sys_ctrl: their defaults), CANN's reference of environment variables.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import ClassVar

from hardware.base import PrecisionUnsupportedError
from hardware.bus.nodes import DAVINCI_NODES, node_number
from hardware.precision.switches import Switch
from hardware.spec import PrecisionSpec
from hardware.stacks.torch_module import TorchModuleDevice

DEVICE_NODES = DAVINCI_NODES
"""What the driver makes, as glob patterns, named by physical number; `hardware.detect` looks for them."""

_WITHOUT_BF16 = re.compile(r"(?:ascend)?(?:910(?:a|b|proa|prob|premiuma)?|310\w*)", re.IGNORECASE)
"""Names of the first 910 (`Ascend910B` without a number is one of its variants; 910B1 and later are the A2) and of the
310s. CANN's reference of ToBfloat16 lists neither."""

_DRIVER_VERSION = "usr/local/Ascend/driver/version.info"
"""Where the driver's installer writes its version."""


class Ascend(TorchModuleDevice):
    """The NPUs that `ASCEND_RT_VISIBLE_DEVICES` shows this process (`ASCEND_VISIBLE_DEVICES` is for containers)."""

    namespace: ClassVar[str] = "npu"
    packages: ClassVar[tuple[str, ...]] = ("torch_npu",)
    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    # HF32 rounds float32 inputs of products and convolutions; for convolutions torch_npu switches it on by itself.
    switches: ClassVar[tuple[Switch, ...]] = (
        Switch(path="npu.matmul.allow_hf32", tf32=False),
        Switch(path="npu.conv.allow_hf32", tf32=False),
    )

    def require_chip(self, precision: PrecisionSpec) -> None:
        """Refuse bfloat16 on the first 910 and the 310s.

        Raises:
            PrecisionUnsupportedError: names the chip.
        """
        if "bfloat16" not in (precision.weights, precision.autocast):
            return
        asked = getattr(self.module, "is_bf16_supported", None)
        for index in self.used():
            name = self.chip_name(index)
            if _WITHOUT_BF16.fullmatch(name.strip()) or (asked is not None and not asked()):
                raise PrecisionUnsupportedError(f"{name} has no bfloat16: that needs an Ascend 910B1 or later")

    def set_matmul(self, mode: str) -> None:
        """Compute float32 products and convolutions in IEEE single precision, without HF32 or float16 in between.

        Raises:
            PrecisionUnsupportedError: `tf32`, which no NPU has, or the stack does not take the setting.
        """
        super().set_matmul(mode)
        # On the first 910 torch_npu starts with `allow_fp32_to_fp16`: float32 products would run in float16.
        if hasattr(self.module, "set_option"):
            try:
                self.module.set_option({"ACL_PRECISION_MODE": "must_keep_origin_dtype"})
            except (RuntimeError, ValueError) as error:
                raise PrecisionUnsupportedError(f"{self.spec.title}: cannot keep float32 as it is: {error}") from error

    def _node(self, index: int) -> Path | None:
        """The device node of a local index; None when that cannot be told.

        The runtime numbers the devices of a machine or container from 0, in the order of their nodes, and the variable
        holds such numbers.
        """
        nodes = sorted(self.found_nodes(), key=lambda node: node_number(node) or 0)
        logical = self._logical_numbers(len(nodes))
        if len(logical) != self.count() or index >= len(logical) or logical[index] >= len(nodes):
            return None
        return nodes[logical[index]]

    def _logical_numbers(self, nodes: int) -> list[int]:
        shown = os.environ.get(self.spec.visible_devices_env or "")
        if shown is None:
            return list(range(nodes))
        readable = re.match(r"[\d,]*", shown)  # the runtime stops at the first other character, be it a space
        return [int(number) for number in readable[0].split(",") if number] if readable else []

    def versions(self) -> dict[str, str]:
        """torch_npu, driver and CANN; what is not there is left out."""
        toolkit = os.environ.get("ASCEND_HOME_PATH", "")
        info = Path(toolkit) / f"{platform.machine()}-linux/ascend_toolkit_install.info"
        found = {"driver": self.driver_version(), "cann": _version_in(info)}
        return super().versions() | {name: value for name, value in found.items() if value is not None}

    def driver_version(self) -> str | None:
        """As the driver's installer wrote it."""
        return _version_in(self.device_root / _DRIVER_VERSION)


def _version_in(file: Path) -> str | None:
    """The version in one of Ascend's `name=value` files; None without such a file."""
    try:
        match = re.search(r"^version=(\S+)", file.read_text(errors="replace"), re.IGNORECASE | re.MULTILINE)
    except OSError:
        return None
    return match[1] if match else None
