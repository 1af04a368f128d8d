"""Boards whose devices share one power sensor: their power is counted once, and never as a device's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hardware.meters.base import Reading
from hardware.meters.frame.row import SmiRow


class SharedBoards:
    """Boards seen with several devices; they stay shared when one of those is lost."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def see(self, boards: Iterable[str | None]) -> None:
        """Remember the boards that more than one device of a reading names."""
        named = [board for board in boards if board is not None]
        self._names |= {board for board in named if named.count(board) > 1}

    def __contains__(self, board: str | None) -> bool:
        return board in self._names

    def forget(self) -> None:
        """Know of no shared board again."""
        self._names.clear()


def board_source(board: str | None) -> str:
    """Name under which a board's power is read."""
    return f"board-{board}"


def share_power(rows: Sequence[SmiRow], board: str) -> list[SmiRow]:
    """Rows of the devices on one board, whose powers are the board's: told by one of them, or by each again.

    Rows that tell different powers keep them, and `board_reading` makes None of the contradiction.
    """
    return [replace(row, board=board, power_w=None, board_power_w=row.power_w) for row in rows]


def has_sensor(board: str | None, rows: Sequence[SmiRow]) -> bool:
    """Whether any row tells the board's power."""
    return board is not None and any(row.board == board and row.board_power_w is not None for row in rows)


def board_reading(board: str, rows: Sequence[SmiRow]) -> Reading:
    """The board's power once; None while its rows disagree."""
    own = [row for row in rows if row.board == board]
    told = {row.board_power_w for row in own if row.board_power_w is not None}
    alike = len(told) == 1
    return Reading(
        source=board_source(board),
        scope="board",
        power_w=min(told) if alike else None,
        shared_by=len(own),
        raw=None if alike else f"rows tell different powers: {sorted(told)} W",
    )
