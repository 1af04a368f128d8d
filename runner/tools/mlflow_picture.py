"""A picture of MLflow's page: its server is started, and the charts of the first experiment are opened."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from runner.core.errors import ConfigurationError

READY_S = 120.0
DRAWN_MS = 9000
"""MLflow says nowhere that its charts are drawn."""
_DESK = (1500, 900)


def of_mlflow(browser: Any, root: Path, file: Path) -> Path:
    """Take a picture of the experiment's charts.

    Args:
        browser: Playwright's.
        root: `run.root` with its `mlflow.db`.
        file: where the picture goes.

    Raises:
        ConfigurationError: the page's server did not start.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "runner.ui", str(root), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            _shoot(browser, _charts(server, port), file)
        finally:
            server.terminate()
    return file


def _charts(server: subprocess.Popen[str], port: int) -> str:
    """The address that the server's own words give for the charts, once it answers."""
    assert server.stdout is not None
    address = None
    while address is None and (line := server.stdout.readline()):
        found = re.search(r"https?://\S+viewStateShareKey\S+", line)
        address = found[0] if found else None
    deadline = time.monotonic() + READY_S
    while address is not None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return address
        except OSError:
            time.sleep(0.5)
    raise ConfigurationError("MLflow's page did not start, or nothing was filed there. See: python -m runner.ui")


def _shoot(browser: Any, address: str, file: Path) -> None:
    page = browser.new_page(viewport={"width": _DESK[0], "height": _DESK[1]})
    page.goto(address)
    page.wait_for_timeout(DRAWN_MS)
    for close in page.query_selector_all('[aria-label="Close"]')[-1:]:
        close.click()
    page.wait_for_timeout(1500)
    page.screenshot(path=str(file))
    page.close()
