"""Several meters in each other's place: a library, and the command line tool where the library is missing."""

from __future__ import annotations

from collections.abc import Sequence

from hardware.base import DeviceIdentity
from hardware.meters.base import Meter, MeterUnavailableError, Reading


class FirstOf(Meter):
    """Reads the first meter that can be opened; each sensor is still read by one."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        assert meters, "nothing to choose from"
        self._meters = list(meters)
        self._active = self._meters[0]

    @property
    def name(self) -> str:  # type: ignore[override]
        """Of the meter in use."""
        return self._active.name

    @property
    def period_s(self) -> float:  # type: ignore[override]
        """Of the meter in use."""
        return self._active.period_s

    @property
    def least_period_s(self) -> float:  # type: ignore[override]
        """Of the meter in use."""
        return self._active.least_period_s

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Open the first that can be.

        Raises:
            MeterUnavailableError: none can; says why of each.
        """
        reasons = []
        for meter in self._meters:
            try:
                meter.open(devices)
            except MeterUnavailableError as error:
                reasons.append(str(error))
            else:
                self._active = meter
                return
        raise MeterUnavailableError("; ".join(reasons))

    def read(self) -> list[Reading]:
        """What the meter in use reads.

        Raises:
            MeterUnavailableError: it stopped answering.
        """
        return self._active.read()

    def processes_cpu_s(self) -> float:
        """Of all of them."""
        return sum(meter.processes_cpu_s() for meter in self._meters)

    def close(self) -> None:
        """Close the one in use."""
        self._active.close()
