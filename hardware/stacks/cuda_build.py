"""What stacks share that bring their own build of PyTorch, on a runtime in place of CUDA's: CoreX, MACA."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from hardware.base import DeviceIdentity
from hardware.bus.nodes import node_number
from hardware.bus.pci import normal_pci
from hardware.spec import PrecisionSpec
from hardware.stacks.torch_cuda import TorchCudaDevice

_PCI_TEXT_BYTES = 64


class CudaBuildDevice(TorchCudaDevice):
    """Devices of `torch.cuda` in a build of PyTorch that their vendor made."""

    build_title: ClassVar[str]
    """What the vendor calls the stack."""
    build_tags: ClassVar[tuple[str, ...]]
    """How the local part of such a build's version begins: `corex` in `2.7.1+corex.4.4.0`."""
    build_attribute: ClassVar[str]
    """What such a build has beside its version, as a path under `torch`: some leave the version bare."""
    runtime_library: ClassVar[str]
    """Library of the runtime, and its function that tells a device's PCI address."""
    runtime_pci_function: ClassVar[str]
    kernel_module: ClassVar[str]
    """The driver, as `/sys/module` names it."""

    def start(self) -> None:
        """Start the runtime.

        Raises:
            RuntimeError: another build of PyTorch, or what the runtime answered.
        """
        if not self.is_own_build():
            raise RuntimeError(f"it is not a build for {self.build_title} (+{self.build_tags[0]})")
        super().start()

    def is_own_build(self) -> bool:
        """Whether the PyTorch that is installed was made by this vendor."""
        import torch

        if _follow(torch, self.build_attribute):
            return True
        return any(self._build_tag(text) for text in (torch.__version__, _installed_version()))

    def _build_tag(self, text: str) -> str | None:
        """The local part of a version, if it is one of this vendor's."""
        local = str(text).partition("+")[2].lower()
        return local if local.startswith(self.build_tags) else None

    def require_chip(self, precision: PrecisionSpec) -> None:
        """Nothing is known beyond the vendor's list: the probe measures what really runs."""

    def normalise_uuid(self, uuid: str, index: int) -> str:
        """`GPU-…`, as the vendor's tool writes it."""
        return uuid if uuid.startswith("GPU-") else f"GPU-{uuid.lower()}"

    def _identity(self, index: int) -> DeviceIdentity:
        found = super()._identity(index)
        return replace(found, pci_bus_id=found.pci_bus_id or self.runtime_pci(index))

    def _node(self, index: int) -> Path | None:
        """The only device's node: in what order the runtime counts several is not documented."""
        nodes = [node for node in self.found_nodes() if node_number(node) is not None]
        return nodes[0] if len(nodes) == 1 and index == 0 else None

    def runtime_pci(self, index: int) -> str | None:
        """PCI address as the runtime tells it, for PyTorch does not before 2.8; None when it cannot be asked."""
        try:
            library: Any = load_library(self.runtime_library)
            ask: Callable[..., int] = getattr(library, self.runtime_pci_function)
        except (OSError, AttributeError):
            return None
        text = ctypes.create_string_buffer(_PCI_TEXT_BYTES)
        failed = ask(text, ctypes.c_int(_PCI_TEXT_BYTES), ctypes.c_int(index))
        return None if failed else normal_pci(text.value.decode(errors="replace"))

    def versions(self) -> dict[str, str]:
        """Also the build of PyTorch and the driver; what is not there is left out."""
        import torch

        found = super().versions()
        tags = (self._build_tag(text) for text in (torch.__version__, _installed_version()))
        if (tag := next((one for one in tags if one is not None), None)) is not None:
            found["torch build"] = tag
        driver = self.driver_version()
        return found if driver is None else found | {"driver": driver}

    def driver_version(self) -> str | None:
        """Of the kernel module."""
        file = self.device_root / f"sys/module/{self.kernel_module}/version"
        return file.read_text(errors="replace").strip() if file.is_file() else None


def load_library(name: str) -> Any:
    """A shared library; the one that is already loaded, where there is one."""
    return ctypes.CDLL(name)


def _follow(owner: Any, path: str) -> Any:
    for part in path.split("."):
        owner = getattr(owner, part, None)
    return owner


def _installed_version() -> str:
    """PyTorch's version as it was installed, which may say more than `torch.__version__`."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
