"""The dashboard over a real Prometheus that scrapes the exporter with the configuration of docs/."""

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from hardware.sampling.exporter import Exporter, serve
from hardware.sampling.trace_file import TraceRow

DOCS = Path(__file__).parents[2] / "docs" / "monitoring"
PROMETHEUS = shutil.which("prometheus")
READY_S = 60.0
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(PROMETHEUS is None, reason="Prometheus is not installed (apt install prometheus)"),
]
Query = Callable[[str], list[dict[str, Any]]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def reading(meter: str, source: str, scope: str, **values: float) -> TraceRow:
    return TraceRow(monotonic_s=1.0, unix_s=2.0, meter=meter, source=source, scope=scope, **values)  # type: ignore[arg-type]


@contextmanager
def exporting(port: int) -> Iterator[Exporter]:
    exporter = Exporter()
    server = serve(exporter, port)
    try:
        yield exporter
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[Query]:
    """A server with the documented configuration, but for the ports."""
    port = free_port()
    settings = yaml.safe_load((DOCS / "prometheus.yml").read_text())
    settings["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{target}"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    command = [
        *(str(PROMETHEUS), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]

    def query(expression: str) -> list[dict[str, Any]]:
        words = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{words}", timeout=10) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        found: list[dict[str, Any]] = told["data"]["result"]
        return found

    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield query
        finally:
            process.terminate()
            process.wait(20)


def wait_for(query: Query, expression: str) -> list[dict[str, Any]]:
    """What an expression yields, as soon as it yields anything."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        try:
            if found := query(expression):
                return found
        except OSError:
            pass
        time.sleep(0.3)
    raise AssertionError(f"nothing for {expression} within {READY_S:g} s")


def panels() -> dict[str, str]:
    """Title and expression of every panel, all sources and scopes chosen."""
    dashboard = json.loads((DOCS / "grafana.json").read_text())
    return {
        panel["title"]: panel["targets"][0]["expr"].replace("$source", ".*").replace("$scope", ".*")
        for panel in dashboard["panels"]
    }


def by_source(rows: list[dict[str, Any]]) -> dict[str | None, float]:
    return {one["metric"].get("source"): float(one["value"][1]) for one in rows}


def test_every_panel_shows_what_the_meters_read(tmp_path: Path) -> None:
    port = free_port()
    with exporting(port) as exporter, prometheus(tmp_path, port) as query:
        gpu = {"power_w": 300.0, "temperature_c": 61.0, "utilisation": 0.75, "memory_used_bytes": 2**30}
        exporter.observe([reading("nvml", "GPU-a", "device", **gpu, clock_mhz=1410.0, energy_j=1000.0)])
        exporter.observe([reading("nvml", "GPU-b", "device", **gpu | {"power_w": 200.0}, clock_mhz=1200.0)])
        exporter.observe([reading("ipmi", "node", "node", power_w=900.0)])
        wait_for(query, 'touchstone_energy_joules_total{source="GPU-a"} == 1000')
        exporter.observe([reading("nvml", "GPU-a", "device", **gpu, clock_mhz=1410.0, energy_j=1600.0)])
        wait_for(query, 'touchstone_energy_joules_total{source="GPU-a"} == 1600')
        found = {title: wait_for(query, expression) for title, expression in panels().items()}
    values = {
        title: {one["metric"].get("source"): float(one["value"][1]) for one in rows} for title, rows in found.items()
    }
    assert values["Power of all devices"] == {None: 500.0}
    assert values["Power of the node"] == {None: 900.0}
    assert values["Highest temperature"] == {None: 61.0}
    assert values["Slowest clock of the devices (MHz)"] == {None: 1200.0}
    assert values["Power"] == {"GPU-a": 300.0, "GPU-b": 200.0, "node": 900.0}
    assert values["Power by the devices' own energy counters"]["GPU-a"] > 0
    assert values["Utilisation"] == {"GPU-a": 0.75, "GPU-b": 0.75}
    assert values["Clock"] == {"GPU-a": 1.41e9, "GPU-b": 1.2e9}
    assert values["Memory in use"] == {"GPU-a": 2.0**30, "GPU-b": 2.0**30}


def test_what_a_case_stopped_serving_is_no_longer_shown(tmp_path: Path) -> None:
    port = free_port()
    with prometheus(tmp_path, port) as query:
        with exporting(port) as exporter:
            exporter.observe([reading("nvml", "GPU-a", "device", power_w=300.0)])
            wait_for(query, 'touchstone_power_watts{source="GPU-a"}')
        wait_for(query, 'up{job="touchstone"} == 0')
        assert query('touchstone_power_watts{source="GPU-a"}') == []
