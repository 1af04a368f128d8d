"""The engine's commands: sub-commands of `touchstone`, and modules for `python -m`."""

from __future__ import annotations

TOOLS = {
    "run": ("runner.cli", "one case, or a sweep with -m"),
    "report": ("runner.tools.report", "show and compare results"),
    "import": ("runner.tools.importing", "take over results of FlagPerf, ByteMLPerf, MLPerf and InferenceX"),
    "compare": ("runner.tools.compare", "which result is faster, how sure that is; the gate and its baselines"),
    "verify": ("runner.verify.__main__", "whether a result is intact and may be published"),
    "sync": ("runner.tools.sync", "file results in MLflow"),
    "ui": ("runner.tools.ui", "show results in MLflow's page"),
    "manifest": ("runner.manifests.command", "write a Kubernetes manifest of a case"),
    "doctor": ("runner.doctor.__main__", "what is on this machine, what is missing, what to do"),
    "peaks": ("runner.peaks.__main__", "measure what this device really reaches"),
    "suite": ("runner.suites.command", "list suites, and score one against a reference system"),
    "acceptance": ("runner.acceptance.__main__", "burn-in of a delivered machine: every device judged and ranked"),
    "tune": ("runner.tuning.command", "search the batch size with the highest throughput"),
    "support": ("runner.tools.support", "print what is supported"),
}
"""Sub-command to its module and what it does; a tool's module has `main(arguments) -> exit code`."""
