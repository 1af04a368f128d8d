"""TsingMicro TX8 chips through the vendor's own runtime and tools.

The driver makes /dev/accel/dev-N per chip and /dev/accel_drv_mgr; Linux' own accelerators are /dev/accel/accelN in the
same folder, and so are other vendors'. Source: FlagOS' instructions for containers (--device /dev/accel --device
/dev/accel_drv_mgr), public notes on the driver's interface (/dev/accel/dev-N), FlagPerf base/vendors/tsingmicro (tool).
"""

from __future__ import annotations

from typing import ClassVar

from hardware.stacks.engine_device import EngineDevice

DEVICE_NODES = ("/dev/accel/dev-[0-9]*",)
"""What the driver makes, as glob patterns; `hardware.detect` looks for them."""


class Tsingmicro(EngineDevice):
    """One device per chip; a card can hold several."""

    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    commands: ClassVar[tuple[str, ...]] = ("tsm_smi",)
    engine: ClassVar[str] = "the TSM runtime"
