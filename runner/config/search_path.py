"""Gives Hydra the configuration of installed packages, and refuses a search path that is not there."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin

from runner.commandline.quoting import shown
from runner.core import packages
from runner.core.errors import ConfigurationError

KEY = "hydra.searchpath"
KINDS = "A folder is file:///PATH, an installed package pkg://NAME."


class PackageConfiguration(SearchPathPlugin):
    """Appends, after `conf/`, what installed packages bring and what this command names: `--help` lists both."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra whenever it begins to compose."""
        for folder in (*packages.installed(), *packages.named):
            search_path.append("touchstone", f"file://{folder}")


def register() -> None:
    """Make the plugin known to Hydra; a second time changes nothing."""
    Plugins.instance().register(PackageConfiguration)


def take_search_path(arguments: Sequence[str]) -> None:
    """Look at what `hydra.searchpath=[…]` among the arguments names, and at what installed packages bring.

    Raises:
        ConfigurationError: a place that does not exist.
    """
    packages.named[:] = [_folder(place) for place in _places(arguments)]
    empty = [f"{KEY}: {folder} holds no YAML file." for folder in packages.named if packages.is_empty(folder)]
    for problem in (*empty, *packages.problems()):
        sys.stderr.write(f"Warning: {problem}\n")


def _places(arguments: Sequence[str]) -> list[str]:
    """What the last of them names; Hydra says what is wrong with one that cannot be understood.

    Raises:
        ConfigurationError: it is no list of texts.
    """
    given = [argument for argument in arguments if argument.lstrip("+").partition("=")[0] == KEY]
    try:
        values = [one.value() for one in OverridesParser.create().parse_overrides(given)]
    except HydraException:
        return []
    places: list[str] = []
    for value in values:
        if not isinstance(value, list) or not all(isinstance(place, str) for place in value):
            place = str(value).strip("[]") if isinstance(value, str) else "file:///FOLDER"
            kind = "" if "://" in place else "file://" if place.startswith("/") else "pkg://"
            raise ConfigurationError(f"{KEY} is a list of places. Write: {shlex.quote(f'{KEY}=[{kind}{place}]')}")
        places += [str(place) for place in value]
    return places


def _folder(place: str) -> Path:
    """The folder of a place.

    Raises:
        ConfigurationError: there is none.
    """
    kind, separator, rest = place.partition("://")
    if separator and kind not in ("file", "pkg"):
        raise ConfigurationError(f"{KEY}: {shown(place)} is of no known kind. {KINDS}")
    if not (rest if separator else place).strip("/."):
        raise ConfigurationError(f"{KEY}: {shown(place)!r} names no place. {KINDS}")
    if kind != "pkg" or not separator:
        folder = Path(rest if separator else place)
        if not folder.is_dir():
            # Hydra takes the path as it stands.
            hint = f" Write: {folder.expanduser()}" if folder.expanduser() != folder else ""
            raise ConfigurationError(f"{KEY}: there is no folder {folder.absolute()}.{hint}")
        return folder.absolute()
    name = rest.replace("/", ".").strip(".")
    try:
        spec = find_spec(name)
    except Exception as error:  # the package's own __init__ runs here
        raise ConfigurationError(f"{KEY}: {place} cannot be imported: {error}.") from error
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(f"{KEY}: {place} cannot be imported: there is no package {name}.")
    return Path(next(iter(spec.submodule_search_locations)))
