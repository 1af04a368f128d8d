"""Run folders: claiming a new one, finding an earlier one of the same case."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from runner.config.schema import Case, load_case
from runner.core.errors import ConfigurationError
from runner.core.lock import OwnedError, let_go, take
from runner.core.owner import parent_state, write_parent
from runner.record.reading import UnreadableFolderError, reading
from runner.record.report import load_report
from runner.results.find import walk_runs


def claim(case: Case, wanted: Path) -> Path:
    """Make a folder that is this run's alone, own it and write `run.yaml` into it; a taken name gets a number.

    The lock is won first, so that no two runs share a folder, then `run.yaml`, and only then is said whose it is. Give
    it back with `runner.core.lock.let_go`.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    for folder in _numbered(wanted):
        if (folder / "run.yaml").exists():
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            take(folder)
            _fill(case, folder)
        except (OwnedError, FileExistsError):
            _require_place(folder)
            continue
        except OSError as error:
            raise ConfigurationError(
                f"The run folder {folder} cannot be written: {error.strerror}. "
                "Choose another place with run.root=FOLDER."
            ) from error
        return folder
    raise AssertionError("unreachable")


def _fill(case: Case, folder: Path) -> None:
    """Write what a new run folder begins with; whatever fails leaves no half of it."""
    path = folder / "run.yaml"
    try:
        case.save(path)
        write_parent(folder)
    except FileExistsError:  # a run that has ended since it was looked for
        let_go(folder)
        raise
    except OSError:
        path.unlink(missing_ok=True)
        let_go(folder)
        raise


def claim_sweep(wanted: Path) -> Path:
    """A folder that is this sweep's alone, owned until the process ends; a taken name gets a number.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    for folder in _numbered(wanted):
        try:
            folder.mkdir(parents=True)
            take(folder)
        except (OwnedError, FileExistsError):
            _require_place(folder)
            continue
        except OSError as error:
            raise ConfigurationError(
                f"The sweep's folder {folder} cannot be written: {error.strerror}. "
                "Choose another place with run.root=FOLDER."
            ) from error
        return folder
    raise AssertionError("unreachable")


def _numbered(wanted: Path) -> Iterator[Path]:
    """The wanted name, then the same with numbers from 2 on."""
    yield wanted
    yield from (wanted.with_name(f"{wanted.name}_{number}") for number in itertools.count(2))


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
            _require_place(folder)
            continue
        except OSError as error:
            raise _not_writable(folder, str(error.strerror)) from error
        return folder
    raise AssertionError("unreachable")


def _require_place(folder: Path) -> None:
    """Refuse a place where no number helps: something that is no folder, or a link to nowhere, has a folder's name.

    Raises:
        ConfigurationError: it is one.
    """
    if not folder.parent.is_dir():
        raise _not_writable(folder, "a file, or a link to nowhere, is in the way")


def _not_writable(folder: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"The folder {folder} cannot be written: {reason}. Choose another place with run.root=FOLDER."
    )
