"""One way from a name to a class, for vendors' devices, meters, tasks, frameworks and whatever else is chosen by name.

What this tree brings is written as `module:Class` and imported only when it is asked for; what installed packages bring
is found by their entry points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any

from hardware.packages import brought


class UnknownNameError(ValueError):
    """Nothing has this name; the message says what is near and what there is."""


class BrokenEntryError(ValueError):
    """What has this name cannot be imported, or is something else; the message says which and why."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Registry:
    """Classes of one kind by name."""

    kind: str
    """What it holds, in the singular, as messages say it: `meter`, `task`."""
    group: str
    """Entry points of installed packages."""
    built_in: Mapping[str, str]
    """Name to `module:Class`, of this tree; they go before those of packages."""
    base: str
    """`module:Class` that every one of them is a subclass of."""

    def names(self, *, outside: bool = True) -> list[str]:
        """Every name, those of installed packages included unless `outside` is false."""
        return sorted({*self.built_in, *(point.name for point in self._brought() if outside)})

    def find(self, name: str) -> type[Any]:
        """The class of a name.

        Raises:
            UnknownNameError: there is none.
            BrokenEntryError: it cannot be imported, or is not of this kind.
        """
        point = self._point(name)
        try:
            found = point.load()
        except (ImportError, AttributeError) as error:
            raise BrokenEntryError(f"{name}: {point.value} cannot be imported: {error}") from error
        module, _, attribute = self.base.partition(":")
        base = getattr(import_module(module), attribute)
        if not (isinstance(found, type) and issubclass(found, base)):
            raise BrokenEntryError(f"{name}: {point.value} is not a {base.__module__}.{base.__qualname__}")
        return found

    def _point(self, name: str) -> EntryPoint:
        if name in self.built_in:
            return EntryPoint(name=name, value=self.built_in[name], group=self.group)
        points = {point.name: point for point in self._brought()}
        if name in points:
            return points[name]
        known = self.names()
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UnknownNameError(f"no {self.kind} is called {name}.{hint} There are: {', '.join(known)}")

    def _brought(self) -> tuple[EntryPoint, ...]:
        return brought(self.group)
