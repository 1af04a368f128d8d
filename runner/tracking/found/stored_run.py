"""What is needed of a run that fits, to find its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

IDENTITY_TAG = "touchstone.identity"
"""Every run of a case has it; those of sweeps and of other programs do not."""
FOLDER_TAG, PLACE_TAG, UID_TAG = "touchstone.run_folder", "touchstone.run_path", "touchstone.run_uid"


@dataclass(kw_only=True, slots=True, frozen=True)
class StoredRun:
    """One run of a store."""

    run_id: str
    name: str
    folder: str
    """The name of its run folder."""
    place: str | None
    """That folder as seen from `run.root`; None of runs filed before that was noted."""
    uid: str
    """As `tracking.json` in its folder says."""
    fetch: Callable[[Path], Path]
    """Gets the filed `report.json` into a folder; the file's path, which may be elsewhere.

    Raises:
        OSError: it is not there, or the store does not answer.
    """
