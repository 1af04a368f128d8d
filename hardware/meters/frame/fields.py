"""What vendors' tools print, as numbers in base units; what is not a number in a known unit is None.

Tools write `57W`, `57.2 W`, `31C`, `40536MiB`, `12 %`, and where they do not know `NA`, `N/A`, `-`, `[Not Supported]`.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping

_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(\S*)", re.IGNORECASE)

ABSENT = frozenset(
    {"", "-", "--", "/", "na", "n/a", "none", "unknown", "not supported", "unsupported", "not available"}
    | {"[na]", "[n/a]", "[not supported]"}
)
"""What tools write, in small letters, where a device has no such figure: nothing to doubt, nothing to tell."""

WATTS = {"w": 1.0, "mw": 1e-3, "kw": 1e3}
CELSIUS = {"c": 1.0, "°c": 1.0, "℃": 1.0}
PERCENT = {"%": 0.01}
BYTES = {
    "b": 1.0,
    "kib": 2.0**10,
    "mib": 2.0**20,
    "gib": 2.0**30,
}
MEGAHERTZ = {"mhz": 1.0, "ghz": 1e3, "hz": 1e-6, "khz": 1e-3}
JOULES = {"j": 1.0, "mj": 1e-3, "uj": 1e-6, "µj": 1e-6, "kj": 1e3, "wh": 3600.0}


def quantity(text: str | None, units: Mapping[str, float], *, bare: float | None = None) -> float | None:
    """The number of a field in base units.

    Args:
        text: one field, with or without its unit; None is allowed, for a column that is not there.
        units: factor to the base unit, by unit in small letters: WATTS, CELSIUS, PERCENT, BYTES, MEGAHERTZ, JOULES.
        bare: factor for a number without unit, when the header tells it; None: a bare number is not understood.

    Returns:
        None when the field holds anything else, such as `NA`, or a number in a unit that is not listed.
    """
    match = _QUANTITY.fullmatch((text or "").strip())
    if match is None:
        return None
    factor = units.get(match[2].lower()) if match[2] else bare
    if factor is None:
        return None
    value = float(match[1]) * factor
    return value if math.isfinite(value) else None


def is_absent(text: str) -> bool:
    """Whether a field says that there is no such figure: `N/A`, `N/A (Secondary die)`, `-` or the like."""
    folded = text.strip().lower()
    return folded in ABSENT or re.fullmatch(r"n/a \(.*", folded) is not None


def within(value: float | None, least: float, most: float) -> float | None:
    """A value inside what is possible; None for what no sensor can mean, such as 65535 degrees."""
    return value if value is not None and least <= value <= most else None


def csv_rows(text: str) -> list[dict[str, str]]:
    """Rows of a table with commas, by the names in its first line; lines of another length are left out.

    A name that stands there twice is left out: which of its columns is meant is not known.
    """
    lines = list(csv.reader(io.StringIO(text), skipinitialspace=True))
    if not lines:
        return []
    header = [name.strip() for name in lines[0]]
    rows = [[field.strip() for field in line] for line in lines[1:]]
    return [
        {name: text for name, text in zip(header, row, strict=True) if header.count(name) == 1}
        for row in rows
        if len(row) == len(header)
    ]


def boxed_lines(text: str) -> Iterator[list[list[str]]]:
    """Lines of a table drawn with `|`: for each its cells, and for each cell its words; ruled lines are left out."""
    for line in text.splitlines():
        if line.count("|") > 1:
            yield [cell.split() for cell in line.strip().strip("|").split("|")]
