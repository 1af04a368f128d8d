"""Run folders: claiming a new one, finding an earlier one of the same case."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from runner.errors import ConfigurationError
from runner.report.find import walk_runs
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


def find_earlier(case: Case, root: Path) -> Path | None:
    """The newest folder that `resume=true` can use: a good result of the same case, or one that a kill left behind."""
    usable = (folder for folder in walk_runs(root) if _same_case(case, folder) and parent_state(folder) == "gone")
    ranked = sorted(usable, key=lambda folder: (is_done(folder), (folder / "run.yaml").stat().st_mtime))
    return next((folder for folder in reversed(ranked) if is_done(folder) or can_go_on(folder)), None)


def is_done(folder: Path) -> bool:
    """Whether the folder holds a good result."""
    try:
        return load_report(folder / "report.json").status == "done"
    except (OSError, ValueError):
        return False


def can_go_on(folder: Path) -> bool:
    """Whether the folder holds a checkpoint to continue from."""
    return (folder / "checkpoints" / "last.ckpt").exists()


def _same_case(case: Case, folder: Path) -> bool:
    try:
        return load_case(folder).identity == case.identity
    except (OSError, ValueError, TypeError):
        return False


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that Hydra made and nobody used."""
    if folder.is_dir() and not any(folder.iterdir()):
        os.rmdir(folder)  # noqa: PTH106 -- fails on anything but an empty folder


def make_own(wanted: Path) -> Path:
    """Make a folder that nobody else has: a taken name gets a number.

    Raises:
        ConfigurationError: it cannot be made.
    """
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}_{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if folder.parent.is_dir():
                continue
            raise _not_writable(folder, "a file is in the way") from None
        except OSError as error:
            raise _not_writable(folder, str(error.strerror)) from error
        return folder
    raise AssertionError("unreachable")


def _not_writable(folder: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"The folder {folder} cannot be written: {reason}. Choose another place with run.root=FOLDER."
    )
