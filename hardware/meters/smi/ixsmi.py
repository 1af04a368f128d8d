"""Iluvatar GPUs through the vendor's command line tool, in its machine-readable form (`ixsmi -q -x`, XML).

The XML names each field with its unit and says which GPUs share a board, which neither the table nor
`--query-gpu=… --format=csv` does (and the latter's names for power differ between versions: `power.draw`,
`gpu.power.draw`, `board.power.draw`). Sources: the output of CoreX 4.2.0 that gpu_tools (github.com/hawkli-1994)
and accel (github.com/mesutoezdil) keep as a test case; for boards with two chips, Iluvatar's ix-exporter
(`ixmlDeviceGetBoardPosition`, then `ixmlDeviceGetBoardPowerUsage`) and PaddleNLP's page on BI-V150, where the first
chip's power is `N/A` and the second's is the board's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from hardware.meters.frame.boards import share_power
from hardware.meters.frame.declared import DeclaredMeter
from hardware.meters.frame.figures import Fields, Layout, clock, memory, power, temperature, told, utilisation
from hardware.meters.frame.forms import Xml
from hardware.meters.frame.row import SmiRow

_PROCESSES = re.compile(r"<processes>.*?</processes>", re.DOTALL)
"""Command lines stand there, whose signs could break the XML."""
_BOARD_POWER = power("power_readings/board_power_draw")


class Ixsmi(DeclaredMeter):
    """Power, temperature, utilisation, clock and memory of each chip; the tool tells no energy counter."""

    name: ClassVar = "ixsmi"
    tools: ClassVar = ("ixsmi", "/usr/local/corex/bin/ixsmi")
    calls = (("-q", "-x"),)
    forms: ClassVar = (Xml(device="gpu", leave_out=_PROCESSES),)
    layout: ClassVar = Layout(
        pci_bus_id=("pci/pci_bus_id", "@id"),
        uuid=("uuid",),
        power_w=power("power_readings/gpu_power_draw"),
        temperature_c=temperature("temperature/gpu_temp"),
        utilisation=utilisation("utilization/gpu_util"),
        memory_used_bytes=memory("memory_usage/used", "fb_memory_usage/used"),
        clock_mhz=clock("clocks/sm_clock"),
    )

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per `<gpu>`; none when the text is not XML."""
        chips = [self._chip(fields) for fields in self.fields(outputs)]
        return [_row(chip, chips) for chip in chips]

    def _chip(self, fields: Fields) -> IxChip:
        doubts: list[str] = []
        board_power_w = _BOARD_POWER.read(fields, doubts)
        virtual = (told(fields, ("gpu_virtualization_mode/virtualization_mode",)) or "").lower() == "vgpu"
        if virtual:
            doubts.append("a virtual GPU: power is only known on its host")
        row, position = self.layout.row(fields, doubts), told(fields, ("gpu_position",))
        return IxChip(
            row=replace(row, power_w=None) if virtual else row,
            board_power_w=None if virtual else board_power_w,
            serial=told(fields, ("serial",)),
            board_id=told(fields, ("board_id",)),
            position=position,
            shares_board=(
                told(fields, ("multigpu_board",)) == "Yes"
                or position is not None
                or (board_power_w is not None and not virtual)
            ),
        )


@dataclass(kw_only=True, slots=True, frozen=True)
class IxChip:
    """One `<gpu>`, its own power in the row."""

    row: SmiRow
    board_power_w: float | None
    serial: str | None
    """Of the board: it is printed on it."""
    board_id: str | None
    """In NVML's sense: shared by the chips behind one PCI switch, so perhaps by several boards."""
    position: str | None
    """Which chip of its board."""
    shares_board: bool


def _row(chip: IxChip, chips: Sequence[IxChip]) -> SmiRow:
    """The chip's row; where it shares its board, with the board's power in place of its own."""
    if not chip.shares_board:
        return chip.row
    board, mates = _board(chip, chips)
    if board is None:
        doubt = "it shares a board whose other chip is not to be found: half of a board's power is no chip's power"
        return replace(chip.row, power_w=None, raw="; ".join(filter(None, (chip.row.raw, doubt))))
    if any(mate.board_power_w is not None for mate in mates):
        rows = [replace(mate.row, power_w=mate.board_power_w) for mate in mates]
    else:
        rows = [mate.row for mate in mates]
        if all(row.power_w is not None for row in rows):
            return chip.row  # every chip has a sensor of its own
    return share_power(rows, board)[mates.index(chip)]


def _board(chip: IxChip, chips: Sequence[IxChip]) -> tuple[str | None, list[IxChip]]:
    """Name of the chip's board and all chips on it; no name where that is not certain."""
    for key in ("serial", "board_id"):
        own = getattr(chip, key)
        mates = [one for one in chips if one.shares_board and own is not None and getattr(one, key) == own]
        positions = [one.position for one in mates]
        # Two boards behind one switch would show a position twice; without positions only a pair is certain.
        distinct = None not in positions and len(set(positions)) == len(mates)
        if len(mates) > 1 and (distinct or (set(positions) == {None} and len(mates) == 2)):  # noqa: PLR2004
            return own, mates
    return None, [chip]
