"""What our writers add to other tools' formats, so that nothing is lost on the way back and nothing looks real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.core.errors import ConfigurationError
from runner.exchange.base.imported import Imported
from runner.record.report import Report

TOUCHSTONE = "Touchstone"
"""Key or name of the part that our writers add."""
KEPT = (
    *("task", "model", "framework", "compiler", "vendor", "chip", "precision", "devices", "batch_size"),
    *("gradient_accumulation_steps", "scale", "data", "load", "measure", "seed", "emulated"),
)
"""Keys of the case that are written there."""
FORM = 1
"""Raised when that part changes."""


def about(report: Report) -> dict[str, Any]:
    """The case as our writers add it, and whether it may be published."""
    figure = report.figures.get("run/publishable")
    case = {key: report.case[key] for key in KEPT if report.case.get(key) is not None}
    return {"form": FORM, **case, "publishable": bool(figure and figure.value), "status": report.status}


def take_about(told: Mapping[str, Any], imported: Imported) -> None:
    """Take a case over that one of our writers wrote.

    Raises:
        ConfigurationError: it is of a later form.
    """
    if told.get("form") != FORM:
        raise ConfigurationError(
            f"{imported.source} was written by another version of Touchstone (form {told.get('form')}); known: {FORM}."
        )
    imported.case |= {key: told[key] for key in KEPT if key in told}
    imported.notes.append("Written by Touchstone in this format, and read back.")
    if told.get("emulated"):
        imported.notes.append("Emulated: the configuration ran on the host CPU. These are not the chip's figures.")
    if told.get("status") not in (None, "done"):
        imported.error = ("NotDone", f"The run that was written ended as {told['status']}.")


def marks(report: Report) -> str:
    """What must stand before any number of a result, in capitals; empty for one that counts."""
    said = [
        *(["EMULATED"] if report.case.get("emulated") else []),
        *(["TINY"] if report.case.get("scale") == "tiny" else []),
        *([report.status.upper()] if report.status != "done" else []),
        *(["IMPORTED"] if report.imported else []),
    ]
    return " ".join(said)
