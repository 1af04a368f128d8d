"""Moffett's sparse chips (S4, S10, S30) through its compiler and runtime.

No public source names the driver's device nodes or a tool of the command line, so the compiler's package decides
whether it is here. Source: ByteMLPerf general_perf/backends/SPU (`nn_compiler`).
"""

from __future__ import annotations

from typing import ClassVar

from hardware.stacks.engine_device import EngineDevice

DEVICE_NODES: tuple[str, ...] = ()
"""None is documented: `hardware.detect` cannot find this vendor, `vendor=moffett` has to be given."""


class Moffett(EngineDevice):
    """The runtime's first device."""

    packages: ClassVar[tuple[str, ...]] = ("nn_compiler",)
    engine: ClassVar[str] = "Moffett's sparse compiler and runtime"
