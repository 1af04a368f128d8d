"""A Ray cluster of several nodes on this one machine: started for a test, ended with everything it has started."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

START_S = 90.0
OBJECT_STORE_BYTES = 100 * 2**20


@contextlib.contextmanager
def ray_machine(nodes: int = 2, *, niceness: int | None = 0) -> Iterator[str]:
    """A cluster of so many nodes with one core each.

    Args:
        nodes: of the cluster.
        niceness: of its workers; None: as Ray has it.

    Yields:
        Its address, `HOST:PORT`.
    """
    place = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # Ray's sockets lie below it, and their paths must be short
    os.environ["RAY_AUTH_MODE"] = "disabled"  # also for those who connect: a token would lie in the home folder
    variables = {**os.environ, "RAY_TMPDIR": place}
    variables |= {} if niceness is None else {"RAY_worker_niceness": str(niceness)}
    variables.pop("RAY_ADDRESS", None)
    port = _free_port()
    try:
        _start(variables, "--head", f"--port={port}", "--include-dashboard=false")
        address = (Path(place) / "ray/ray_current_cluster").read_text().strip()
        for _ in range(nodes - 1):
            _start(variables, f"--address={address}")
        yield address
    finally:
        _end(place)
        shutil.rmtree(place, ignore_errors=True)


def _start(variables: dict[str, str], *options: str) -> None:
    command = [str(Path(sys.executable).parent / "ray"), "start", *options, "--num-cpus=1", "--disable-usage-stats"]
    command.append(f"--object-store-memory={OBJECT_STORE_BYTES}")
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=START_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _end(place: str) -> None:
    """End the processes whose temporary files lie there: those of this cluster, and no other's."""
    mine = [process for process in psutil.process_iter() if _is_mine(process, place)]
    for process in mine:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(mine, timeout=10)


def _is_mine(process: psutil.Process, place: str) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get("RAY_TMPDIR") == place
    except psutil.Error:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])
