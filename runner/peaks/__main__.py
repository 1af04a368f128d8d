"""`python -m runner.peaks [vendor=NAME] [topology.devices=N] …`: what this device really reaches."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.commandline.explain import USER_ERRORS, explain
from runner.core.errors import ConfigurationError, InterruptedRunError
from runner.peaks.launch import Launched, launch
from runner.peaks.plan import SECONDS, SMOKE_SECONDS, Plan, make_plan
from runner.peaks.progress import PeaksProgress
from runner.peaks.result import content
from runner.peaks.table import page
from runner.record.peaks import measured_peaks as file
from runner.views.page import WIDTH, screen, to_rich


def main(argv: list[str] | None = None) -> int:
    """Measure, file and show; returns the exit code, which is the cause's where something went wrong."""
    options = parser().parse_intermixed_args(argv)
    try:
        plan = make_plan(options.overrides, options.seconds)
        folder = _claim(plan)
    except USER_ERRORS as error:
        sys.stderr.write(f"Error: {explain(error)}\n")
        return getattr(error, "exit_code", ConfigurationError.exit_code)
    progress = PeaksProgress(plan, file=sys.stderr if options.json else None)
    progress.start(str(folder))
    try:
        told = launch(plan, folder, progress.on_event)
    except KeyboardInterrupt:
        told = Launched(failure=InterruptedRunError("Interrupted before the worker was started."))
    finally:
        progress.stop()
    made = content(plan, told, folder)
    path = _file(plan, made, folder)
    _show(made, path, as_json=options.json)
    return told.failure.exit_code if told.failure else 0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="python -m runner.peaks",
        description="Measure what this device really reaches: matrix products, memory, copies, communication.",
        epilog="Example: python -m runner.peaks vendor=nvidia topology.devices=2",
    )
    made.add_argument(
        "overrides", metavar="KEY=VALUE", nargs="*", help="vendor, topology, measure, tracking, run.root, run.timeout_s"
    )
    made.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help=f"timed seconds of each figure, at least; default: {SECONDS:g}, with measure=smoke {SMOKE_SECONDS:g}",
    )
    made.add_argument("--json", action="store_true", help="print what is filed instead of a table")
    return made


def _claim(plan: Plan) -> Path:
    """A folder for this measurement alone, with its plan.

    Raises:
        ConfigurationError: it cannot be made.
    """
    parent = Path(plan.case.run.root) / file.FOLDER
    stem = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{plan.case.vendor.name}_{plan.devices}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for name in (stem, *(f"{stem}_{number}" for number in range(2, 100))):
            if not (parent / name).exists():
                (parent / name).mkdir()
                plan.save(parent / name)
                return parent / name
    except OSError as error:
        raise ConfigurationError(
            f"{parent} cannot be written: {error.strerror}. Choose another place with run.root=FOLDER."
        ) from error
    raise ConfigurationError(f"{parent / stem} and 98 more folders of this second are there already.")


def _file(plan: Plan, made: dict[str, Any], folder: Path) -> Path | None:
    """Where the measurement was filed; null when not even the chip became known."""
    if made["chip"] is None:
        return None
    path = file.path_of(Path(plan.case.run.root), made)
    file.save(folder / file.COPY, made)
    file.save(path, made)
    if plan.case.tracking.name == "mlflow":
        from runner.peaks.tracking import file_in_mlflow

        warning = file_in_mlflow(plan, made, path)
        if warning:
            sys.stderr.write(f"{warning}\n")
    return path


def _show(made: dict[str, Any], path: Path | None, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(made, indent=1) + "\n")
        return
    on = screen()
    on.print()
    on.print(to_rich(page(made), width=max(WIDTH, on.width)))
    if path is not None:
        on.print()
        on.print(f"Filed in     {path}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
