"""Hexaflake's chips through its inference engine (`tcinfer`).

No public source names the driver's device nodes, so the engine's package and the vendor's tool decide whether it is
here. Source: FlagPerf inference/inference_engine/hexaflake (engine), inference/docker_images/hexaflake (tool).
"""

from __future__ import annotations

from typing import ClassVar

from hardware.stacks.engine_device import EngineDevice

DEVICE_NODES: tuple[str, ...] = ()
"""None is documented: `hardware.detect` cannot find this vendor, `vendor=hexaflake` has to be given."""


class Hexaflake(EngineDevice):
    """The engine's device 0, which it takes when it is given no other."""

    packages: ClassVar[tuple[str, ...]] = ("tcinfer",)
    commands: ClassVar[tuple[str, ...]] = ("hxsmi",)
    engine: ClassVar[str] = "tcinfer"
