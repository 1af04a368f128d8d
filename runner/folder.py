"""Run folders: claiming a new one, finding an earlier one of the same case."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

from runner.errors import ConfigurationError
from runner.report.find import walk_runs
from runner.report.reading import UnreadableFolderError, reading
from runner.report.schema import load_report
from runner.schema import Case, load_case
from runner.tracking.owner import parent_state, write_parent


def claim(case: Case, wanted: Path) -> Path:
    """Make a folder that is this run's alone and write `run.yaml` into it; a taken name gets a number.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}_{number}")
        if (folder / "run.yaml").exists():
            continue
        try:
            write_parent(folder)
            case.save(folder / "run.yaml")
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigurationError(
                f"The run folder {folder} cannot be written: {error.strerror}. "
                "Choose another place with run.root=FOLDER."
            ) from error
        return folder
    raise AssertionError("unreachable")


def find_earlier(case: Case, root: Path, say: Callable[[str], None] = lambda _: None) -> Path | None:
    """The newest folder that `resume=true` can use: a good result of the same case, or one that a kill left behind.

    Args:
        case: what shall run.
        root: where earlier runs lie.
        say: is told of every folder that cannot be read; the others are looked at all the same.
    """
    usable: list[tuple[bool, float, Path]] = []
    for folder in walk_runs(root):
        try:
            with reading(folder):
                if load_case(folder).identity == case.identity and parent_state(folder) == "gone":
                    usable.append((is_done(folder), (folder / "run.yaml").stat().st_mtime, folder))
        except UnreadableFolderError as error:
            say(f"resume=true passes over {error}")
    newest_first = sorted(usable, key=lambda one: one[:2], reverse=True)
    return next((folder for done, _, folder in newest_first if done or can_go_on(folder)), None)


def is_done(folder: Path) -> bool:
    """Whether the folder holds a good result."""
    try:
        return load_report(folder / "report.json").status == "done"
    except (OSError, ValueError):
        return False


def can_go_on(folder: Path) -> bool:
    """Whether the folder holds a checkpoint to continue from."""
    return (folder / "checkpoints" / "last.ckpt").exists()


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that Hydra made and nobody used."""
    if folder.is_dir() and not any(folder.iterdir()):
        os.rmdir(folder)  # noqa: PTH106 -- fails on anything but an empty folder
