"""Tencent's Zixiao C100 through `zx-smi -dmon -s mp -i N -c 1`: one line of numbers under a line of names.

Public is the call and that its names include pwr, DTemp, MUsed and Mem (FlagPerf inference/docker_images/zixiao). So
columns are found by these names wherever they stand; units come from the name, from a line of units below it, or from
the field itself. Without any, power is in watts and temperature in degrees, as in every such tool, if that is possible
at all; memory stays null, for nothing says what its number counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.boxed import possible_celsius, possible_watts
from hardware.meters.frame.each import ask_each
from hardware.meters.frame.fields import BYTES, CELSIUS, WATTS, quantity, within
from hardware.meters.frame.smi import SHOWN, SmiMeter, SmiRow

POWER, TEMPERATURE, MEMORY = "pwr", "dtemp", "mused"
MOST_BYTES = 2.0**43
"""No card holds more."""
_NAME = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)(?:\(([^)]+)\))?(%?)")
_NUMBERED = frozenset({"dev", "device", "id", "idx", "index", "card", "npu", "gpu", "zx"})
"""Names of the column that holds the device's number, in tools of this form."""
_MEMORY_UNITS = BYTES | {"mb": 2.0**20, "gb": 2.0**30, "m": 2.0**20, "g": 2.0**30}


@dataclass(kw_only=True, slots=True, frozen=True)
class Cell:
    """One field, and the unit that the heading gives it."""

    text: str
    unit: str

    def value(self, units: dict[str, float], bare: float | None) -> float | None:
        """The number in base units; null when it is none."""
        return quantity(self.text, units, bare=units.get(self.unit.lower()) if self.unit else bare)


class ZxSmi(SmiMeter):
    """Power, temperature and memory of each card, asked by its number, one call per card."""

    name: ClassVar[str] = "zx_smi"
    tools: ClassVar[tuple[str, ...]] = ("zx-smi",)
    calls: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Made from the numbers of the cards."""
    numbered_by_driver: ClassVar[bool] = True

    def __init__(self, timeout_s: float = 5.0) -> None:
        super().__init__(timeout_s)
        self._budget_s = timeout_s
        self._numbers: tuple[int, ...] = ()

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Ask for each card once.

        Raises:
            MeterUnavailableError: no tool, no card that answers, or a card without a number.
        """
        self._numbers = tuple(sorted({one.driver_index for one in devices if one.driver_index is not None}))
        if devices and not self._numbers:
            raise MeterUnavailableError(f"{self.name}: no device has a number, and zx-smi knows them by nothing else")
        super().open(devices)

    def _outputs(self) -> list[str]:
        """What the tool prints for each card, or why it failed."""

        def ask(number: int) -> str:
            return self._tool.run("-dmon", "-s", "mp", "-i", str(number), "-c", "1")

        try:
            return [str(answer) for answer in ask_each(self._numbers, ask, self._budget_s)]
        except MeterUnavailableError as error:
            raise MeterUnavailableError(f"{self.name}: {error}") from error

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per card that was asked for; none at all when no card's output is understood."""
        found = [(number, text, _row(number, text)) for number, text in zip(self._numbers, outputs, strict=True)]
        if all(row is None for _, _, row in found):
            return []
        return [row or SmiRow(index=number, raw=text.strip()[:SHOWN] or "empty") for number, text, row in found]


def _row(number: int, text: str) -> SmiRow | None:
    """The card's row; null when there is not exactly one under a heading with the names that are known."""
    rows = [row for row in _table(text) if _is_of(number, row)]
    if len(rows) != 1:
        return None
    row = rows[0]
    power_w = possible_watts(row[POWER].value(WATTS, 1.0))
    temperature_c = possible_celsius(row[TEMPERATURE].value(CELSIUS, 1.0)) if TEMPERATURE in row else None
    memory = within(row[MEMORY].value(_MEMORY_UNITS, None), 0, MOST_BYTES) if MEMORY in row else None
    values = (power_w, temperature_c, memory)
    return SmiRow(
        index=number,
        power_w=power_w,
        temperature_c=temperature_c,
        memory_used_bytes=None if memory is None else round(memory),
        raw=text.strip()[:SHOWN] if any(value is None for value in values) else None,
    )


def _is_of(number: int, row: dict[str, Cell]) -> bool:
    """Whether a row is of this card: by its number where it has one."""
    numbers = {cell.text for name, cell in row.items() if name in _NUMBERED}
    return not numbers or str(number) in numbers


def _table(text: str) -> list[dict[str, Cell]]:
    """Rows by column name; rows of another length than the heading are left out."""
    lines = [line.replace("|", " ").strip().lstrip("#*").split() for line in text.splitlines()]
    head = next((at for at, words in enumerate(lines) if POWER in map(_name, words)), None)
    if head is None:
        return []
    names, own = [_name(word) for word in lines[head]], [_unit(word) for word in lines[head]]
    if len(set(names)) != len(names):
        return []
    below = [words for words in lines[head + 1 :] if len(words) == len(names)]
    told = below[0] if below and not any(_has_digit(word) for word in below[0]) else None
    units = own if told is None else [unit or word for unit, word in zip(own, told, strict=True)]
    rows = [words for words in below if any(_has_digit(word) for word in words)]
    return [
        {name: Cell(text=word, unit=unit) for name, word, unit in zip(names, words, units, strict=True)}
        for words in rows
    ]


def _has_digit(word: str) -> bool:
    return any(letter.isdigit() for letter in word)


def _name(word: str) -> str:
    match = _NAME.fullmatch(word)
    return word.lower() if match is None else match[1].lower() + match[3]


def _unit(word: str) -> str:
    match = _NAME.fullmatch(word)
    return "" if match is None else match[2] or match[3]
