"""The run under which MLflow shows the cases of a sweep. It holds no figures; its folder is the sweep's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from runner.config import schema
from runner.core.owner import write_parent
from runner.record.report import load_report
from runner.tracking import store
from runner.tracking.cursor import LOCK, Cursor, load_cursor
from runner.tracking.describe import STATUS
from runner.tracking.page.naming import varied
from runner.tracking.runs import find_or_create, lifecycle

LOCK_TIMEOUT_S = 30.0


def declare_sweep(folder: Path, name: str, cases: Sequence[schema.Case] = ()) -> None:
    """Mark a folder as a sweep's; run folders directly below it become its children. Needs no server.

    Args:
        folder: the sweep's.
        name: what its run in MLflow is called.
        cases: those that are to run; by what they differ, their runs' names begin.
    """
    write_parent(folder)
    if load_cursor(folder) is None:
        Cursor(sweep=name, varied=varied(cases)).save(folder)


def is_sweep(folder: Path) -> bool:
    """Whether a folder was declared a sweep's."""
    cursor = load_cursor(folder)
    return cursor is not None and cursor.sweep is not None


def varied_in(folder: Path) -> list[str]:
    """Keys by which the cases of a sweep differ; none where the folder is no sweep's."""
    cursor = load_cursor(folder)
    return cursor.varied if cursor is not None and cursor.sweep is not None else []


def children(folder: Path) -> list[Path]:
    """Run folders of a sweep."""
    return sorted(path.parent for path in folder.glob("*/run.yaml"))


def open_sweep(client: Any, experiment_id: str, folder: Path, *, uri: str, start_time_ms: int) -> str:
    """The id of the sweep's run; created when the first of its cases is filed."""
    shown = store.public_uri(uri)
    with FileLock(folder / LOCK, timeout=LOCK_TIMEOUT_S):
        cursor = load_cursor(folder)
        assert cursor is not None and cursor.sweep is not None
        name = cursor.sweep
        if cursor.uri != shown or (cursor.run_id is not None and lifecycle(client, cursor.run_id) is None):
            cursor = cursor.moved_to(shown)
        if cursor.run_id is None:
            cursor.experiment_id = experiment_id
            cursor.save(folder)
            tags = {"touchstone.sweep": name, "touchstone.run_folder": folder.name}
            cursor.run_id = find_or_create(
                client, experiment_id, cursor, name=name, tags=tags, start_time_ms=start_time_ms
            )
            cursor.save(folder)
        return cursor.run_id


def sweep_status(folder: Path) -> str:
    """MLflow's status for a sweep: KILLED or FAILED when that happened to one of its cases, else FINISHED."""
    reports = [path / "report.json" for path in children(folder)]
    statuses = {load_report(path).status if path.exists() else "killed" for path in reports}
    return worst(statuses)


def worst(statuses: Collection[str]) -> str:
    """MLflow's status for a sweep whose cases ended so."""
    return STATUS[next(status for status in ("killed", "failed", "done") if status in statuses or status == "done")]


def _valid_case(folder: Path) -> schema.Case | None:
    """The case of a run folder; None where it was refused because a value is not valid."""
    try:
        return schema.load_case(folder)
    except ValueError:
        return None


def finish_sweep(folder: Path, *, uri: str | None = None) -> bool:
    """Give the sweep's run its status; false when it has it already, or when no case of it was filed in that store.

    Raises:
        mlflow.exceptions.MlflowException: the store does not answer.
    """
    cursor, cases = load_cursor(folder), children(folder)
    if cursor is None or cursor.run_id is None or not cases:
        return False
    found = next(((path, case) for path in cases if (case := _valid_case(path)) is not None), None)
    if found is None:
        return False
    folder_of_case, case = found
    target = uri or store.store_uri(folder_of_case, case)
    status = sweep_status(folder)
    if cursor.uri != store.public_uri(target) or (cursor.finished and cursor.status == status):
        return False
    client, _ = store.connect(target, case.tracking.experiment)
    client.set_terminated(cursor.run_id, status=status)
    cursor.finished, cursor.status = True, status
    cursor.save(folder)
    return True
