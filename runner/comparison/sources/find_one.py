"""A run by what people copy: the beginning of its MLflow id, of its folder's name, or of its case's identity."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from runner.core.errors import ConfigurationError
from runner.results.find import walk_runs
from runner.results.index import summaries

_FEWEST = 6
"""Characters of an id that tell enough."""
_HEX = re.compile(r"^[0-9a-f]+$")
_SHOWN = 6


def find_run(text: str, root: Path) -> Path:
    """The folder of the one run below `root` that an id stands for.

    Raises:
        ConfigurationError: none (names the nearest), or several (names them).
    """
    if not root.is_dir():
        raise ConfigurationError(
            f"'{text}' is no folder, and there is no folder {root} to look for a run of that name in. Name another one "
            "with --root FOLDER."
        )
    folders = list(walk_runs(root))
    for found in (_by_name(text, folders), _by_store(text, folders), _by_identity(text, folders, root)):
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(map(str, found[:_SHOWN]))
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise ConfigurationError(f"'{text}' stands for {len(found)} runs: {names}{more}. Name one by its folder.")
    raise ConfigurationError(f"There is no run '{text}' in {root}.{_nearest(text, folders)}")


def _by_name(text: str, folders: Sequence[Path]) -> list[Path]:
    exact = [folder for folder in folders if folder.name == text]
    return exact or [folder for folder in folders if folder.name.startswith(text)] or _by_case(text, folders)


def _by_case(text: str, folders: Sequence[Path]) -> list[Path]:
    """By what follows the time in the folder's name."""
    return [folder for folder in folders if folder.name.partition("_")[2] == text]


def _by_store(text: str, folders: Sequence[Path]) -> list[Path]:
    """By MLflow's id, which `tracking.json` notes."""
    if len(text) < _FEWEST or not _HEX.match(text):
        return []
    return [folder for folder in folders if _store_id(folder).startswith(text)]


def _store_id(folder: Path) -> str:
    try:
        return str(json.loads((folder / "tracking.json").read_text()).get("run_id") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def _by_identity(text: str, folders: Sequence[Path], root: Path) -> list[Path]:
    if len(text) < _FEWEST or not _HEX.match(text) or not folders:
        return []
    found, _ = summaries([root])
    return [one.folder for one in found if str(one.case.get("identity")).startswith(text)]


def _nearest(text: str, folders: Sequence[Path]) -> str:
    names = {folder.name: folder for folder in folders} | {folder.name.partition("_")[2]: folder for folder in folders}
    near = difflib.get_close_matches(text, list(names), n=1, cutoff=0.4)
    if near:
        return f" The nearest is {names[near[0]]}."
    return f" It has {len(folders)} runs; python -m runner.report {root_of(folders)} lists them." if folders else ""


def root_of(folders: Sequence[Path]) -> Path:
    """The folder that all of these lie in."""
    import os

    return Path(os.path.commonpath([folder.parent for folder in folders]))
