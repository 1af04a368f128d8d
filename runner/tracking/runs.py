"""Runs of an MLflow store: found by our own id, created once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from runner.record.report import Figure
from runner.tracking.cursor import Cursor
from runner.tracking.describe import ERROR_TAGS, REASON_TAG, UID_TAG
from runner.tracking.points import clean_key


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


def take_back(
    client: Any, run_id: str, *, tags: Mapping[str, str], figures: Mapping[str, Figure], time_ms: int
) -> None:
    """Take back what an earlier report of the run said and this one does not: a run that was resumed, for instance.

    MLflow deletes tags; of a metric it only takes a newer value, so that a figure which is null now becomes NaN there.

    Args:
        client: of the store.
        run_id: the run's.
        tags: those of this report.
        figures: those of this report.
        time_ms: when they were measured.
    """
    known = client.get_run(run_id).data
    for key in known.tags:
        if key not in tags and (key in ERROR_TAGS or key.startswith(REASON_TAG)):
            client.delete_tag(run_id, key)
    for name, figure in figures.items():
        key = clean_key(name)
        if figure.value is None and key in known.metrics and not math.isnan(known.metrics[key]):
            client.log_metric(run_id, key, math.nan, timestamp=time_ms, step=0)


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
