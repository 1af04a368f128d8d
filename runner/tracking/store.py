"""Where runs are filed: the store's address, a client for it, and how long one waits for it."""

from __future__ import annotations

import logging
import os
import shlex
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from runner.config.schema import Case
from runner.core.redact import public_uri
from runner.tracking import local
from runner.tracking.local import StoreUnusableError

__all__ = ["public_uri"]

MIGRATION_TIMEOUT_S = 600.0
"""The first process makes the tables of a fresh database, in seconds, on a busy machine minutes; the others wait."""

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""A benchmark calls nobody, and the console shows the run's progress. MLflow would print a run's address at its end as
it stands, with the password in it."""


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
    return case.tracking.uri or local.address(root_above(run_folder, case.run.root) / "mlflow.db")


def place_below_root(run_folder: Path, root: str) -> str:
    """A run folder as seen from `run.root`; its name alone where it was moved out of there."""
    folder, above = run_folder.resolve(), root_above(run_folder, root)
    return folder.relative_to(above).as_posix() if folder.is_relative_to(above) else folder.name


def root_above(run_folder: Path, root: str) -> Path:
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


def make_ready(uri: str) -> None:
    """Make a local store, or bring it up to date; nothing for a server.

    Raises:
        StoreUnusableError: the file cannot be used; says what to do.
        filelock.Timeout: another process has been making the local database's tables for too long.
    """
    path = local.path_of(uri)
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=MIGRATION_TIMEOUT_S):
        local.prepare(path)


def connect(uri: str, experiment: str) -> tuple[Any, str]:
    """A client of the store and the experiment's id there; makes the experiment, and a local database, when missing.

    Raises:
        mlflow.exceptions.MlflowException: the server does not answer, or refuses.
        StoreUnusableError: it answers, and nothing can be filed there; says what to do.
        filelock.Timeout: another process has been making the local database's tables for too long.
    """
    from mlflow import MlflowClient

    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings would stand in the middle of the run's progress
    path = local.path_of(uri)
    if path is None:
        client = MlflowClient(tracking_uri=uri)
        return client, _experiment(client, experiment, uri=uri, artifacts=None)
    make_ready(uri)
    with FileLock(f"{path}.lock", timeout=MIGRATION_TIMEOUT_S):
        client = local.open_client(path)
        return client, _experiment(client, experiment, uri=uri, artifacts=(path.parent / "mlartifacts").as_uri())


def _experiment(client: Any, name: str, *, uri: str, artifacts: str | None) -> str:
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            known = client.get_experiment_by_name(name)
    number = str(known.experiment_id)
    if known.lifecycle_stage == "deleted":
        where = shlex.quote(public_uri(uri))
        raise StoreUnusableError(
            f"the experiment {name} is in MLflow's trash. Take it out: MLFLOW_TRACKING_URI={where} mlflow experiments "
            f"restore --experiment-id {number}. Other runs can be filed under another name: tracking.experiment=NAME."
        )
    return number


def failures() -> tuple[type[BaseException], ...]:
    """What filing can end with, for `except`: no package, no server, no disk, an answer that is none."""
    kinds: list[type[BaseException]] = [ImportError, OSError, ValueError, sqlite3.Error]
    for module, name in (
        ("mlflow.exceptions", "MlflowException"),
        ("google.protobuf.json_format", "Error"),
        ("sqlalchemy.exc", "SQLAlchemyError"),
    ):
        if module in sys.modules:
            kinds.append(getattr(sys.modules[module], name))
    return tuple(kinds)


def reason(error: BaseException, uri: str) -> str:
    """An error in one line, without credentials."""
    if isinstance(error, StoreUnusableError):
        return str(error).rstrip(".")
    text = redact(str(error), uri).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
