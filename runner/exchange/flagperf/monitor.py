"""FlagPerf's monitors: `<vendor>_monitor.log` with a block of cards per time, and the logs of host and node."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from runner.exchange.base.imported import Imported

ENDING = "_monitor.log"
VENDORS = {"mx-smi": "metax"}
"""What stands before `_monitor.log` where it is not the vendor's name."""
NO_WINDOW = (
    "the monitor watches all of the run, and its times are local ones without a zone: the part in which training ran "
    "cannot be told from it"
)
HOST = {
    "cpu": ("CPU utilisation", f"no figure of ours is a mean over the whole run: {NO_WINDOW}"),
    "mem": ("host memory", "a share of the host's memory in whole GB, of all that ran there; ours is the run's own"),
    "pwr": ("node power", f"one reading every 120 s; {NO_WINDOW}"),
}
"""Logs of the host: what they hold, and why no figure of ours is that."""
MIB_PER_GIB = 1024
_TIME = re.compile(r"^\d{4}-\d\d-\d\d-\d\d:\d\d:\d\d$")
_CARD = re.compile(
    r"^\s*(?P<celsius>\d+(?:\.\d+)?)C\s+(?P<watts>\d+(?:\.\d+)?)W\s+"
    r"(?P<used>\d+(?:\.\d+)?)MiB\s+(?P<total>\d+(?:\.\d+)?)MiB\s+(?P<share>\d+(?:\.\d+)?)%\s*$"
)


@dataclass(kw_only=True, slots=True)
class Cards:
    """What a vendor's monitor read: of every moment, each card's °C, W, and MiB used and there."""

    moments: list[list[tuple[float, float, float, float]]] = field(default_factory=list)
    unread: int = 0
    """Lines of another form."""

    @property
    def most(self) -> int:
        """Cards of the fullest moment; the others lack lines, and whose is not said."""
        return max(map(len, self.moments), default=0)


def is_monitor(path: Path) -> bool:
    """Whether a file is one of FlagPerf's monitors."""
    return path.name.endswith(ENDING)


def kind_of(path: Path) -> str:
    """`cpu`, `mem`, `pwr`, or the vendor."""
    stem = path.name.removesuffix(ENDING)
    return VENDORS.get(stem, stem)


def read_cards(path: Path) -> Cards:
    """Read a vendor's monitor."""
    found = Cards()
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if _TIME.match(line.strip()):
            found.moments.append([])
            continue
        card = _CARD.match(line)
        if card and found.moments:
            celsius, watts, used, total = (float(card[name]) for name in ("celsius", "watts", "used", "total"))
            found.moments[-1].append((celsius, watts, used, total))
        elif line.strip():
            found.unread += 1
    return found


def take_monitors(paths: list[Path], imported: Imported, *, nodes: int) -> None:
    """Add what the monitors tell: highest memory in use, temperature and power, and why not the rest.

    Args:
        paths: monitors of every node of the run.
        imported: gets figures, notes and the vendor.
        nodes: how many nodes ran.
    """
    for path in paths:
        kind = kind_of(path)
        if kind in HOST:
            what, why = HOST[kind]
            imported.drop(f"{kind}{ENDING} ({what})", why)
    vendors = [path for path in paths if kind_of(path) not in HOST]
    read = {path: read_cards(path) for path in vendors}
    cards = [one for found in read.values() for moment in found.moments for one in moment]
    for path, found in read.items():
        if found.unread:
            imported.drop(f"{found.unread} lines of {path.name}", "not of the form `31C 57W 15MiB 40536MiB 0%`")
    if not cards:
        return
    imported.values["memory/device_peak_used_gib"] = max(used for _, _, used, _ in cards) / MIB_PER_GIB
    imported.values["device/temperature_max_c"] = max(celsius for celsius, *_ in cards)
    imported.environment["device_memory_mib"] = sorted({total for *_, total in cards})
    imported.notes.append(
        "Device memory and temperature are the highest that FlagPerf's monitor saw, every 5 s, over the whole run and "
        "all cards of the host; what lay between two readings is not in them."
    )
    imported.drop("utilisation, mean power and mean temperature of the cards", NO_WINDOW)
    _peak_power(list(read.values()), imported, nodes=nodes)


def _peak_power(read: list[Cards], imported: Imported, *, nodes: int) -> None:
    """The sum over the cards at one moment, where they are the run's own and none lacks."""
    name, theirs = "power/device_peak_w", "peak power of the cards"
    devices = imported.case.get("devices")
    if nodes > 1 or len(read) != 1:
        imported.missing(name, theirs, "nodes are read at different moments, and their highest values do not add up")
        return
    most = read[0].most
    if devices is None:
        imported.missing(name, theirs, f"the host shows {most} cards, and how many the run used is not known")
    elif devices != most:
        imported.missing(name, theirs, f"the host shows {most} cards, and the run used {devices} of them")
    else:
        full = [moment for moment in read[0].moments if len(moment) == most]
        imported.values[name] = max(sum(watts for _, watts, *_ in moment) for moment in full)
