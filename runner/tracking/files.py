"""Which files of a run folder are filed as artifacts, and under which names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runner.results.repeats import repeat_folders

ARTIFACTS = (
    "run.yaml",
    "report.json",
    "environment.json",
    "peaks.json",
    "one_device.json",
    "worker.log",
    "steps.csv",
    "power.csv",
    "power.csv.meters.json",
    "events/*.log",
    "plots/*.png",
    "plots/*.svg",
)
"""Everything but checkpoints and what only this machine reads."""


def artifacts(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """The files of a run folder and of its repeats, each with its folder among the artifacts; None: at the top."""
    for part in (folder, *repeat_folders(folder)):
        for pattern in ARTIFACTS:
            for path in sorted(part.glob(pattern)):
                yield path, None if path.parent == folder else path.parent.relative_to(folder).as_posix()
