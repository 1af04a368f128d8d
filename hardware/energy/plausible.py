"""What cannot be a device's power, whatever its sensor says. Pure functions, no I/O.

A sensor that is not wired up does not always say 0: one of an MI325X says 1 to 3 W while the chip is 97 % busy.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

BUSY = 0.5
"""Utilisation from which a device counts as working."""
LEAST_BUSY_W = 5.0
"""Less no working device draws of which the data sheet is not known."""
BUSY_SHARE, IDLE_SHARE = 0.05, 0.01
"""Less of its thermal design power no device draws while it works, and while it waits; most rest at 10 %."""
FRESH_S = 2.0
"""How long a utilisation stands for the powers read after it: slow figures are read once a second."""
NOT_THROTTLING = frozenset(
    {"gpuidle", "idle", "none", "displayclocksetting", "displayclockssetting"}
    | {"applicationsclockssetting", "applicationclockssetting", "applicationsclocks", "userdefinedclocks"}
)
"""Reasons for a clock below the highest that are no throttling: rest, and what a user or a display has set."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Floor:
    """Least power of one kind of device, in watts."""

    busy_w: float = LEAST_BUSY_W
    idle_w: float = 0.0

    @classmethod
    def of(cls, tdp_w: float | None) -> Floor:
        """By the thermal design power of the chip's data sheet; None when that is not known."""
        return cls() if tdp_w is None else cls(busy_w=BUSY_SHARE * tdp_w, idle_w=IDLE_SHARE * tdp_w)

    def refuses(self, power_w: float, utilisation: float) -> bool:
        """Whether a device draws more than this at that utilisation (0..1; NaN: not known)."""
        busy = not isnan(utilisation) and utilisation >= BUSY
        return power_w < (self.busy_w if busy else self.idle_w)


def throttles(reason: str) -> bool:
    """Whether what a vendor calls so is throttling."""
    return "".join(letter for letter in reason.lower() if letter.isalnum()) not in NOT_THROTTLING | {""}
