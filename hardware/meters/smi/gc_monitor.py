"""Graphcore IPUs through `gc-monitor --json`, and through `gc-info --device-info` where that tells no known attribute.

Both show what is running without disturbing it (Graphcore command line tools, "gc-monitor" and "gc-info"). How the JSON
names its attributes is not documented, the names of gc-info are: on opening, the meter settles on one of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.command import Tool
from hardware.meters.frame.each import ask_each
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SmiMeter
from hardware.meters.smi.gc_attributes import from_json, from_lines, to_rows


class GcMonitor(SmiMeter):
    """Power, temperature, utilisation and clock of each IPU; its memory is inside it and wholly the program's.

    A C600's power is its board's, of which it is the only IPU; other boards share one sensor between their IPUs.
    """

    name: ClassVar = "gc_monitor"
    tools: ClassVar = ("gc-monitor",)
    calls = (("--json",),)
    numbered_by_driver: ClassVar = True
    """By the attribute `sysfs file id`."""

    def __init__(self, timeout_s: float = 5.0) -> None:
        super().__init__(timeout_s)
        self._budget_s = timeout_s
        self._info = Tool("gc-info", timeout_s=timeout_s)
        self._asked: tuple[int, ...] = ()
        """Ids to ask gc-info for; empty while gc-monitor is read."""

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find each IPU in what one of the tools says.

        Raises:
            MeterUnavailableError: neither tool tells of each of the devices; says what each of them answered.
        """
        self._asked = ()
        try:
            super().open(devices)
        except MeterUnavailableError as error:
            self._asked = tuple(sorted({one.driver_index for one in devices if one.driver_index is not None}))
            if not self._asked:
                raise
            try:
                super().open(devices)
            except MeterUnavailableError as other:
                raise MeterUnavailableError(f"{error}; {other}") from other

    def _outputs(self) -> list[str]:
        """What gc-monitor prints, or gc-info for each IPU that answers."""
        if not self._asked:
            return super()._outputs()

        def ask(number: int) -> str:
            return self._info.run("--device-info", "--device-id", str(number))

        try:
            return [answer for answer in ask_each(self._asked, ask, self._budget_s) if isinstance(answer, str)]
        except MeterUnavailableError as error:
            raise MeterUnavailableError(f"{self.name}: {error}") from error

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per IPU."""
        if self._asked:
            return to_rows([ipu for text in outputs if (ipu := from_lines(text))])
        return to_rows(from_json(outputs[0]))

    def processes_cpu_s(self) -> float:
        """Processor seconds of both tools' calls."""
        return super().processes_cpu_s() + self._info.cpu_s
