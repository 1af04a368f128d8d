"""Records a case that is not started: its folder and its report, without a worker, a meter or a table."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from runner.commandline.quoting import without_secrets
from runner.config.division import Division
from runner.config.schema import Case, load_case
from runner.core.errors import ConfigurationError, TouchstoneError
from runner.core.events import EventWriter, Name
from runner.core.lock import let_go
from runner.launch.folder import claim, make_own
from runner.record.report import Figure, Report
from runner.record.run_record import PARENT_LOG
from runner.record.task import task_named
from runner.results.build import build

NOT_VALID = "a value of the case is not valid"


def record(case: Case, wanted: Path, changes: Division, error: TouchstoneError, *, in_sweep: bool = False) -> Path:
    """Write down that a valid case cannot be run here, and say why in a paragraph.

    A single one is not filed in MLflow at once: importing MLflow takes longer than the answer may.

    Returns:
        The run's folder.
    """
    folder = claim(case, wanted)
    record_in(folder, changes, error)
    let_go(folder)
    later = case.tracking.name != "none" and not in_sweep
    filing = f" To file it in MLflow: python -m runner.sync {folder}" if later else ""
    say(f"Error: {error}\nRecorded as a result in {folder}.{filing}")
    return folder


def record_in(folder: Path, changes: Division, error: TouchstoneError) -> Report:
    """Write down in a run's folder, which holds its case, that it ended before anything of it ran."""
    events = EventWriter(folder / "events" / PARENT_LOG, rank=-1)
    events.emit(Name.SUBMIT_INFO, {"identity": load_case(folder).identity, "division": asdict(changes)})
    told = {"exit_code": error.exit_code, "class": type(error).__name__, "message": str(error)}
    events.emit(Name.LAUNCH_END, told)
    report = build(folder, by_run=True)
    report.save(folder / "report.json")
    return report


def record_invalid(values: dict[str, Any], wanted: Path, error: TouchstoneError) -> Path:
    """Write down a case of a sweep whose values are not valid: `run.yaml` holds them as they were asked for.

    Returns:
        The run's folder.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    folder = make_own(wanted)
    try:
        (folder / "run.yaml").write_text(without_secrets(yaml.safe_dump(values, sort_keys=False)))
        (folder / "events").mkdir()
    except OSError as problem:
        raise ConfigurationError(
            f"The run folder {folder} cannot be written: {problem.strerror}. Choose another place with run.root=FOLDER."
        ) from problem
    told = {"class": type(error).__name__, "message": str(error)}
    events = EventWriter(folder / "events" / PARENT_LOG, rank=-1)
    events.emit(Name.LAUNCH_END, {"exit_code": error.exit_code, **told})
    _report(values, told, error.exit_code).save(folder / "report.json")
    say(f"Error: {error}\nRecorded as a result in {folder}.")
    return folder


def _report(values: dict[str, Any], error: dict[str, str], exit_code: int) -> Report:
    case = _described(values)
    task = task_named(case["task"])
    units = {name: task.unit_of(name, str(case["unit"])) for name in task.figure_names()} if task else {}
    figures = {name: Figure(value=None, unit=unit, reason=NOT_VALID) for name, unit in units.items()}
    return Report(
        status="failed",
        exit_code=exit_code,
        error=error,
        case=case,
        figures=figures,
        precision={},
        division=Division(name="closed"),
        environment={},
        warnings=[],
    )


def _described(values: dict[str, Any]) -> dict[str, Any]:
    """What a report says of its case, as far as the values tell."""

    def value(path: str) -> Any:
        found: Any = values
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        # JSON knows no NaN; what was asked for stands in run.yaml and in the error.
        return found if isinstance(found, str | bool | int | None) else str(found)

    groups = ("task", "model", "framework", "compiler", "vendor", "precision", "topology", "data", "measure")
    names = {group: value(f"{group}.name") for group in groups}
    return {
        "name": "_".join(str(names[group]) for group in ("task", "model", "precision", "vendor")),
        "identity": None,
        **names,
        "unit": value("model.unit"),
        "chip": value("vendor.chip"),
        "nodes": value("topology.nodes"),
        "devices": _ranks(value("topology.nodes"), value("topology.devices")),
        "batch_size": value("model.train.batch_size"),
        "accumulate": value("model.train.gradient_accumulation_steps"),
        "scale": value("scale"),
        "repeats": value("measure.repeats"),
        "seed": value("seed"),
        "emulated": value("emulate"),
        "quality_mode": value("model.train.quality.mode"),
        "quality_targets": {},
    }


def _ranks(nodes: Any, devices: Any) -> Any:
    """Devices of all nodes; what was asked for where that is no number."""
    return nodes * devices if isinstance(nodes, int) and isinstance(devices, int) else devices


def say(text: str) -> None:
    """A paragraph on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
