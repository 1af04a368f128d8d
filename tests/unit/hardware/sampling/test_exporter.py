"""Live readings as a Prometheus server would scrape them."""

import socket
import urllib.request
from pathlib import Path

import pytest

from hardware.sampling.exporter import Exporter, serve
from hardware.sampling.sampler import Sampler, main
from hardware.sampling.trace_file import BACK, LOST, TraceRow


def row(source: str | None = "GPU-a", *, meter: str = "nvml", mark: str | None = None, **values: float) -> TraceRow:
    scope = "device" if source else None
    return TraceRow(monotonic_s=1.0, unix_s=2.0, meter=meter, source=source, scope=scope, mark=mark, **values)


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def scrape(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return [line for line in answer.read().decode().splitlines() if not line.startswith("#")]


def test_a_scrape_shows_the_last_reading_of_every_source(port: int) -> None:
    exporter = Exporter()
    exporter.observe([row(power_w=90.0), row("GPU-b", power_w=200.0, clock_mhz=1410.0)])
    exporter.observe([row(power_w=100.5, energy_j=12.25)])
    server = serve(exporter, port)
    try:
        found = scrape(port)
    finally:
        server.shutdown()
        server.server_close()
    assert sorted(found) == [
        'touchstone_clock_hertz{meter="nvml",scope="device",source="GPU-b"} 1.41e+09',
        'touchstone_energy_joules_total{meter="nvml",scope="device",source="GPU-a"} 12.25',
        'touchstone_power_watts{meter="nvml",scope="device",source="GPU-a"} 100.5',
        'touchstone_power_watts{meter="nvml",scope="device",source="GPU-b"} 200.0',
    ]


def test_a_lost_meter_takes_its_readings_with_it() -> None:
    exporter = Exporter()
    exporter.observe([row(power_w=90.0), row("host", meter="host", utilisation=0.5)])
    exporter.observe([row(None, mark=f"{LOST}nvml")])
    exporter.observe([row(None, mark=f"{BACK}nvml")])
    told = {sample.labels["source"]: sample.value for metric in exporter.collect() for sample in metric.samples}
    assert told == {"host": 0.5}


def test_the_sampler_serves_what_it_writes(tmp_path: Path, port: int) -> None:
    exporter = Exporter()
    sampler = Sampler(tmp_path / "power.csv", ["host"], period_s=0.1, exporter=exporter)
    sampler.start([])
    sampler.close()
    samples = [sample for metric in exporter.collect() for sample in metric.samples]
    assert any(sample.name == "touchstone_memory_used_bytes" and sample.value > 1e6 for sample in samples)


def test_a_port_in_use_stops_no_meter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, port: int
) -> None:
    monkeypatch.setenv("TOUCHSTONE_SAMPLER_KEY", "00" * 32)
    monkeypatch.setattr("hardware.sampling.sampler.KEY_VARIABLE", "TOUCHSTONE_SAMPLER_KEY")
    monkeypatch.setattr("hardware.sampling.sampler.signal.signal", lambda *_: None)
    monkeypatch.setattr(Sampler, "wait", lambda *_: None)
    trace = tmp_path / "power.csv"
    with socket.create_server(("127.0.0.1", port)):
        arguments = ["--trace", str(trace), "--meters", "host", "--address", str(tmp_path / "s")]
        assert main([*arguments, "--prometheus-port", str(port)]) == 0
    assert "no Prometheus metrics" in caplog.text
    assert len(trace.read_text().splitlines()) > 1
