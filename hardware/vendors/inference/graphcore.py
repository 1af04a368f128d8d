"""Graphcore IPUs on PCIe cards (C600) through PopRT, its inference engine.

IPU-Machines (M2000, Bow) are reached over the network: they make no device node on the host. Source: ByteMLPerf
general_perf/backends/IPU (PopRT), Graphcore's command line tools documentation (C600), public code on /dev/ipu0.
"""

from __future__ import annotations

from typing import ClassVar

from hardware.stacks.engine_device import EngineDevice

DEVICE_NODES = ("/dev/ipu[0-9]*",)
"""What the driver makes, as glob patterns; cameras make /dev/ipu-psys0, which this leaves out."""


class Graphcore(EngineDevice):
    """One device per IPU on a PCIe card."""

    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    packages: ClassVar[tuple[str, ...]] = ("poprt",)
    engine: ClassVar[str] = "PopRT"
