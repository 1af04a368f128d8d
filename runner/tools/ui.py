"""`touchstone ui`: MLflow's page of the results below a folder; `make ui` calls it."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from runner.core.errors import ConfigurationError, DependencyError
from runner.messages import tr
from runner.tracking import local, store
from runner.tracking.found.stored_run import IDENTITY_TAG
from runner.tracking.local import StoreUnusableError
from runner.tracking.page import links
from runner.tracking.page.saved_views import offer

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
            experiments = offered(folder / "mlflow.db")
    except ModuleNotFoundError as error:
        sys.stderr.write(f"Error: the Python package {error.name} is missing here: pip install mlflow\n")
        return DependencyError.exit_code
    except (ConfigurationError, StoreUnusableError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return ConfigurationError.exit_code
    sys.stdout.write(
        f"Results of {folder}: http://{options.host}:{options.port} (Ctrl-C ends it)\n"
        + "".join(_places(f"http://{options.host}:{options.port}", experiments))
    )
    sys.stdout.flush()
    os.chdir(folder)  # so that the address needs no part of the path, whatever characters that has
    address = ["--backend-store-uri", "sqlite:///mlflow.db", "--host", options.host, "--port", str(options.port)]
    workers = [] if any(word.partition("=")[0] == "--workers" for word in others) else ["--workers", "1"]
    # Without -P a file mlflow.py of that folder would be taken for MLflow.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "mlflow", "ui", *address, *workers, *others])


def offered(path: Path) -> list[tuple[str, str]]:
    """Offer our views in every experiment that holds runs of ours; their ids and names, the newest last."""
    client = local.open_client(path)
    found: list[tuple[str, str]] = []
    for one in reversed(client.search_experiments()):
        ours = client.search_runs([one.experiment_id], f"tags.`{IDENTITY_TAG}` LIKE '%'", max_results=1)
        if ours:
            offer(client, one.experiment_id)
            found.append((one.experiment_id, one.name))
    return found


def _places(server: str, experiments: list[tuple[str, str]]) -> Iterator[str]:
    """The addresses of the experiments, as lines."""
    for number, name in experiments:
        yield f"{name}: {tr('throughput as bars')}  {links.charts_link(server, number)}\n"
        yield f"{name}: {tr('figures as columns')}  {links.table_link(server, number)}\n"
    if not experiments:
        yield tr("There are no runs in it yet.") + "\n"


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
