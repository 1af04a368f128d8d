"""A real MLflow server on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracking_samples import wait_for

STARTS_WITHIN_S = 180


def start(folder: Path, port: int, *, backend: str | None = None) -> subprocess.Popen[bytes]:
    """A server that keeps its files in `folder`, and its database too unless another is named.

    It has workers, so it gets a session of its own.
    """
    folder.mkdir(exist_ok=True)
    database = backend or f"sqlite:///{folder / 'server.db'}"
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--allowed-hosts", "*"]
    stores = ["--backend-store-uri", database, "--artifacts-destination", str(folder / "a")]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *arguments, *stores],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            start_new_session=True,
        )
    wait_for(lambda: is_healthy(port) or process.poll() is not None, limit_s=STARTS_WITHIN_S)
    assert process.poll() is None, (folder / "server.log").read_text()[-3000:]
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def running(folder: Path, port: int, *, backend: str | None = None) -> Iterator[str]:
    """The address of a server that is stopped at the end."""
    process = start(folder, port, backend=backend)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def is_healthy(port: int) -> bool:
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
