"""Files a measurement in MLflow, in an experiment of its own. Imported with `tracking=mlflow` alone, at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.peaks.plan import Plan
from runner.tracking import store
from runner.tracking.describe import git_tags

EXPERIMENT = "{experiment}-peaks"
"""Of `tracking.experiment`: `touchstone-peaks`."""
LIMITS = store.http_limits(timeout_s=10, retries=1)


def file_in_mlflow(plan: Plan, made: dict[str, Any], path: Path) -> str | None:
    """Every figure that has a value as a metric, its conditions as parameters, and the file itself.

    Returns:
        A warning that says why it was not filed; null when it was.
    """
    uri = store.store_uri(path, plan.case)
    with store.environment(LIMITS):
        try:
            _file(plan, made, path, uri)
        except store.failures() as error:
            return f"MLflow: the measurement could not be filed ({store.reason(error, uri)}). It is in {path}."
    return None


def _file(plan: Plan, made: dict[str, Any], path: Path, uri: str) -> None:
    client, experiment = store.connect(uri, EXPERIMENT.format(experiment=plan.case.tracking.experiment))
    tags = {key: str(made[key]) for key in ("vendor", "chip", "devices", "date", "short", "status")} | git_tags()
    run = client.create_run(experiment, run_name=path.stem, tags=tags)
    run_id = run.info.run_id
    for name, one in made["figures"].items():
        if one["value"] is not None:
            client.log_metric(run_id, name, one["value"])
            client.log_metric(run_id, f"{name}_spread", one["spread"]["relative"])
    client.log_param(run_id, "seconds_per_figure", made["seconds_per_figure"])
    client.log_artifact(run_id, str(path))
    client.set_terminated(run_id, "FINISHED" if made["status"] == "done" else "FAILED")
