"""Power of the whole node, from its management controller through ipmitool.

Asked first is the DCMI command for power, which means the whole platform (Intel and others, DCMI specification 1.5,
"Get Power Reading"). Controllers without it may have a sensor for the node's power; which one that is, only its name
tells, and every maker has another (`NODE_SENSORS`). A node has many sensors in watts, of supplies, processors, fans:
neither the largest of them nor their sum is the node's power.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.frame.command import Tool
from hardware.meters.frame.fields import WATTS, quantity, within

NODE = "node"
DCMI = ("dcmi", "power", "reading")
NODE_SENSORS = {
    "pwr consumption": "Dell iDRAC",
    "system level": "Dell, before iDRAC 7",
    "power meter": "HPE iLO",
    "sys power": "Lenovo",
    "total_power": "Inspur and others",
    "sys_power": "Gigabyte",
    "power_usage": "Cisco UCS",
}
"""Sensors of a node's whole power, in small letters, and whose they are, by listings that users published."""
MOST_DCMI_W = 65534.0
"""DCMI counts in 16 bits; 65535 is no reading."""
_UNIT = WATTS | {"watts": 1.0}
_FIELD = re.compile(
    r"[ \t]*(Instantaneous power reading|Power reading state is|Sensor Reading|Status)[ \t]*:[ \t]*(.*)"
)
_HOPELESS = ("not on PATH", "no permission", "no IPMI driver", "hangs", "did not answer")
"""With these problems no other question helps."""
_LISTING_TIMEOUT_S = 10.0


class Ipmi(Meter):
    """One source, `node`. Controllers renew the figure about once a second, and asking costs the controller time."""

    name: ClassVar[str] = "ipmi"
    period_s: ClassVar[float] = 1.0
    least_period_s: ClassVar[float] = 1.0

    def __init__(self, timeout_s: float = 5.0, listing_timeout_s: float = _LISTING_TIMEOUT_S) -> None:
        self._tool = Tool("ipmitool", timeout_s=timeout_s)
        self._lister = Tool("ipmitool", timeout_s=listing_timeout_s)
        self._sensor: str | None = None
        """The sensor that is read where DCMI tells nothing."""

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find out whether DCMI tells power, or else which sensor does.

        Raises:
            MeterUnavailableError: no ipmitool, no driver, no permission, or nothing that is surely the node's power.
        """
        self._sensor = None
        try:
            reading = self.read()
            why = f"`ipmitool {' '.join(DCMI)}` says {reading[0].raw!r}"
            if reading[0].power_w is not None:
                return
        except MeterUnavailableError as error:
            if _fatal(str(error)):
                raise
            why = str(error)
        self._sensor = _choose(_run(self._lister, "sdr", "elist"), why)

    def read(self) -> list[Reading]:
        """The node's power now.

        Raises:
            MeterUnavailableError: the controller does not answer.
        """
        if self._sensor is None:
            text = _run(self._tool, *DCMI)
            watts = dcmi_watts(text)
        else:
            text = _run(self._tool, "sdr", "get", self._sensor)
            watts = sensor_watts(text)
        raw = None if watts is not None else " ".join(text.split())[:200] or "no output"
        return [Reading(source=NODE, scope="node", power_w=watts, raw=raw)]

    def processes_cpu_s(self) -> float:
        """Processor seconds of the tool's calls."""
        return self._tool.cpu_s + self._lister.cpu_s

    def close(self) -> None:
        """Forget the sensor."""
        self._sensor = None


def dcmi_watts(text: str) -> float | None:
    """Power in what `dcmi power reading` prints; None when it is not measuring."""
    told = _fields(text)
    if told.get("Power reading state is") != "activated":
        return None
    return _above_zero(within(quantity(told.get("Instantaneous power reading"), _UNIT), 0.0, MOST_DCMI_W))


def sensor_watts(text: str) -> float | None:
    """Power in what `sdr get NAME` prints; None for no reading, for another unit, and for a sensor that is off."""
    told = _fields(text)
    # `175 (+/- 0) Watts`: the tolerance stands between number and unit.
    reading = re.sub(r"\(\+/-[^)]*\)", "", told.get("Sensor Reading", ""))
    if told.get("Status", "").lower() in ("ns", "disabled", "not available", "na"):
        return None
    return _above_zero(quantity(reading, _UNIT))


def _fields(text: str) -> dict[str, str]:
    """Values by name; a name that stands there twice has none."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if match := _FIELD.match(line):
            found.setdefault(match[1], []).append(match[2].strip())
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _above_zero(watts: float | None) -> float | None:
    return watts if watts is not None and watts > 0 else None  # this program runs on the node: it draws power


def _choose(listing: str, why_not_dcmi: str) -> str:
    """The one sensor of the node's whole power in `sdr elist`, `name | number | status | entity | reading`."""
    lines = [[field.strip() for field in line.split("|")] for line in listing.splitlines() if line.count("|") > 3]  # noqa: PLR2004
    in_watts = [fields[0] for fields in lines if "watts" in fields[-1].lower()]
    named = [fields for fields in lines if fields[0].lower() in NODE_SENSORS]
    told = [fields[0] for fields in named if quantity(fields[-1].split(",")[0], _UNIT)]
    if len(told) == 1:
        return told[0]
    if told:
        problem = f"several sensors are called as if they were the node's power: {', '.join(told)}"
    elif named:
        problem = f"the sensor {named[0][0]} tells no power: {named[0][-1] or 'no reading'}"
    elif in_watts:
        problem = f"of the sensors in watts none is known to be the node's whole power: {', '.join(in_watts)}"
    else:
        problem = "no sensor tells watts"
    raise MeterUnavailableError(f"ipmi: {why_not_dcmi}; {problem}")


def _run(tool: Tool, *arguments: str) -> str:
    try:
        return tool.run(*arguments)
    except MeterUnavailableError as error:
        raise MeterUnavailableError(f"ipmi: {_explained(str(error))}") from error


def _fatal(problem: str) -> bool:
    return any(text in problem for text in _HOPELESS)


def _explained(problem: str) -> str:
    """What ipmitool says of a device file that it cannot open, as what to do."""
    if "Could not open device" not in problem:
        return problem
    if "Permission denied" in problem:
        return f"no permission to ask the controller; run as root or let your group open /dev/ipmi0 ({problem})"
    return f"no IPMI driver: load ipmi_si and ipmi_devintf; in a container, pass /dev/ipmi0 on ({problem})"
