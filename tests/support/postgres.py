"""A PostgreSQL of this machine's packages, for a while, reached through a socket file alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

USER = "postgres"
"""PostgreSQL does not run as root: then as this user, which its package makes."""
TOOLS = ("initdb", "pg_ctl", "createdb")
STARTS_WITHIN_S = 60


def binaries() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; None where the package is not installed."""
    found = shutil.which("initdb")
    candidates = [*Path("/usr/lib/postgresql").glob("*/bin"), *([Path(found).resolve().parent] if found else [])]
    return next((one for one in candidates if all((one / tool).exists() for tool in TOOLS)), None)


@contextmanager
def running(where: Path) -> Iterator[str]:
    """SQLAlchemy's address of an empty database `mlflow`; everything is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="touchstone-pg-", dir="/tmp"))  # a socket's path must be short
    data = folder / "data"
    if os.getuid() == 0:
        shutil.chown(folder, USER)
    try:
        _run([where / "initdb", "-D", data, "-U", USER, "-A", "trust", "-N"])
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        start = ["-D", data, "-w", "-t", STARTS_WITHIN_S, "-l", folder / "log", "-o", options, "start"]
        _run([where / "pg_ctl", *start])
        try:
            _run([where / "createdb", "-h", folder, "-U", USER, "mlflow"])
            yield f"postgresql+psycopg2://{USER}@/mlflow?host={folder}"
        finally:
            _run([where / "pg_ctl", "-D", data, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder)


def _run(command: Sequence[object]) -> None:
    words = [str(word) for word in command]
    as_user = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
    done = subprocess.run([*as_user, *words], capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
