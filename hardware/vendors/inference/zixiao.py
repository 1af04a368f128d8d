"""Tencent's Zixiao C100 through TopsInference, the engine that FlagPerf calls zxrt.

No public source names the driver's device nodes, so the engine's package and the vendor's tool decide whether it is
here. Source: FlagPerf inference/inference_engine/zixiao (engine), inference/docker_images/zixiao (tool).
"""

from __future__ import annotations

from typing import ClassVar

from hardware.stacks.engine_device import EngineDevice

DEVICE_NODES: tuple[str, ...] = ()
"""None is documented: `hardware.detect` cannot find this vendor, `vendor=zixiao` has to be given."""


class Zixiao(EngineDevice):
    """The engine's device 0, which is also number 0 of zx-smi: FlagPerf uses the two alike."""

    packages: ClassVar[tuple[str, ...]] = ("TopsInference",)
    commands: ClassVar[tuple[str, ...]] = ("zx-smi",)
    engine: ClassVar[str] = "TopsInference"
