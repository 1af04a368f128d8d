"""What a tool tells of one device, field by field: possible numbers in base units, and the text of what is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hardware.meters.frame.fields import BYTES, CELSIUS, MEGAHERTZ, PERCENT, WATTS, quantity, within
from hardware.meters.frame.smi import SmiRow

ABSENT = frozenset({"", "-", "--", "na", "n/a", "[n/a]", "not supported", "[not supported]", "not available"})
"""What tools write, in small letters, where a device has no such figure: nothing to doubt, nothing to tell."""
LEAST_W, MOST_W = 0.1, 5000.0
"""A card that answers draws power: a sensor's 0 is no measurement."""
COLDEST_C, HOTTEST_C, FASTEST_MHZ, LARGEST_BYTES = -40.0, 150.0, 10_000.0, 2.0**50


@dataclass(kw_only=True, slots=True)
class Told:
    """Fields of one row by name. Each figure is that of the first name that is there."""

    fields: Mapping[str, str | None]
    doubts: list[str] = field(default_factory=list)
    """Name and text of each field that was asked for and not understood."""

    @property
    def raw(self) -> str | None:
        """What was not understood; null when all of it was."""
        return "; ".join(self.doubts) or None

    def power_w(self, *names: str, bare: float | None = None) -> float | None:
        """Watts; `bare` as in `fields.quantity`."""
        return self._number(names, WATTS, bare, LEAST_W, MOST_W)

    def temperature_c(self, *names: str, bare: float | None = None) -> float | None:
        """Degrees Celsius."""
        return self._number(names, CELSIUS, bare, COLDEST_C, HOTTEST_C)

    def utilisation(self, *names: str, bare: float | None = None) -> float | None:
        """0..1."""
        return self._number(names, PERCENT, bare, 0.0, 1.0)

    def memory_bytes(self, *names: str, bare: float | None = None) -> int | None:
        """Bytes."""
        value = self._number(names, BYTES, bare, 0.0, LARGEST_BYTES)
        return None if value is None else round(value)

    def clock_mhz(self, *names: str, bare: float | None = None) -> float | None:
        """Megahertz."""
        return self._number(names, MEGAHERTZ, bare, 0.0, FASTEST_MHZ)

    def _number(
        self, names: Sequence[str], units: dict[str, float], bare: float | None, least: float, most: float
    ) -> float | None:
        for name in names:
            text = (self.fields.get(name) or "").strip()
            if text.lower() in ABSENT:
                continue
            value = within(quantity(text, units, bare=bare), least, most)
            if value is None:
                self.doubts.append(f"{name} {text}")
            return value
        return None


def share_power(rows: Sequence[SmiRow], board: str) -> list[SmiRow]:
    """Rows of the devices on one board, whose powers are the board's: told by one of them, or by each again.

    Rows that tell different powers keep them, and `SmiMeter` makes null of the contradiction.
    """
    return [replace(row, board=board, power_w=None, board_power_w=row.power_w) for row in rows]
