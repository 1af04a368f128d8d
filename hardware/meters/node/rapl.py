"""Energy of processor packages and their memory: RAPL counters in Linux' powercap tree.

Source: kernel documentation, power/powercap: `energy_uj` counts microjoules and starts again from 0 at
`max_energy_range_uj`. The zone `psys` (whole platform) contains the packages and is left out; so is `intel-rapl-mmio`,
a second view of the same packages. A package on a server does not contain its memory, which is a zone of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.meters.base import Meter, MeterUnavailableError, Reading, Scope

POWERCAP = Path("/sys/class/powercap")


@dataclass(kw_only=True, slots=True, frozen=True)
class Zone:
    """One counter."""

    source: str
    scope: Scope
    counter: Path
    wrap_j: float | None


class Rapl(Meter):
    """Counters of the machine's packages and their memory; devices do not matter."""

    name: ClassVar[str] = "rapl"
    period_s: ClassVar[float] = 0.1

    def __init__(self, root: Path = POWERCAP) -> None:
        self._root = root
        self._zones: list[Zone] = []

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find the zones and read each once.

        Raises:
            MeterUnavailableError: no powercap tree, no RAPL zone, or no permission to read one.
        """
        zones = list(_zones(self._root))
        if not zones:
            raise MeterUnavailableError(f"rapl: no intel-rapl package under {self._root}")
        for zone in zones:
            try:
                _joules(zone)
            except PermissionError as error:
                raise MeterUnavailableError(
                    f"rapl: no permission to read {zone.counter}; run as root or let your group read it"
                ) from error
            except (OSError, ValueError) as error:
                raise MeterUnavailableError(f"rapl: {zone.counter}: {error}") from error
        self._zones = zones

    def read(self) -> list[Reading]:
        """One counter per package and memory zone.

        Raises:
            MeterUnavailableError: not opened, or no counter can be read any more.
        """
        readings = [_read(zone) for zone in self._zones]
        if all(reading.energy_j is None for reading in readings):
            raise MeterUnavailableError(f"rapl: {readings[0].raw if readings else 'not open'}")
        return readings

    def close(self) -> None:
        """Forget the zones."""
        self._zones = []


def _zones(root: Path) -> list[Zone]:
    """Packages (`intel-rapl:N`) and their memory (`intel-rapl:N:M` named `dram`)."""
    zones = []
    for folder in sorted(root.glob("intel-rapl:*")):
        parent = folder.name.rpartition(":")[0]
        name = _text(folder / "name")
        if folder.name.count(":") == 1 and name.startswith("package"):
            zones.append(_zone(folder, name, "package"))
        elif folder.name.count(":") > 1 and name == "dram" and _text(root / parent / "name").startswith("package"):
            zones.append(_zone(folder, f"{_text(root / parent / 'name')}-dram", "dram"))
    return zones


def _zone(folder: Path, source: str, scope: Scope) -> Zone:
    largest_uj = _text(folder / "max_energy_range_uj")
    wrap_j = int(largest_uj) / 1e6 if largest_uj.isdigit() and int(largest_uj) > 0 else None
    return Zone(source=source, scope=scope, counter=folder / "energy_uj", wrap_j=wrap_j)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _joules(zone: Zone) -> float:
    return int(zone.counter.read_text()) / 1e6


def _read(zone: Zone) -> Reading:
    try:
        joules = _joules(zone)
    except (OSError, ValueError) as error:
        return Reading(source=zone.source, scope=zone.scope, raw=f"{zone.counter}: {error}")
    return Reading(source=zone.source, scope=zone.scope, energy_j=joules, energy_wrap_j=zone.wrap_j)
