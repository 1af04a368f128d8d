"""Which figures a tool tells, and under which names: what most meters of command-line tools are made of.

A `Figure` says where a number stands, in which units, and what is possible. A `Layout` says it of a whole row. What is
absent is None; what is there and not understood is None too, and its text is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import TypeAlias

from hardware.bus.pci import normal_pci
from hardware.meters.frame.fields import BYTES, CELSIUS, JOULES, MEGAHERTZ, PERCENT, WATTS, is_absent, quantity, within
from hardware.meters.frame.row import SmiRow

LEAST_W, MOST_W = 0.1, 5000.0
"""A card that answers draws power: a sensor's 0 is no measurement."""
TWICE = "stands there twice"
"""Text of a field that one device has several times: which of them is meant is not known."""
COLDEST_C, HOTTEST_C, FASTEST_MHZ, LARGEST_BYTES = -40.0, 150.0, 10_000.0, 2.0**50


@dataclass(kw_only=True, slots=True, frozen=True)
class Field:
    """The text of one field of a row."""

    text: str
    unit: str = ""
    """The unit that its heading gives it, in small letters; it counts where the text has none."""
    title: str = ""
    """What stands before its text where it is not understood; empty: its name."""


Fields: TypeAlias = Mapping[str, Field]
"""The fields of one device by name: of a column, or the path of a key."""


@dataclass(kw_only=True, slots=True, frozen=True)
class MeterFigure:
    """Where one figure of a device stands, and what it can be."""

    names: tuple[str, ...]
    """Of its field in all versions of the tool; the first that tells something counts."""
    units: Mapping[str, float]
    """Factor to the base unit, by unit in small letters."""
    least: float
    most: float
    bare: float | None = None
    """Factor for a number whose unit is nowhere; None: such a number is not understood."""
    needed: bool = False
    """Whether every version tells it of every device, so that its absence is worth the row's text."""
    zero_is_absent: bool = False
    """Whether the tool writes 0 where it has no sensor."""

    def read(self, fields: Fields, doubts: list[str]) -> float | None:
        """The figure in base units; what was not understood is added to `doubts`."""
        name = next((name for name in self.names if name in fields and not is_absent(fields[name].text)), None)
        if name is None:
            known = next((name for name in self.names if name in fields), self.names[0])
            if self.needed:
                doubts.append(_shown(known, fields.get(known, Field(text="is not there"))))
            return None
        field = fields[name]
        bare = self.units.get(field.unit) if field.unit else self.bare
        value = quantity(field.text, self.units, bare=bare)
        if self.zero_is_absent and value == 0:
            return None
        value = within(value, self.least, self.most)
        if value is None:
            doubts.append(_shown(name, field))
        return value


@dataclass(kw_only=True, slots=True, frozen=True)
class Layout:
    """The names of everything that a row tells of a device; what the tool does not tell is left out."""

    pci_bus_id: tuple[str, ...] = ()
    uuid: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    power_w: MeterFigure | None = None
    energy_j: MeterFigure | None = None
    temperature_c: MeterFigure | None = None
    utilisation: MeterFigure | None = None
    memory_used_bytes: MeterFigure | None = None
    clock_mhz: MeterFigure | None = None
    whole_text: bool = False
    """Whether a doubt about one figure shows the whole row rather than the one field."""

    def row(self, fields: Fields, doubts: Sequence[str] = ()) -> SmiRow:
        """What the fields of one device tell.

        Args:
            fields: of one device.
            doubts: what else was not understood of it.
        """
        found = list(doubts)
        index, address = told(fields, self.index), told(fields, self.pci_bus_id)
        pci = normal_pci(address or "")
        if address is not None and pci is None:
            found.append(f"no PCI address: {address}")

        def read(figure: MeterFigure | None) -> float | None:
            return None if figure is None else figure.read(fields, found)

        return SmiRow(
            pci_bus_id=pci,
            uuid=told(fields, self.uuid),
            index=int(index) if index is not None and index.isdecimal() else None,
            power_w=read(self.power_w),
            energy_j=read(self.energy_j),
            temperature_c=read(self.temperature_c),
            utilisation=read(self.utilisation),
            memory_used_bytes=whole(read(self.memory_used_bytes)),
            clock_mhz=read(self.clock_mhz),
            raw=(shown(fields) if self.whole_text and found else "; ".join(found)) or None,
        )

    def names(self) -> list[str]:
        """Every name of it."""
        parts = [getattr(self, part.name) for part in dataclass_fields(self)]
        named = [part.names if isinstance(part, MeterFigure) else part for part in parts]
        return [name for names in named if isinstance(names, tuple) for name in names]


def told(fields: Fields, names: Sequence[str]) -> str | None:
    """The first of these fields that tells something; None when none does."""
    texts = (fields[name].text.strip() for name in names if name in fields)
    return next((text for text in texts if not is_absent(text) and text != TWICE), None)


def shown(fields: Fields) -> str:
    """All fields as one text."""
    return "; ".join(_shown(name, field) for name, field in fields.items())


def whole(value: float | None) -> int | None:
    """A number of bytes."""
    return None if value is None else round(value)


def power(
    *names: str,
    bare: float | None = None,
    least: float = LEAST_W,
    most: float = MOST_W,
    needed: bool = False,
    zero_is_absent: bool = False,
) -> MeterFigure:
    """A power in watts."""
    return MeterFigure(
        names=names, units=WATTS, bare=bare, least=least, most=most, needed=needed, zero_is_absent=zero_is_absent
    )


def energy(*names: str, bare: float | None = None) -> MeterFigure:
    """A counter of joules; one that stands at 0 counts nothing."""
    return MeterFigure(names=names, units=JOULES, bare=bare, least=0.0, most=float("inf"), zero_is_absent=True)


def temperature(
    *names: str,
    units: Mapping[str, float] = CELSIUS,
    bare: float | None = None,
    least: float = COLDEST_C,
    needed: bool = False,
) -> MeterFigure:
    """A temperature in degrees Celsius."""
    return MeterFigure(names=names, units=units, bare=bare, least=least, most=HOTTEST_C, needed=needed)


def utilisation(*names: str, bare: float | None = None, needed: bool = False) -> MeterFigure:
    """A share of 0..1."""
    return MeterFigure(names=names, units=PERCENT, bare=bare, least=0.0, most=1.0, needed=needed)


def memory(
    *names: str, units: Mapping[str, float] = BYTES, bare: float | None = None, needed: bool = False
) -> MeterFigure:
    """Used memory in bytes."""
    return MeterFigure(names=names, units=units, bare=bare, least=0.0, most=LARGEST_BYTES, needed=needed)


def clock(*names: str, bare: float | None = None, needed: bool = False) -> MeterFigure:
    """A clock in megahertz."""
    return MeterFigure(names=names, units=MEGAHERTZ, bare=bare, least=0.0, most=FASTEST_MHZ, needed=needed)


def _shown(name: str, field: Field) -> str:
    return f"{field.title or name} {field.text.strip()}"
