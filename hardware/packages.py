"""What installed packages bring, by their entry points: configuration, and what it names.

Reading entry points opens a file of every package that is installed, so it is done once, and only where something is
asked for that is not in this tree, or where all there is is to be listed.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path

PREFIX = "touchstone."
"""Every group of ours begins so."""
VENDORS = "touchstone.vendors"
"""A vendor's name to its device class."""
METERS = "touchstone.meters"
"""A meter's name to its class."""
MODELS = "touchstone.models"
"""A name that a model's YAML gives for a framework to the model's class."""
ENGINES = "touchstone.engines"
"""A compiler's name to its engine class."""
FRAMEWORKS = "touchstone.frameworks"
"""A framework's name to its class."""
LAUNCHERS = "touchstone.launchers"
"""A launcher's name to its class."""
CHIPS = "touchstone.chips"
"""Any name to a file beside a package's modules: `acme_bench:chips.yaml`."""
CONF = "touchstone.conf"
"""Any name to a package that is laid out like `conf/`: `acme_bench.conf`."""


class BrokenPackageError(ValueError):
    """An installed package names something that is not there; says which package, and what."""


@cache
def _all() -> dict[str, tuple[EntryPoint, ...]]:
    found = entry_points()
    groups = (group for group in found.groups if group.startswith(PREFIX))
    return {group: tuple(sorted(found.select(group=group), key=lambda one: one.name)) for group in groups}


def brought(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group, by name."""
    return _all().get(group, ())


def installed_version(package: str) -> str | None:
    """The version of a distribution; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def place(point: EntryPoint) -> Path:
    """The folder or file that an entry point of CHIPS or CONF names.

    Raises:
        BrokenPackageError: there is none.
    """
    try:
        spec = find_spec(point.module)
    except Exception as error:  # a package's own __init__ runs here
        raise _broken(point, str(error) or type(error).__name__) from error
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise _broken(point, f"there is no package {point.module}")
    found = Path(places[0], point.attr or "")
    if not found.exists():
        raise _broken(point, f"{found} does not exist: the package was built without it")
    return found


def _broken(point: EntryPoint, reason: str) -> BrokenPackageError:
    name = point.dist.name if point.dist else "unknown"
    return BrokenPackageError(
        f"the installed package {name} registers {point.name} = {point.value} under {point.group}, and {reason}"
    )
