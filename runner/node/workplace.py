"""Where a node's share of a run is written: the head's folder, a folder in it, or one on this machine alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runner.cluster.receiving import TOKEN
from runner.commandline.explain import explain
from runner.config.schema import Case, case_from_dict
from runner.core.errors import ConfigurationError, DataMissingError, StorageError
from runner.core.lock import OwnedError, take
from runner.record.run_record import NODES


@dataclass(kw_only=True, slots=True, frozen=True)
class Workplace:
    """A folder for this node's ranks of one run."""

    case: Case
    folder: Path
    shared: Path
    """Where checkpoints lie, and what the first rank told: the head's folder, if this node sees it."""
    read_by_head: bool
    """Whether it is the head's own folder on the head's own machine: ranks write where the head reads."""
    visible: bool
    """Whether the head sees the folder, over a shared file system."""

    @property
    def own(self) -> bool:
        """Whether the agent owns the folder; the head owns its own."""
        return not self.read_by_head


def prepare(told: Mapping[str, Any], number: int, root: Path) -> Workplace:
    """Make the folder of a run.

    A file system that head and node share is used: checkpoints then lie where every node finds them. Each node but the
    head's own writes into a folder of its own all the same, for lines that several machines append to one file over a
    network are not kept apart.

    Args:
        told: what the head sent: `case`, `folder`, `token`, `name`, `same_machine`, `goes_on`.
        number: this node's.
        root: where this machine keeps what the head cannot see.

    Raises:
        ConfigurationError: the case is not valid here, as of another version.
        StorageError: the folder cannot be written.
        DataMissingError: the run is resumed from a checkpoint that this node does not see.
    """
    try:
        case = case_from_dict(dict(told["case"]))
    except (ValidationError, ValueError) as error:
        raise ConfigurationError(f"The case of the runner is not valid on this node: {explain(error)}") from error
    head = Path(str(told["folder"]))
    visible = _reads(head / NODES / TOKEN) == told["token"]
    if visible and told.get("same_machine") and number == 0:
        return Workplace(case=case, folder=head, shared=head, read_by_head=True, visible=True)
    folder = head / NODES / str(number) if visible else root / NODES / str(told["name"]) / str(number)
    try:
        _make(case, folder)
    except OwnedError as error:
        raise StorageError(f"The folder {folder} belongs to another agent that still runs.") from error
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be written: {error.strerror}.") from error
    if told.get("goes_on") and not visible:
        raise DataMissingError(
            f"The run goes on from a checkpoint in {head}, which this node does not see. Resume with a run.root that "
            "all nodes share, or leave resume=true out."
        )
    shared = head if visible else folder
    return Workplace(case=case, folder=folder, shared=shared, read_by_head=False, visible=visible)


def _make(case: Case, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    take(folder)
    path = folder / "run.yaml"
    path.unlink(missing_ok=True)  # of an earlier part of the run
    case.save(path)


def _reads(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
