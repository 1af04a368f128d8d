"""The engine's commands: sub-commands of `touchstone`, and modules for `python -m`."""

from __future__ import annotations

TOOLS = {
    "run": ("runner.cli", "one case, or a sweep with -m"),
    "report": ("runner.tools.report", "show and compare results"),
    "verify": ("runner.verify.__main__", "whether a result is intact and may be published"),
    "sync": ("runner.tools.sync", "file results in MLflow"),
    "ui": ("runner.tools.ui", "show results in MLflow's page"),
    "doctor": ("runner.doctor.__main__", "what is on this machine, what is missing, what to do"),
    "peaks": ("runner.peaks.__main__", "measure what this device really reaches"),
    "support": ("runner.tools.support", "print what is supported"),
}
"""Sub-command to its module and what it does; a tool's module has `main(arguments) -> exit code`."""
