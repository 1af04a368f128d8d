"""Stream Computing's STCP920 through STC_DDK, its deployment kit.

udev makes /dev/stc0 per card, /dev/stc0c0 to /dev/stc0c3 for its clusters and /dev/stc0ctrl: a pattern cannot tell the
cards from their parts. Source: ByteMLPerf general_perf/backends/STC (engine), public survey of the STC stack (nodes).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from hardware.bus.nodes import existing
from hardware.stacks.engine_device import EngineDevice

DEVICE_NODES = ("/dev/stc[0-9]*",)
"""What the driver makes, as glob patterns; of these, `find_nodes` takes the cards."""


def find_nodes(root: Path) -> list[Path]:
    """The cards below `root`, without their clusters and control devices."""
    return [node for node in existing(DEVICE_NODES, root) if re.fullmatch(r"stc\d+", node.name)]


class Stc(EngineDevice):
    """One device per card."""

    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    packages: ClassVar[tuple[str, ...]] = ("stc_ddk",)
    engine: ClassVar[str] = "STC_DDK"

    def found_nodes(self) -> list[Path]:
        """The cards that are here."""
        return find_nodes(self.device_root)
