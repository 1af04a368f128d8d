"""FlagPerf's rank log: what a rank printed, with event lines `[PerfLog] {…}` among it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEADER = "[PerfLog] "
RANK_LOG = re.compile(r"rank(\d+)\.out\.log")
_PRINTED = re.compile(r"^(System tokens per second|Tokens/p/s|MFU):\s+(\S+)\s*$")
"""What the cases of language models print in place of events."""
HEAD_BYTES = 1 << 16
OURS = b'"monotonic_s"'
"""In every event of this engine's own logs, which have FlagPerf's form, and in none of FlagPerf's."""


@dataclass(kw_only=True, slots=True)
class RankLog:
    """The events of a rank log, in their order."""

    path: Path
    events: list[dict[str, Any]] = field(default_factory=list)
    printed: dict[str, str] = field(default_factory=dict)
    """The last of each line that the cases of language models print."""
    broken: int = 0
    """Event lines that are no whole JSON: a log that was cut off ends in one."""

    def values(self, name: str) -> list[dict[str, Any]]:
        """The `value` of every event of a name."""
        found = [event.get("value") for event in self.events if event.get("event") == name]
        return [value for value in found if isinstance(value, dict)]


def is_rank_log(path: Path) -> bool:
    """Whether a file is a rank log, by its name or by an event line near its beginning."""
    if RANK_LOG.fullmatch(path.name):
        return True
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return (HEADER + "{").encode() in head and OURS not in head


def read_rank_log(path: Path) -> RankLog:
    """Read the events of a log; what else the rank printed is skipped."""
    log = RankLog(path=path)
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            printed = _PRINTED.match(line)
            if printed:
                log.printed[printed[1]] = printed[2]
            _, header, text = line.partition(HEADER)
            if not header:
                continue
            try:
                event = json.loads(text)
            except ValueError:
                log.broken += 1
                continue
            if isinstance(event, dict):
                log.events.append(event)
    return log
