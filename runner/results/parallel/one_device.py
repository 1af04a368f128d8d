"""The run of the same case on one device, which a job of several is held against, and the copy that it takes along.

A report must stay a function of its run folder, so a run of several ranks copies what it found under `run.root` at its
start (`take_along`), and its report reads that copy alone (`reference_of`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.config.schema import Case, load_case
from runner.core.errors import ConfigurationError, TouchstoneError
from runner.record.reading import reading
from runner.record.task import task_of
from runner.record.values import Missing
from runner.results.find import load
from runner.results.index.reading import summaries
from runner.results.index.summary import Summary

COPY = "one_device.json"
"""In a run folder."""
SPEED = "throughput/steady"
_CHEAP = ("task", "model", "framework", "compiler", "vendor", "precision", "scale", "data", "batch_size", "seed")
"""Keys of a report's case that are equal; what else must be is looked up in `run.yaml`."""


@dataclass(kw_only=True, slots=True, frozen=True)
class OneDevice:
    """What is kept of a run on one device."""

    folder: str
    """Under `run.root`."""
    date_ms: int
    """Unix time of its first event, in milliseconds."""
    samples_per_second: float
    steady: bool
    device: str
    """As the driver names it."""
    host: str | None
    """Its processor."""
    threads: int | None
    """Of the rank, on the host."""
    versions: dict[str, str]


def take_along(case: Case, run_folder: Path) -> None:
    """Copy the newest good runs of the case on one device into a run folder, one of each kind of device.

    Called by the parent before the ranks are started; a case of one rank, or an emulated one, has no use for any.
    """
    if case.topology.ranks == 1 or case.emulate or not task_of(case).trains:
        return
    newest: dict[str, OneDevice] = {}
    for summary in _candidates(case):
        found = _read(case, summary)
        if found is not None:
            newest.setdefault(found.device, found)
    content = {"runs": [asdict(one) for one in newest.values()]}
    draft = (run_folder / COPY).with_suffix(".tmp")
    draft.write_text(json.dumps(content, indent=1) + "\n")
    draft.replace(run_folder / COPY)


def reference_of(run_folder: Path, device: str) -> OneDevice | Missing:
    """The run on one device of this name, from the run folder's own copy.

    Raises:
        ValueError: the copy is damaged.
    """
    path = run_folder / COPY
    runs = [OneDevice(**one) for one in json.loads(path.read_text())["runs"]] if path.is_file() else []
    for one in runs:
        if one.device == device:
            return one
    if runs:
        others = ", ".join(sorted({one.device for one in runs}))
        return Missing(f"the 1-device runs of this case are of another chip: {others}, not {device}")
    return Missing("no 1-device run of this case under run.root: python -m runner … topology=single makes one")


def alike(case: Case) -> dict[str, Any]:
    """What decides the result, apart from how many devices there are and how they talk: equal for both runs."""
    values = case.deciding()
    del values["topology"]
    for section, key in (("vendor", "communication_backend"), ("measure", "repeats")):
        del values[section][key]
    return values


def _candidates(case: Case) -> Iterator[Summary]:
    """Good runs on one device that may be of the case, the newest first."""
    try:
        found, _ = summaries([Path(case.run.root)])
    except ConfigurationError:  # no run lies there yet
        return
    described = _described(case)
    good = [
        one
        for one in found
        if one.status == "done" and one.intact and not one.emulated and not one.imported and one.started_ms is not None
    ]
    for one in sorted(good, key=lambda summary: summary.started_ms or 0, reverse=True):
        if one.case.get("devices") == 1 and {key: one.case.get(key) for key in _CHEAP} == described:
            yield one


def _described(case: Case) -> dict[str, Any]:
    """The case in the words of a report, as far as both runs have the same."""
    names = {key: getattr(case, key).name for key in ("task", "model", "framework", "compiler", "vendor", "precision")}
    own = {"scale": case.scale, "data": case.data.name, "batch_size": case.model.training.batch_size, "seed": case.seed}
    return names | own


def _read(case: Case, summary: Summary) -> OneDevice | None:
    """What is kept of a run; None where it is of another case after all, or cannot be read."""
    try:
        with reading(summary.folder):
            if alike(load_case(summary.folder)) != alike(case):
                return None
            report = load(summary.folder)
    except TouchstoneError:
        return None
    figure, device = report.figures.get(SPEED), device_of(report.environment)
    if figure is None or not figure.value or device is None:
        return None
    steady = report.figures.get("run/steady")
    return OneDevice(
        folder=_below(summary.folder, Path(case.run.root)),
        date_ms=summary.started_ms or 0,
        samples_per_second=figure.value,
        steady=steady is not None and bool(steady.value),
        device=device,
        **surroundings(report.environment),
    )


def device_of(environment: Mapping[str, Any]) -> str | None:
    """The one name of all devices of a run; None where there are several, or none is told."""
    names = {device.get("name") for device in environment.get("devices") or []}
    return names.pop() if len(names) == 1 else None


def surroundings(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What may differ between both runs and must then be said: processor, threads, versions."""
    versions = {**environment.get("packages", {}), **environment.get("stack", {})}
    return {
        "host": environment.get("host", {}).get("cpu"),
        "threads": environment.get("threads_per_rank"),
        "versions": {name: str(version) for name, version in versions.items() if name != "threads"},
    }


def _below(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
