"""Where runs are filed: the store's address, a client for it, and how long one waits for it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from runner.redact import public_uri
from runner.schema import Case

__all__ = ["public_uri"]

SQLITE = "sqlite:///"
MIGRATION_TIMEOUT_S = 60.0
"""The first process makes the tables of a fresh database, in seconds; the others wait."""

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
"""A benchmark calls nobody, and the console shows the run's progress."""


def http_limits(*, timeout_s: int, retries: int) -> dict[str, str]:
    """MLflow's environment variables for how long it waits for a server.

    A server's `Retry-After` is not obeyed: it could hold a run for minutes.
    """
    return QUIET | {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_s),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
        "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
        "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": str(timeout_s),
    }


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process for a while."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def store_uri(run_folder: Path, case: Case) -> str:
    """The address a case names, or that of the database under its `run.root`."""
    return case.tracking.uri or f"{SQLITE}{(_root_above(run_folder, case.run.root) / 'mlflow.db').as_posix()}"


def _root_above(run_folder: Path, root: str) -> Path:
    """`run.root` as an absolute path: it was relative to where the run was started, which need not be here."""
    folder, parts = run_folder.resolve(), Path(root).parts
    for above in folder.parents:
        if parts and above.parts[-len(parts) :] == parts:
            return above
    return Path(root).resolve()


def redact(text: str, uri: str) -> str:
    """`text` (an error message, a file) with the credentials of `uri` taken out."""
    parts = urlsplit(uri)
    user_info = parts.netloc.rpartition("@")[0]
    secrets = (f"{user_info}@" if user_info else "", f"?{parts.query}" if parts.query else "")
    for secret in filter(None, secrets):
        text = text.replace(secret, "")
    return text


def connect(uri: str, experiment: str) -> tuple[Any, str]:
    """A client of the store and the experiment's id there; makes the experiment, and a local database, when missing.

    Raises:
        mlflow.exceptions.MlflowException: the server does not answer, or refuses.
        filelock.Timeout: another process has been making the local database's tables for too long.
    """
    from mlflow import MlflowClient

    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings would stand in the middle of the run's progress
    if not uri.startswith(SQLITE):
        client = MlflowClient(tracking_uri=uri)
        return client, _experiment(client, experiment, artifacts=None)
    path = Path(uri.removeprefix(SQLITE)).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=MIGRATION_TIMEOUT_S):
        client = MlflowClient(tracking_uri=f"{SQLITE}{path.as_posix()}")
        return client, _experiment(client, experiment, artifacts=(path.parent / "mlartifacts").as_uri())


def _experiment(client: Any, name: str, *, artifacts: str | None) -> str:
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            known = client.get_experiment_by_name(name)
    return str(known.experiment_id)


def failures() -> tuple[type[BaseException], ...]:
    """What filing can end with, for `except`: no package, no server, no disk, an answer that is none."""
    kinds: list[type[BaseException]] = [ImportError, OSError, ValueError]
    for module, name in (("mlflow.exceptions", "MlflowException"), ("google.protobuf.json_format", "Error")):
        if module in sys.modules:
            kinds.append(getattr(sys.modules[module], name))
    return tuple(kinds)


def reason(error: BaseException, uri: str) -> str:
    """An error in one line, without credentials."""
    text = redact(str(error), uri).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
