"""`touchstone ui`: MLflow's page of the results below a folder; `make ui` calls it."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from runner.core.errors import ConfigurationError, DependencyError
from runner.tracking import local, store
from runner.tracking.local import StoreUnusableError

HOST, PORT = "127.0.0.1", 5000
"""MLflow's own."""


def main(arguments: list[str] | None = None) -> int:
    """Serve the page until Ctrl-C; MLflow's server takes this process's place.

    Returns:
        2: the port is taken, or the folder's database cannot be used; 4: MLflow is not installed.
    """
    options, others = parser().parse_known_args(arguments)
    folder: Path = options.folder.resolve()
    try:
        _require_free(options.host, options.port)
        with store.environment(store.QUIET):
            store.make_ready(local.address(folder / "mlflow.db"))
    except ModuleNotFoundError as error:
        sys.stderr.write(f"Error: the Python package {error.name} is missing here: pip install mlflow\n")
        return DependencyError.exit_code
    except (ConfigurationError, StoreUnusableError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return ConfigurationError.exit_code
    sys.stdout.write(
        f"Results of {folder}: http://{options.host}:{options.port} (Ctrl-C ends it)\n"
        'In MLflow, choose "Model training" at the top left, then the experiment "touchstone".\n'
    )
    sys.stdout.flush()
    os.chdir(folder)  # so that the address needs no part of the path, whatever characters that has
    address = ["--backend-store-uri", "sqlite:///mlflow.db", "--host", options.host, "--port", str(options.port)]
    workers = [] if any(word.partition("=")[0] == "--workers" for word in others) else ["--workers", "1"]
    # Without -P a file mlflow.py of that folder would be taken for MLflow.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "mlflow", "ui", *address, *workers, *others])


def _require_free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on.

    Raises:
        ConfigurationError: says why.
    """
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(f"{host}:{port} cannot be listened on: {reason}. Choose another --port.") from error


def parser() -> argparse.ArgumentParser:
    """The command's arguments; all others are handed to `mlflow ui`."""
    made = argparse.ArgumentParser(
        prog="touchstone ui",
        description="Show results in MLflow's page.",
        epilog="All other options are those of mlflow ui, for instance --workers 2.",
    )
    made.add_argument("folder", nargs="?", type=Path, default=Path("outputs"), help="run.root; default: outputs")
    made.add_argument("--host", default=HOST, help=f"default: {HOST}, this machine alone")
    made.add_argument("--port", type=int, default=PORT, help=f"default: {PORT}")
    return made
