"""Tencent's Zixiao C100 through `zx-smi -dmon -s mp -i N -c 1`: one line of numbers under a line of names.

Public is the call and that its names include pwr, DTemp, MUsed and Mem (FlagPerf inference/docker_images/zixiao). So
columns are found by these names wherever they stand; units come from the name, from a line of units below it, or from
the field itself. Without any, power is in watts and temperature in degrees, as in every such tool, if that is possible
at all; memory stays None, for nothing says what its number counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.each import ask_each
from hardware.meters.frame.fields import BYTES
from hardware.meters.frame.figures import Field, Layout, memory, power, temperature
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SHOWN, SmiMeter

POWER = "pwr"
_NAME = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)(?:\(([^)]+)\))?(%?)")
_NUMBERED = frozenset({"dev", "device", "id", "idx", "index", "card", "npu", "gpu", "zx"})
"""Names of the column that holds the device's number, in tools of this form."""
LAYOUT = Layout(
    power_w=power(POWER, bare=1.0, most=2000.0, needed=True),
    temperature_c=temperature("dtemp", bare=1.0, least=0.1, needed=True),
    memory_used_bytes=memory(
        "mused", units=BYTES | {"mb": 2.0**20, "gb": 2.0**30, "m": 2.0**20, "g": 2.0**30}, needed=True
    ),
)


class ZxSmi(SmiMeter):
    """Power, temperature and memory of each card, asked by its number, one call per card."""

    name: ClassVar = "zx_smi"
    tools: ClassVar = ("zx-smi",)
    calls = ()
    """Made from the numbers of the cards."""
    numbered_by_driver: ClassVar = True

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
            return self._run("-dmon", "-s", "mp", "-i", str(number), "-c", "1")

        return [str(answer) for answer in ask_each(self._numbers, ask, self._budget_s)]

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per card that was asked for; none at all when no card's output is understood."""
        found = [(number, text, _row(number, text)) for number, text in zip(self._numbers, outputs, strict=True)]
        if all(row is None for _, _, row in found):
            return []
        return [row or SmiRow(index=number, raw=text.strip()[:SHOWN] or "empty") for number, text, row in found]


def _row(number: int, text: str) -> SmiRow | None:
    """The card's row; None when there is not exactly one under a heading with the names that are known."""
    rows = [row for row in _table(text) if _is_of(number, row)]
    if len(rows) != 1:
        return None
    row = LAYOUT.row(rows[0])
    return replace(row, index=number, raw=None if row.raw is None else text.strip()[:SHOWN])


def _is_of(number: int, row: dict[str, Field]) -> bool:
    """Whether a row is of this card: by its number where it has one."""
    numbers = {cell.text for name, cell in row.items() if name in _NUMBERED}
    return not numbers or str(number) in numbers


def _table(text: str) -> list[dict[str, Field]]:
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
        {name: Field(text=word, unit=unit.lower()) for name, word, unit in zip(names, words, units, strict=True)}
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
