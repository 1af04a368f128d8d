"""What a sweep (`-m`) adds to its cases: a run they hang under, workers that start fast, one closing status."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, flag_override

from runner.redact import public_uri

SHOWN = ("task=", "model=", "vendor=", "precision=", "topology=", "compiler=", "scale=")
"""Choices that the name of a sweep's MLflow run tells."""

URI_VARIABLE = "TOUCHSTONE_TRACKING_URI"
"""Environment variable by which a sweep's cases get an address that must not be written down."""


class Sweep(Callback):
    """Hydra's callback, called in the process that launches the cases."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Declare the sweep's folder, and have the workers' server import everything meanwhile."""
        from runner.folder import claim_sweep
        from runner.processes import start_server
        from runner.tracking import declare_sweep

        self._uri = config.tracking.get("uri")
        folder = claim_sweep(Path(config.hydra.sweep.dir))
        chosen = [str(override) for override in config.hydra.overrides.task]
        _use(config, folder)
        _hide_credentials(config)
        varied = [override.partition("=")[2] for override in chosen if override.startswith(SHOWN)]
        declare_sweep(folder, " ".join([folder.name, *varied]))
        start_server()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Show the cases side by side and end the process with the worst of their exit codes."""
        end_sweep(Path(config.hydra.sweep.dir), uri=self._uri)


def _use(config: DictConfig, folder: Path) -> None:
    """Have Hydra put the cases below this folder: it composes each of them anew, from its own overrides."""
    with flag_override(config, ["readonly", "struct"], False):
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(folder))}")


def _hide_credentials(config: DictConfig) -> None:
    """Have the cases take a `tracking.uri` with a password from the environment: Hydra writes this down for itself."""
    uri = config.tracking.get("uri")
    if uri is None or public_uri(uri) == uri:
        return
    os.environ[URI_VARIABLE] = uri
    hidden = f"${{oc.env:{URI_VARIABLE}}}"
    tasks = [str(override) for override in config.hydra.overrides.task]
    names = [override.partition("=")[0] for override in tasks]
    with flag_override(config, ["readonly", "struct"], False):
        config.tracking.uri = hidden
        config.hydra.job.override_dirname = ""
        config.hydra.overrides.task = [
            f"{name}={hidden}" if name.lstrip("+") == "tracking.uri" else override
            for name, override in zip(names, tasks, strict=True)
        ]


def quoted(text: str) -> str:
    """A text as a value of Hydra's grammar."""
    escaped = re.sub(r"(\\+)(?='|$)", r"\1\1", text).replace("'", "\\'")
    return f"'{escaped}'"


def end_sweep(folder: Path, *, uri: str | None = None, at_least: int = 0) -> NoReturn:
    """Show what the sweep has so far, file it, and end the process with the worst exit code of its cases.

    Args:
        folder: the sweep's.
        uri: `tracking.uri`, with its credentials.
        at_least: the exit code where no case has a worse one: a sweep that was cut short is not done.
    """
    from runner.console import show_sweep
    from runner.report.schema import load_report
    from runner.tracking import close_sweep

    reports = {path.parent: load_report(path) for path in sorted(folder.glob("*/report.json"))}
    warning = close_sweep(folder, uri=uri)
    show_sweep(folder, reports)
    if warning:
        sys.stderr.write(f"Warning: {warning}\n")
    sys.exit(max((at_least, *(report.exit_code for report in reports.values()))))
