"""Intel Xeon host processors, through PyTorch's own CPU back-end: a chip under test, not whatever runs the host.

Half precision is offered where the processor has instructions for it, by the kernel's flags (Linux,
arch/x86/include/asm/cpufeatures.h): oneDNN computes it on others too, by way of float32, which says nothing about the
chip.
"""

from __future__ import annotations

import os
from pathlib import Path

from hardware.base import DeviceIdentity, HardwareUnavailableError, PrecisionUnsupportedError
from hardware.spec import PrecisionSpec
from hardware.stacks.host import cpu_name
from hardware.vendors.cpu import Cpu

VENDOR, FAMILY = "GenuineIntel", "Xeon"
INSTRUCTIONS = {"bfloat16": ("amx_bf16", "avx512_bf16"), "float16": ("amx_fp16", "avx512_fp16")}
"""Flags of which one suffices to compute in a type."""
TOLD = ("amx_tile", "amx_bf16", "amx_fp16", "amx_int8", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni")
ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
"""Variables that keep oneDNN and PyTorch from using instructions."""
_UNLIMITED = frozenset({"", "all", "default"})


class Xeon(Cpu):
    """The host's processors, if they are Xeons; several ranks share them."""

    device_root = Path("/")

    @property
    def cpuinfo(self) -> Path:
        """Where the kernel describes the processors."""
        return self.device_root / "proc/cpuinfo"

    def unavailable_reason(self) -> str | None:
        """Names PyTorch where it is missing, and the processor where it is no Xeon."""
        found = _described(self.cpuinfo)
        if found.get("vendor_id") == VENDOR and FAMILY in found.get("model name", ""):
            return super().unavailable_reason()
        name = found.get("model name") or found.get("vendor_id") or cpu_name(self.cpuinfo)
        problem = f"the host's processor is no Intel Xeon but {name or 'unknown'}"
        missing = super().unavailable_reason()
        return f"{problem} and {missing}" if missing else problem

    def connect(self) -> None:
        """Settle how the host's allocator behaves.

        Raises:
            HardwareUnavailableError: the processor is no Xeon; says what it is.
        """
        if reason := self.unavailable_reason():
            raise HardwareUnavailableError(f"{self.spec.title}: {reason}. {self.spec.install}")
        super().connect()

    def precision_plugin(self, precision: PrecisionSpec) -> object:
        """Lightning's precision plugin for `precision`.

        Raises:
            PrecisionUnsupportedError: not listed, or the processor has no instructions for its type.
        """
        plugin = super().precision_plugin(precision)
        for dtype in {precision.weights, precision.autocast} & set(INSTRUCTIONS):
            self._require(str(dtype), precision.name)
        return plugin

    def _require(self, dtype: str, what: str) -> None:
        wanted = INSTRUCTIONS[dtype]
        if not self._flags() & set(wanted):
            raise PrecisionUnsupportedError(
                f"{cpu_name(self.cpuinfo)} has no {what}: it has neither of {' and '.join(wanted)}, and {dtype} would "
                "be computed as float32"
            )
        limits = [f"{name}={os.environ[name]}" for name in ISA_LIMITS if _limits(name)]
        if limits:
            raise PrecisionUnsupportedError(f"{', '.join(limits)} may forbid the instructions for {what}; unset it")

    def _flags(self) -> set[str]:
        return set(_described(self.cpuinfo).get("flags", "").split())

    def identities(self) -> list[DeviceIdentity]:
        """The processor, once, without UUID and PCI address."""
        return [DeviceIdentity(index=0, uuid=None, pci_bus_id=None, name=cpu_name(self.cpuinfo))]

    def versions(self) -> dict[str, str]:
        """Besides those of any CPU: matrix and vector instructions, and what limits their use."""
        flags = self._flags()
        found = super().versions() | {"instructions": " ".join(name for name in TOLD if name in flags) or "none"}
        return found | {name: os.environ[name] for name in ISA_LIMITS if name in os.environ}


def _described(cpuinfo: Path) -> dict[str, str]:
    """What the kernel says of the first processor; empty where it keeps no such file."""
    if not cpuinfo.is_file():
        return {}
    first = cpuinfo.read_text(errors="replace").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): " ".join(value.split()) for key, _, value in pairs}


def _limits(variable: str) -> bool:
    return os.environ.get(variable, "").lower() not in _UNLIMITED
