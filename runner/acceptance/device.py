"""One device's burn-in, in a process of its own: `python -m runner.acceptance.device FOLDER INDEX`.

Round after round the same measurements and the same short training, each in fresh workers, until the minutes are over.
All workers inherit from this process which device is theirs.
"""

from __future__ import annotations

import io
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from runner.acceptance.plan import load_device_plan
from runner.acceptance.readings import Round
from runner.config.division import Division
from runner.config.schema import Case
from runner.console.console import Console
from runner.core.errors import InterruptedRunError, TouchstoneError, classify
from runner.core.lock import let_go
from runner.launch.folder import claim
from runner.launch.run_case import CaseRunner
from runner.peaks.launch import launch
from runner.peaks.plan import Plan
from runner.peaks.result import content
from runner.record.report import Report, load_report
from runner.worker.main import end_with_parent

TRAINING_FIGURE = "throughput/steady"


def main(folder: Path, index: int) -> int:
    """Do rounds until the minutes are over; returns the exit code of the first failure, or 0."""
    end_with_parent(folder)
    plan, training, minutes, devices = load_device_plan(folder)
    _keep_to_device(plan, index, devices)
    own = folder / f"device{index}"
    own.mkdir()
    began_s, number, code = time.monotonic(), 0, 0
    while number == 0 or time.monotonic() - began_s < 60 * minutes:
        number += 1
        made = one_round(plan, training, own / f"round{number}", number)
        made.append(own)
        code = code or made.exit_code
        if made.exit_code == InterruptedRunError.exit_code:
            break
    return code


def one_round(plan: Plan, training: Case, folder: Path, number: int) -> Round:
    """The measurements and the training once; what fails of them is told, and the rest is done."""
    began_s = time.monotonic()
    made = Round(number=number, seconds=0.0, figures={})
    try:
        _measure(plan, folder / "peaks", made)
        if made.exit_code != InterruptedRunError.exit_code:
            _train(training, folder / "training", made)
    except Exception as error:  # noqa: BLE001 -- whatever a device does becomes its verdict
        _fail(made, "the round", classify(error))
    made.seconds = time.monotonic() - began_s
    return made


def _measure(plan: Plan, folder: Path, made: Round) -> None:
    folder.mkdir(parents=True)
    plan.save(folder)
    told = launch(plan, folder, lambda event: None)
    found = content(plan, told, folder)
    made.chip, made.no_data_sheet = found["chip"], found["no_data_sheet"]
    made.uuid = next(iter(found["device_uuids"]), None)
    if told.failure is not None:
        _fail(made, "measuring", told.failure)
    throttled = set(made.throttled_by)
    for name in plan.only:
        one = found["figures"][name]
        throttled |= set(one.get("throttled_by", []))
        if one["value"] is None:
            continue
        made.figures[name], made.units[name] = one["value"], one["unit"]
        if one["data_sheet"]:
            made.sheet[name] = one["data_sheet"]
    made.throttled_by = sorted(throttled)


def _train(training: Case, folder: Path, made: Round) -> None:
    place = claim(replace(training, run=replace(training.run, retries=0)), folder)
    console = Console(training, terminal=False, file=io.StringIO())
    try:
        failure = CaseRunner(
            case=training, folder=place, division=Division(name="closed"), console=console, forked=False
        ).part(place, lambda: None)
    finally:
        let_go(place)
    if failure is not None:
        _fail(made, "training", failure)
        return
    _take(load_report(place / "report.json"), made)


def _take(report: Report, made: Round) -> None:
    speed, hot = report.figures[TRAINING_FIGURE], report.figures.get("device/temperature_max_c")
    if speed.value is not None:
        made.figures[TRAINING_FIGURE], made.units[TRAINING_FIGURE] = speed.value, speed.unit
    made.temperature_max_c = hot.value if hot else None
    parts = report.publication.parts if report.publication else []
    made.throttled_by = sorted({*made.throttled_by, *(reason for part in parts for reason in part["throttling"] or ())})


def _fail(made: Round, what: str, failure: TouchstoneError) -> None:
    made.failures.append(f"{what} ended with {type(failure).__name__}: {str(failure).partition(chr(10))[0]}")
    made.exit_code = made.exit_code or failure.exit_code


def _keep_to_device(plan: Plan, index: int, devices: int) -> None:
    """Show this process and all it starts one device alone: on a host, an equal share of the cores."""
    vendor = plan.case.vendor
    if vendor.on_host:
        cores = sorted(os.sched_getaffinity(0))
        each = len(cores) // devices
        os.sched_setaffinity(0, cores[index * each : (index + 1) * each])
        os.environ["OMP_NUM_THREADS"] = str(each)
    elif vendor.visible_devices_env is not None and devices > 1:
        listed = os.environ.get(vendor.visible_devices_env)
        visible = [one.strip() for one in listed.split(",")] if listed else [str(one) for one in range(devices)]
        os.environ[vendor.visible_devices_env] = visible[index]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
