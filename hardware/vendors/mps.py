"""Apple GPUs through `torch.mps`: one per machine, in one memory with the processor."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.base import HardwareUnavailableError, MemoryPeaks, PrecisionUnsupportedError
from hardware.layout import MeshLayout
from hardware.spec import PrecisionSpec
from hardware.stacks.torch_module import TorchModuleDevice

if TYPE_CHECKING:
    import torch

DEVICE_NODES = ("/System/Library/Frameworks/Metal.framework",)
"""Every macOS has it; whether the GPU is Apple's, `find_nodes` asks the platform."""
BFLOAT16_MACOS = 14
"""First macOS whose Metal knows bfloat16 (PyTorch, pull request 119641)."""
SYSCTL = ("sysctl", "-n", "machdep.cpu.brand_string")
_SYSCTL_TIMEOUT_S = 5.0


def find_nodes(root: Path = Path("/")) -> list[Path]:
    """The system's Metal on a Mac with an Apple chip; nothing elsewhere."""
    if (platform.system(), platform.machine()) != ("Darwin", "arm64"):
        return []
    return [node for node in (root / pattern.lstrip("/") for pattern in DEVICE_NODES) if node.exists()]


class Mps(TorchModuleDevice):
    """The machine's GPU."""

    namespace: ClassVar[str] = "mps"
    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES

    def found_nodes(self) -> list[Path]:
        """What stands for the GPU."""
        return find_nodes(self.device_root)

    def unavailable_reason(self) -> str | None:
        """Names what this machine is instead of a Mac with an Apple chip, and PyTorch where it is missing."""
        machine = f"{platform.system()} on {platform.machine()}"
        missing = [] if self.found_nodes() else [f"no Apple GPU: this is {machine}, not macOS (Darwin) on arm64"]
        if importlib.util.find_spec("torch") is None:
            missing.append("no Python package torch")
        return " and ".join(missing) or None

    def start(self) -> None:
        """Ask whether Metal is usable.

        Raises:
            RuntimeError: says why not.
        """
        import torch

        if not torch.backends.mps.is_built():
            raise RuntimeError("it is built without MPS")
        if not torch.backends.mps.is_available():
            raise RuntimeError("Metal shows no GPU, or this macOS is too old")

    def accelerator(self) -> str:
        """Lightning's accelerator for it."""
        return "mps"

    def strategy(self, devices: int, layout: MeshLayout | None = None) -> Any:
        """One device.

        Raises:
            HardwareUnavailableError: more were asked for.
        """
        if devices != 1:
            raise HardwareUnavailableError(f"{self.spec.title}: a machine has one, not {devices}. Use topology=single.")
        return super().strategy(devices, layout)

    def torch_device(self, index: int) -> torch.device:
        """`mps:0`."""
        assert index == 0, "a machine has one Apple GPU"
        return super().torch_device(index)

    def memory_peaks(self) -> MemoryPeaks:
        """None: torch.mps tells what is allocated now and keeps no peaks."""
        now, driver = self.module.current_allocated_memory(), self.module.driver_allocated_memory()
        reason = f"torch.mps keeps no peaks; at the end {now} bytes are allocated, {driver} with Metal's own"
        return MemoryPeaks(allocated_bytes=None, reserved_bytes=None, reason=reason)

    def require_chip(self, precision: PrecisionSpec) -> None:
        """Refuse bfloat16 on a macOS whose Metal does not know it.

        Raises:
            PrecisionUnsupportedError: names the version there is and the one that is needed.
        """
        if "bfloat16" not in (precision.weights, precision.autocast):
            return
        version = platform.mac_ver()[0]
        major = version.partition(".")[0]
        if not major.isdigit() or int(major) < BFLOAT16_MACOS:
            raise PrecisionUnsupportedError(
                f"{precision.name} needs macOS {BFLOAT16_MACOS} or later, this is {version or 'unknown'}"
            )

    def make_scaler(self, enabled: bool) -> Any:
        """PyTorch's gradient scaler, tried out: older ones compute in float64, which the GPU does not have.

        Raises:
            PrecisionUnsupportedError: this PyTorch's scaler does not work on the device.
        """
        import torch

        scaler = super().make_scaler(enabled)
        if not enabled:
            return scaler
        trial = super().make_scaler(True)
        weight = torch.nn.Parameter(torch.ones(1, device=self.torch_device(0)))
        try:
            trial.scale(weight.sum()).backward()
            trial.unscale_(torch.optim.SGD([weight], lr=0.0))
        except (RuntimeError, TypeError, NotImplementedError, AssertionError) as error:
            raise PrecisionUnsupportedError(
                f"{self.spec.title}: the gradient scaler of torch {torch.__version__} does not work there: {error}"
            ) from error
        return scaler

    def chip_name(self, index: int) -> str:
        """The chip as macOS names it: `Apple M2 Ultra`."""
        tool = shutil.which(SYSCTL[0])
        try:
            answer = subprocess.run(
                [tool or SYSCTL[0], *SYSCTL[1:]],
                capture_output=True,
                text=True,
                timeout=_SYSCTL_TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return "Apple GPU"
        return answer.stdout.strip() or "Apple GPU"

    def versions(self) -> dict[str, str]:
        """What times, and the system, whose Metal is the driver."""
        return {"timing": super().versions()["timing"], "macos": platform.mac_ver()[0]}

    def pins_memory(self) -> bool:
        """No: GPU and processor share their memory."""
        return False
