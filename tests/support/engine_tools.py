"""The command line tool of a vendor's inference engine, played by a shell script that is first on PATH."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from hardware.base import DeviceIdentity
from hardware.meters.frame.smi import SmiMeter

DATA = Path(__file__).parents[1] / "data"


class PlayedTool:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.script = folder / name
        if not os.environ["PATH"].startswith(f"{folder}{os.pathsep}"):
            monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def does(self, body: str) -> None:
        self.script.write_text(f"#!/bin/sh\n{body}\n")
        self.script.chmod(0o755)

    def says(self, text: str) -> None:
        file = self.script.with_name(f"{self.script.name}.txt")
        file.write_text(text)
        self.does(f'cat "{file}"')


def device(pci: str | None = None, *, number: int | None = None, index: int = 0) -> DeviceIdentity:
    return DeviceIdentity(index=index, uuid=None, pci_bus_id=pci, name="chip", driver_index=number)


def opened(meter: type[SmiMeter], devices: Sequence[DeviceIdentity], timeout_s: float = 5.0) -> SmiMeter:
    made = meter(timeout_s=timeout_s)
    made.open(devices)
    return made
