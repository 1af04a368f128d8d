"""What Graphcore's tools tell of an IPU: attributes with documented names, as JSON or as `name: value` lines.

Source of names and values: Graphcore command line tools, "Device attributes", with outputs of a C600, a C2, an M2000.
`gc-monitor --json` holds the IPUs of each card in a list `ipus` of a list `cards`; what it calls a thing is matched by
letters alone, so `boardPower` is no `total board power`, but `total_board_power` and `totalBoardPower` are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hardware.meters.frame.figures import Field, Layout, clock, power, temperature, utilisation
from hardware.meters.frame.forms import keys_once
from hardware.meters.frame.row import SmiRow

Attributes = Mapping[str, str]
LAYOUT = Layout(
    pci_bus_id=("pciid",),
    index=("sysfsfileid",),
    temperature_c=temperature("averagedietemp", needed=True),
    utilisation=utilisation("ipuutilisation"),
    clock_mhz=clock("clock", needed=True),
    whole_text=True,
)
IPU_POWER, BOARD_POWER = power("ipupower", most=2000.0), power("totalboardpower", most=2000.0)
ONE_IPU = frozenset({"C600"})
"""Types of boards that hold a single IPU: there the board's power is the device's."""
_KNOWN = ("totalboardpower", "ipupower", "averagedietemp", "clock", "ipuutilisation")
"""An IPU shows itself by any of these."""
_IPUS = "ipus"


def from_json(text: str) -> list[Attributes]:
    """Attributes of each IPU in `gc-monitor --json`, those of its card among them; empty when there are none."""
    try:
        content = json.loads(text, object_pairs_hook=keys_once)
    except ValueError:
        return []
    return [ipu for ipu in _ipus(content, {}) if any(name in ipu for name in _KNOWN)]


def from_lines(text: str) -> Attributes:
    """Attributes in `gc-info --device-info`: one `name: value` per line; empty when there are none."""
    pairs = (line.partition(":") for line in text.splitlines())
    found = {_letters(name): value.strip() for name, colon, value in pairs if colon and value.strip()}
    return found if any(name in found for name in _KNOWN) else {}


def to_rows(ipus: Sequence[Attributes]) -> list[SmiRow]:
    """One row per IPU. A board's power stands for IPUs that tell none of their own, once per board."""
    return [_row(ipu, [other for other in ipus if _board(other) == _board(ipu)]) for ipu in ipus]


def _ipus(content: Any, inherited: dict[str, str]) -> Iterator[dict[str, str]]:
    """Each IPU with what the mappings around it say: an entry of a list `ipus`, or a mapping with known attributes."""
    if isinstance(content, list):
        for entry in content:
            yield from _ipus(entry, inherited)
    if not isinstance(content, dict):
        return
    own = _told(content)
    ipus = next((value for key, value in content.items() if _letters(str(key)) == _IPUS), None)
    if isinstance(ipus, list):
        yield from (inherited | own | _told(entry) for entry in ipus if isinstance(entry, dict))
    elif any(name in own for name in _KNOWN):
        yield inherited | own
    else:
        for value in content.values():
            yield from _ipus(value, inherited | own)


def _told(content: dict[str, Any]) -> dict[str, str]:
    """What a mapping says itself."""
    return {_letters(str(key)): str(value) for key, value in content.items() if type(value) in (str, int, float)}


def _letters(name: str) -> str:
    """A name without spaces and the like: `ipu utilisation (session)` is `ipuutilisationsession`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _board(ipu: Attributes) -> str | None:
    return ipu.get("boardserialnumber")


def _row(ipu: Attributes, board: Sequence[Attributes]) -> SmiRow:
    fields, serial = _fields(ipu), _board(ipu)
    own_w, board_w = IPU_POWER.read(fields, []), BOARD_POWER.read(fields, [])
    alone = ipu.get("boardtype") in ONE_IPU
    some_have_own = any(IPU_POWER.read(_fields(other), []) is not None for other in board)
    shared = board_w is not None and serial is not None and not alone and not some_have_own
    power_w = board_w if alone and "totalboardpower" in ipu else own_w  # one sensor all along, never now this, now that
    row = LAYOUT.row(fields, [] if shared or power_w is not None else ["no power"])
    return replace(
        row,
        board=serial if shared else None,
        board_power_w=board_w if shared else None,
        power_w=power_w,
        raw=row.raw and row.raw[:400],
    )


def _fields(ipu: Attributes) -> dict[str, Field]:
    return {name: Field(text=value, title=f"{name}:") for name, value in ipu.items()}
