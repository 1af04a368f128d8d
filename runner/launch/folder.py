"""Run folders: claiming a new one, finding an earlier one of the same case."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from runner.config.schema import Case, load_case
from runner.core.errors import ConfigurationError, TouchstoneError
from runner.core.lock import OwnedError, let_go, take
from runner.core.owner import parent_state, write_parent
from runner.messages import tr
from runner.record.reading import UnreadableFolderError, reading
from runner.record.report import load_report
from runner.results.find import walk_runs
from runner.results.index import Root, read_all
from runner.results.index.identities import CASE_FILE, case_kind
from runner.views.waiting import waiting


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

    The index says which folders may be of this case; each of those is read again before it is used.

    Args:
        case: what shall run.
        root: where earlier runs lie.
        say: is told of every folder that cannot be read; the others are looked at all the same.
    """
    usable: list[tuple[float, Path]] = []
    for folder in _of_the_case(case, root, say):
        try:
            with reading(folder):
                if parent_state(folder) == "gone":
                    usable.append(((folder / CASE_FILE).stat().st_mtime, folder))
        except UnreadableFolderError as error:
            say(_passed_over(error))
    newest_first = [folder for _, folder in sorted(usable, key=lambda one: one[0], reverse=True)]
    good = (folder for folder in newest_first if is_done(folder))
    begun = (folder for folder in newest_first if can_go_on(folder))
    return next((folder for folder in itertools.chain(good, begun) if _is_of(folder, case)), None)


def _of_the_case(case: Case, root: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """The folders of runs of a case, as the index has it."""
    wanted = case.identity
    with waiting(tr("Reading the cases of earlier runs")) as progress:
        known = read_all([Root(root, list(walk_runs(root)), True)], case_kind(case.task.name), progress)
    for folder, content in known.items():
        if isinstance(content, TouchstoneError):
            say(_passed_over(content))
            continue
        read = json.loads(content)
        if "problem" in read:
            say(_passed_over(UnreadableFolderError(folder, read["problem"])))
        elif read["identity"] == wanted:
            yield folder


def _is_of(folder: Path, case: Case) -> bool:
    """Whether a folder is this case's, as it stands now."""
    try:
        return load_case(folder).identity == case.identity
    except (OSError, ValueError):
        return False


def _passed_over(error: TouchstoneError) -> str:
    return f"resume=true passes over {error}"


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
