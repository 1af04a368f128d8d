"""One way from a name or a dotted path to a class, for devices, meters, models, engines, frameworks and the like.

What this tree brings is written as `module:Class` and imported only when it is asked for; what installed packages bring
is found by their entry points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """What it holds, in the singular, as messages say it: `meter`, `framework`."""
    group: str
    """Entry points of installed packages."""
    base: str
    """`module:Class` that every one of them is a subclass of."""
    built_in: Mapping[str, str] = field(default_factory=dict)
    """Name to `module:Class`, of this tree; they go before those of packages."""

    def names(self, *, outside: bool = True) -> list[str]:
        """Every name, those of installed packages included unless `outside` is false."""
        return sorted({*self.built_in, *(point.name for point in brought(self.group) if outside)})

    def find(self, name: str) -> type[Any]:
        """The class of a name, or at a dotted path (`package.module.Class`, or `package.module:Class`).

        Raises:
            UnknownNameError: there is none.
            BrokenEntryError: it cannot be imported, or is not of this kind; the cause is the import's own error.
        """
        dotted = "." in name or ":" in name
        point = None if dotted else self._point(name)
        said = name if point is None else f"{name}: {point.value}"
        try:
            found = _at(name) if point is None else point.load()
        except (ImportError, AttributeError, ValueError) as error:
            raise BrokenEntryError(f"{said} cannot be imported: {error}") from error
        module, _, attribute = self.base.partition(":")
        base = getattr(import_module(module), attribute)
        if not (isinstance(found, type) and issubclass(found, base)):
            raise BrokenEntryError(f"{said} is not a subclass of {base.__module__}.{base.__qualname__}")
        return found

    def require(self, name: str) -> None:
        """Refuse a name that nothing has, without importing what has it; a dotted path is looked at by `find`.

        Raises:
            UnknownNameError: says what is near and what there is.
        """
        if "." not in name and ":" not in name:
            self._point(name)

    def _point(self, name: str) -> EntryPoint:
        if name in self.built_in:
            return EntryPoint(name=name, value=self.built_in[name], group=self.group)
        points = {point.name: point for point in brought(self.group)}
        if name in points:
            return points[name]
        known = self.names()
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UnknownNameError(f"no {self.kind} is called {name}.{hint} There are: {', '.join(known) or 'none'}")


def _at(path: str) -> Any:
    module, _, attribute = path.rpartition(":" if ":" in path else ".")
    return getattr(import_module(module), attribute)
