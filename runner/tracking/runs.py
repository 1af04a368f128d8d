"""Runs of an MLflow store: found by our own id, created once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from runner.tracking.cursor import Cursor
from runner.tracking.describe import UID_TAG


def lifecycle(client: Any, run_id: str) -> Literal["active", "deleted"] | None:
    """What has become of a run; None when the store does not know it.

    Raises:
        mlflow.exceptions.MlflowException: the store does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        stage: Literal["active", "deleted"] = client.get_run(run_id).info.lifecycle_stage
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return stage


def find_or_create(
    client: Any, experiment_id: str, cursor: Cursor, *, name: str, tags: Mapping[str, str], start_time_ms: int
) -> str:
    """The id of the run that has the cursor's `run_uid`; the cursor must have been saved before."""
    found = client.search_runs([experiment_id], filter_string=f"tags.`{UID_TAG}` = '{cursor.run_uid}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    every = {**tags, UID_TAG: cursor.run_uid}
    run = client.create_run(experiment_id, start_time=start_time_ms, tags=every, run_name=name)
    return str(run.info.run_id)
