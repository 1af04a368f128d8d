"""Power of the whole node, from its management controller over the network (Redfish, DMTF DSP0266).

The address and the account come from the environment alone and are shown, logged and stored nowhere:

    TOUCHSTONE_REDFISH_URL       https://bmc.example, or the full address of one chassis where a machine has several
    TOUCHSTONE_REDFISH_USER, TOUCHSTONE_REDFISH_PASSWORD
    TOUCHSTONE_REDFISH_INSECURE  1: believe any certificate, and allow http

Source of the properties: DMTF's schema index (DSP2046): EnvironmentMetrics.PowerWatts.Reading, and in the older Power
resource PowerControl[].PowerConsumedWatts; PowerSubsystem tells capacities and allocations, no consumption.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

from hardware.base import DeviceIdentity
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.node.redfish_client import RedfishClient, RedfishError, make_client

NODE = "node"
CHASSIS = "/redfish/v1/Chassis"
URL, USER, PASSWORD, INSECURE = (f"TOUCHSTONE_REDFISH_{name}" for name in ("URL", "USER", "PASSWORD", "INSECURE"))
RESOURCES = ("EnvironmentMetrics", "Power")
"""Resources of a chassis that tell its power; the older one is left for controllers that know no other."""
OPENING_S = 10.0
"""Longest time to look through the chassis; machines with a chassis per device have dozens."""


@dataclass(kw_only=True, slots=True, frozen=True)
class PowerReadings:
    """What a resource says of its chassis' power: watts, or why none."""

    watts: float | None
    reason: str | None = None


class Redfish(Meter):
    """One source, `node`. Controllers take part of a second for an answer, so they are asked every other second."""

    name: ClassVar[str] = "redfish"
    period_s: ClassVar[float] = 2.0
    least_period_s: ClassVar[float] = 1.0

    def __init__(self, timeout_s: float = 5.0, opening_s: float = OPENING_S) -> None:
        self._timeout_s = timeout_s
        self._opening_s = opening_s
        self._client: RedfishClient | None = None
        self._path = ""
        """Of the resource that tells the node's power."""

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find the one chassis that tells its power.

        Raises:
            MeterUnavailableError: no address or account, no answer, or not exactly one chassis with power.
        """
        self.close()
        try:
            client, path = self._connect()
            members = [path] if path else _links(client.get(CHASSIS).get("Members"))
            found = self._look_through(client, members)
        except RedfishError as error:
            self.close()
            raise MeterUnavailableError(f"redfish: {error}") from error
        self._path = self._only(found)

    def read(self) -> list[Reading]:
        """The node's power now.

        Raises:
            MeterUnavailableError: the controller does not answer.
        """
        if self._client is None:
            raise MeterUnavailableError("redfish: not open")
        try:
            told = power_in(self._client.get(self._path))
        except RedfishError as error:
            raise MeterUnavailableError(f"redfish: {error}") from error
        return [Reading(source=NODE, scope="node", power_w=told.watts, raw=told.reason)]

    def close(self) -> None:
        """Close the connection and forget the account."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def _connect(self) -> tuple[RedfishClient, str]:
        missing = [name for name in (URL, USER, PASSWORD) if not os.environ.get(name)]
        if missing:
            raise RedfishError(f"{', '.join(missing)} not set: where the management controller is and who asks it")
        client, path = make_client(
            os.environ[URL],
            user=os.environ[USER],
            password=os.environ[PASSWORD],
            insecure=os.environ.get(INSECURE) == "1",
            insecure_name=INSECURE,
            timeout_s=self._timeout_s,
        )
        self._client = client
        return client, "" if path.rstrip("/") in ("", "/redfish", "/redfish/v1", CHASSIS) else path

    def _look_through(
        self, client: RedfishClient, members: Sequence[str]
    ) -> dict[str, tuple[str, PowerReadings] | None]:
        deadline_s = time.monotonic() + self._opening_s
        found: dict[str, tuple[str, PowerReadings] | None] = {}
        for member in members:
            if time.monotonic() > deadline_s:
                raise RedfishError(
                    f"{len(members)} chassis could not be looked through in {self._opening_s:g} s; put the address of "
                    f"the one that is this node into {URL}"
                )
            found[member] = _power_of(client, member)
        return found

    def _only(self, found: dict[str, tuple[str, PowerReadings] | None]) -> str:
        """Path of the one resource that tells power."""
        with_power = {member: one for member, one in found.items() if one is not None and one[1].watts is not None}
        if len(with_power) == 1:
            path, _ = next(iter(with_power.values()))
            return path
        self.close()
        if with_power:
            raise MeterUnavailableError(
                f"redfish: several chassis tell their power: {', '.join(with_power)}; put the address of the one that "
                f"is this node into {URL}"
            )
        said = [f"{one[0]}: {one[1].reason}" for one in found.values() if one is not None]
        raise MeterUnavailableError(f"redfish: no chassis tells its power ({'; '.join(said) or 'none has a reading'})")


def _power_of(client: RedfishClient, chassis: str) -> tuple[str, PowerReadings] | None:
    """The resource of a chassis that tells its power, else the last that has it in its form; None without any."""
    resource = client.get(chassis)
    found: tuple[str, PowerReadings] | None = None
    for name in RESOURCES:
        for path in _links([resource.get(name)]):
            found = path, power_in(client.get(path))
            if found[1].watts is not None:
                return found
    return found


def power_in(resource: dict[str, Any]) -> PowerReadings:
    """Power in an EnvironmentMetrics or Power resource."""
    sensor = resource.get("PowerWatts")
    if isinstance(sensor, dict):
        return _told(sensor.get("Reading"), "PowerWatts.Reading")
    controls = [one for one in _list(resource.get("PowerControl")) if isinstance(one, dict)]
    told = [one for one in controls if _is_number(one.get("PowerConsumedWatts"))]
    if len(told) > 1:
        # Some controllers list processors and memory beside the chassis; PhysicalContext tells which is which.
        told = [one for one in told if one.get("PhysicalContext") == "Chassis"]
    if len(told) == 1:
        return _told(told[0]["PowerConsumedWatts"], "PowerConsumedWatts")
    names = ", ".join(str(one.get("Name")) for one in controls)
    return PowerReadings(
        watts=None, reason=f"PowerControl has no single PowerConsumedWatts of the chassis: {names or 'empty'}"
    )


def _told(value: Any, name: str) -> PowerReadings:
    """A node that answers draws power: 0 is a sensor that does not measure."""
    if _is_number(value) and 0 < value < inf:
        return PowerReadings(watts=float(value))
    return PowerReadings(watts=None, reason=f"{name} is {value!r}"[:200])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _links(values: Any) -> list[str]:
    """Paths of a list of links; what is none is left out."""
    paths = [one.get("@odata.id") for one in _list(values) if isinstance(one, dict)]
    return [path for path in paths if isinstance(path, str) and path]
