"""Builds a report from a run folder alone: the same folder gives the same report, whoever asks and whenever."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from hardware.chip_identity import KnownChip
from runner.config.division import Division
from runner.config.schema import Case
from runner.core.errors import InterruptedRunError
from runner.core.events import Name
from runner.record.report import Figure, Publication, Report
from runner.record.run_record import RunRecord, read_record
from runner.record.task import task_of
from runner.record.values import Missing, Value, Values
from runner.results.compute import beyond_peak, chip_of
from runner.results.conditions import asked_of, conditions
from runner.results.host import OTHERS, disturbance
from runner.results.publication.rules import PUBLISHABLE, judged
from runner.results.repeats import combine, repeat_folders
from runner.results.speed import unevenness

KILLED = {
    "class": InterruptedRunError.__name__,
    "message": "The runner itself was killed. What was measured so far is kept.",
}


def build(run_folder: Path, *, by_run: bool = False) -> Report:
    """The report of a run folder, of its repeats joined where it has some.

    Args:
        run_folder: what the run left.
        by_run: whether the run itself asks, at its end.

    Raises:
        OSError: the folder has no `run.yaml`.
        ValueError: its `run.yaml` is not a case of this version.
    """
    repeats = repeat_folders(run_folder)
    if repeats:
        told = [_build_single(folder, by_run=by_run) for folder in repeats]
        return judged(combine(_build_single(run_folder, by_run=by_run), told))
    return judged(_build_single(run_folder, by_run=by_run))


def _build_single(run_folder: Path, *, by_run: bool) -> Report:
    run_record = read_record(run_folder)
    case = run_record.case
    error, exit_code = _ending(run_record)
    chip = chip_of(run_record)
    task = task_of(case)
    values, notes = task.values(run_record)
    submitted = next((event.value for event in run_record.parent if event.name == Name.SUBMIT_INFO), {})
    warnings = [*_warnings(run_record, values), *notes]
    values |= _verdicts(run_record)
    names = task.figure_names(task.metrics(case))
    return Report(
        status=_status(exit_code),
        exit_code=exit_code,
        error=error,
        case=_describe(case, chip),
        figures={name: _figure(values.get(name), task.unit_of(name, case.model.unit)) for name in names},
        precision=run_record.last(Name.PRECISION) or {},
        division=Division(**submitted.get("division", {"name": "closed", "changed": []})),
        environment=run_record.last(Name.ENVIRONMENT) or {},
        warnings=warnings,
        published=case.to_dict()["published"]["figures"] if case.scale == "reference" else [],
        points=[event.value for event in run_record.all(Name.POINT)],
        publication=Publication(asked=asked_of(case), parts=[conditions(run_record, values)], by_run=by_run),
    )


def _status(exit_code: int) -> Literal["done", "failed", "killed"]:
    if exit_code == 0:
        return "done"
    return "killed" if exit_code == InterruptedRunError.exit_code else "failed"


def _ending(run_record: RunRecord) -> tuple[dict[str, str] | None, int]:
    """The error and the exit code of the last part; a part without an end was killed."""
    ends = [event for event in run_record.parent if event.name in (Name.LAUNCH_TRAINING, Name.LAUNCH_END)]
    if not ends or ends[-1].name == Name.LAUNCH_TRAINING:
        return KILLED, InterruptedRunError.exit_code
    end = ends[-1].value
    if end["exit_code"] == 0:
        return None, 0
    return {"class": end["class"], "message": end["message"]}, int(end["exit_code"])


def _describe(case: Case, chip: KnownChip) -> dict[str, Any]:
    serves = task_of(case).serves
    train = None if serves else case.model.train
    infer = case.model.infer if serves else None
    return {
        "name": case.name,
        "identity": case.identity,
        "task": case.task.name,
        "model": case.model.name if case.has_model else None,
        "unit": case.model.unit,
        "framework": case.framework.name,
        "compiler": case.compiler.name,
        "vendor": case.vendor.name,
        "chip": chip.entry.name if chip.entry else chip.name,
        "precision": case.precision.name,
        "topology": case.topology.name,
        "nodes": case.topology.nodes,
        "devices": case.topology.ranks,
        "layout": case.framework.layout or case.topology.layout,
        "batch_size": train.batch_size if train else infer.batch_size if infer else None,
        "gradient_accumulation_steps": train.gradient_accumulation_steps if train else None,
        **({"load": case.load.name} if serves else {}),
        "scale": case.scale,
        "data": case.data.name,
        "measure": case.measure.name,
        "repeats": case.measure.repeats,
        "seed": case.seed,
        "emulated": case.emulate,
        "quality_mode": train.quality.mode if train else infer.mode if infer else None,
        "quality_targets": train.quality.targets if train else {},
    }


def _verdicts(run_record: RunRecord) -> Values:
    warm = run_record.warm_up()
    steady = float(warm["steady"]) if warm else Missing("warm-up did not end")
    # Whether it may be published is judged on the finished report.
    return {"run/steady": steady, "run/emulated": float(run_record.case.emulate), PUBLISHABLE: 0.0}


def _warnings(run_record: RunRecord, values: Values) -> list[str]:
    case = run_record.case
    told = [
        event.value["message"]
        for rank in [run_record.parent, *run_record.ranks]
        for event in rank
        if event.name == Name.WARNING
    ]
    if case.emulate:
        told.append(f"Emulated: {case.vendor.title}'s configuration ran on the host CPU. These are not its figures.")
    warm = run_record.warm_up()
    if warm and not warm["steady"]:
        told.append(f"Not steady: {warm['reason']}.")
    window = values.get("run/window_s")
    rows = len(run_record.steps("window"))
    wanted = case.measure.window
    if isinstance(window, float) and (window < wanted.min_s or rows < wanted.min_steps):
        told.append(
            f"Short window: {window:.1f} s and {rows} steps, where measure={case.measure.name} asks for "
            f"{wanted.min_s:g} s and {wanted.min_steps} steps."
        )
    told += unevenness(run_record)
    told += beyond_peak(values)
    if window is not None and not isinstance(window, Missing):
        told += disturbance(values.get(OTHERS, Missing("")), on_host=case.vendor.on_host or case.emulate)
    return list(dict.fromkeys(told))


def _figure(value: Value | None, unit: str) -> Figure:
    if value is None:
        return Figure(value=None, unit=unit, reason="nothing measures this")
    if not isinstance(value, Missing):
        return Figure(value=value, unit=unit)
    return Figure(value=None, unit=unit, reason=value.reason)
