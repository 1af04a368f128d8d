"""The forms in which tools print what they know, taken apart into fields by name: one mapping per device.

A name that stands twice for one device has no value but `figures.TWICE`: which of the two is meant is not known.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from xml.etree import ElementTree

from hardware.meters.frame.fields import csv_rows
from hardware.meters.frame.figures import TWICE, Field, Fields

_HEADING = re.compile(r"(?P<name>.*?)\s*(?:[\[(](?P<unit>[^\[\]()]*)[\])])?")


class Form(Protocol):
    """One form of output."""

    def rows(self, text: str) -> list[Fields]:
        """The fields of each device; nothing when the text has another form."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Csv:
    """A table with commas under a header: `power.draw [W]` or `GPU Power (W)` is the field `power.draw`, `gpu power`.

    Lines before the header are remarks; lines of another length than the header are left out.
    """

    header: frozenset[str]
    """Names in small letters by which the header is known: all of them stand there."""
    units_in_header: bool = True
    """Whether a number without a unit has the header's; false where the tool repeats the unit beside every number."""

    def rows(self, text: str) -> list[Fields]:
        """One mapping per line below the header."""
        lines = text.splitlines()
        begin = next((at for at, line in enumerate(lines) if self.header <= self._names(line)), None)
        return [] if begin is None else [self._fields(row) for row in csv_rows("\n".join(lines[begin:]))]

    @staticmethod
    def _names(line: str) -> set[str]:
        return {name for name, _unit in map(heading, line.split(","))}

    def _fields(self, row: Mapping[str, str]) -> Fields:
        pairs = []
        for column, text in row.items():
            name, unit = heading(column)
            title = f"{column}:" if self.units_in_header else name
            pairs.append((name, Field(text=text, unit=unit if self.units_in_header else "", title=title)))
        return _once(pairs)


@dataclass(kw_only=True, slots=True, frozen=True)
class Json:
    """An object with a list of devices; fields are named by their path, `Power Readings/Power Draw`."""

    devices: str
    """Key of the list."""

    def rows(self, text: str) -> list[Fields]:
        """One mapping per entry of the list."""
        listed = json_object(text).get(self.devices)
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            return []
        return [flat(one) for one in listed]


@dataclass(kw_only=True, slots=True, frozen=True)
class Xml:
    """An element per device; fields are named by their path, attributes by `@name`."""

    device: str
    """Tag of a device."""
    leave_out: re.Pattern[str] | None = None
    """What is cut out before, such as command lines, whose signs could break the XML."""

    def rows(self, text: str) -> list[Fields]:
        """One mapping per element of a device."""
        text = text if self.leave_out is None else self.leave_out.sub("", text)
        try:
            log = ElementTree.fromstring(text[max(text.find("<"), 0) :])
        except ElementTree.ParseError:
            return []
        return [_once(_elements(device)) for device in log.iter(self.device)]


@dataclass(kw_only=True, slots=True, frozen=True)
class Sections:
    """Lines `name : value` under a line that begins each device, grouped by indentation: `Power Readings/Power Draw`.

    The groups named in the beginning line (`GPU0 00000000:08:00.0`) are fields `@…`. A device that begins twice is
    there twice.
    """

    begins: re.Pattern[str]

    def rows(self, text: str) -> list[Fields]:
        """One mapping per beginning line."""
        found: list[tuple[dict[str, Field], list[str]]] = []
        for line in text.splitlines():
            match = self.begins.fullmatch(line)
            if match is not None:
                head = {f"@{name}": Field(text=value or "") for name, value in match.groupdict().items()}
                found.append((head, []))
            elif found and line.strip():
                found[-1][1].append(line)
        return [head | dict(_once(_paths(lines))) for head, lines in found]


def json_object(text: str) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    try:
        content = json.loads(text, object_pairs_hook=keys_once)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without the values of the keys that stand in it twice, of which `json` would take the last."""
    often = Counter(key for key, _ in pairs)
    return {key: value if often[key] == 1 else TWICE for key, value in pairs}


def flat(content: Mapping[str, Any]) -> Fields:
    """The texts and numbers of an object of objects by their path; spaces around a key do not count."""
    return _once(_values(content, ""))


def _values(content: Mapping[str, Any], path: str) -> Iterator[tuple[str, Field]]:
    for key, value in content.items():
        name = path + key.strip()
        if isinstance(value, Mapping):
            yield from _values(value, f"{name}/")
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            yield name, Field(text=str(value), title=f"{name}:")


def _elements(element: ElementTree.Element, path: str = "") -> Iterator[tuple[str, Field]]:
    for name, value in element.attrib.items():
        yield f"{path}@{name}", Field(text=value)
    for child in element:
        if len(child) == 0:
            yield path + child.tag, Field(text=child.text or "")
        yield from _elements(child, f"{path}{child.tag}/")


def _paths(lines: Iterable[str]) -> Iterator[tuple[str, Field]]:
    groups: list[tuple[int, str]] = []
    for line in lines:
        depth = len(line) - len(line.lstrip())
        while groups and groups[-1][0] >= depth:
            groups.pop()
        name, _, value = (part.strip() for part in line.partition(":"))
        if value:
            path = "/".join([*(group for _, group in groups), name])
            yield path, Field(text=value, title=f"{path}:")
        else:
            groups.append((depth, name))


def heading(text: str) -> tuple[str, str]:
    """Name and unit of a column, `power.draw [W]` or `GPU Power (W)`, in small letters; no unit is empty."""
    match = _HEADING.fullmatch(text.strip().lower())
    return (text.strip().lower(), "") if match is None else (match["name"], (match["unit"] or "").strip())


def _once(pairs: Iterable[tuple[str, Field]]) -> dict[str, Field]:
    listed = list(pairs)
    often = Counter(name for name, _ in listed)
    return {name: field if often[name] == 1 else replace(field, text=TWICE) for name, field in listed}
