"""Asks a server through MLflow's client."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from runner.core.errors import ConfigurationError, DependencyError
from runner.core.redact import public_uri
from runner.record.names import FIGURES
from runner.tracking.found.condition import Condition
from runner.tracking.found.parse import TAGS, unknown
from runner.tracking.found.stored_run import FOLDER_TAG, IDENTITY_TAG, PLACE_TAG, UID_TAG, StoredRun

PAGE = 200
"""Runs in one answer: a server sends each with all its values."""
_EXPERIMENTS = 1000


def find_remote(uri: str, conditions: Sequence[Condition], *, limit: int) -> list[StoredRun]:
    """The runs of cases that fit, newest first.

    Raises:
        ConfigurationError: the server does not answer or refuses, or no run has a key that is asked for.
        DependencyError: MLflow is not installed.
    """
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ModuleNotFoundError as error:
        raise DependencyError(f"The Python package {error.name} is missing here: pip install mlflow") from error
    try:
        client = MlflowClient(tracking_uri=uri)
        runs = _search(client, conditions, limit)
        if not runs:
            _require_keys(client, conditions)
    except (MlflowException, OSError, ValueError) as error:
        raise ConfigurationError(
            f"The MLflow store {public_uri(uri)} gives no answer to this search: {_reason(error)}. Is the server up, "
            "its address right, and MLFLOW_TRACKING_TOKEN (or user and password) set where it asks for one?"
        ) from error
    return [_stored(client, run) for run in runs if not _taken_back(run, conditions)]


def _taken_back(run: Any, conditions: Sequence[Condition]) -> bool:
    """Whether a figure that is asked for was taken back: a server compares NaN as if it were 0."""
    metrics = run.data.metrics
    return any(one.kind == "metrics" and math.isnan(metrics.get(one.key, 0.0)) for one in conditions)


def _reason(error: BaseException) -> str:
    """The innermost cause in one line: what requests wraps around it names addresses and objects."""
    while (inner := error.__cause__ or error.__context__) is not None and isinstance(inner, Exception):
        error = inner
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def _search(client: Any, conditions: Sequence[Condition], limit: int) -> list[Any]:
    ours = Condition(kind="tags", key=IDENTITY_TAG, operator="LIKE", value="%")
    text = " and ".join(condition.mlflow() for condition in (ours, *conditions))
    experiments = [one.experiment_id for one in client.search_experiments(max_results=_EXPERIMENTS)]
    found: list[Any] = []
    if not experiments:
        return found
    token: str | None = None
    while len(found) < limit:
        page = client.search_runs(
            experiments,
            filter_string=text,
            max_results=min(PAGE, limit - len(found)),
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        found += page
        token = page.token
        if not token:
            break
    return found


def _require_keys(client: Any, conditions: Sequence[Condition]) -> None:
    """Where nothing fits, a key that not even the newest run has may be a mistake.

    Raises:
        ConfigurationError: names the nearest key.
    """
    newest = _search(client, [], 1)
    for condition in conditions if newest else ():
        have = getattr(newest[0].data, condition.kind, None)
        known = {"metrics": tuple(FIGURES), "tags": TAGS}.get(condition.kind, ())
        if have is not None and condition.key not in have and condition.key not in known:
            raise unknown(condition.key, [*have, *known])


def _stored(client: Any, run: Any) -> StoredRun:
    tags = run.data.tags
    return StoredRun(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        folder=tags.get(FOLDER_TAG, ""),
        place=tags.get(PLACE_TAG),
        uid=tags.get(UID_TAG, ""),
        fetch=partial(_download, client, run.info.run_id),
    )


def _download(client: Any, run_id: str, folder: Path) -> Path:
    from mlflow.exceptions import MlflowException

    folder.mkdir(parents=True, exist_ok=True)
    try:
        return Path(client.download_artifacts(run_id, "report.json", str(folder)))
    except MlflowException as error:
        raise OSError(f"its report was not filed ({_reason(error)})") from error
