"""What the meters read, as MLflow's system metrics."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from tracking_samples import make_report, make_run

from hardware.sampling.trace_file import TraceRow, TraceWriter
from runner.tracking.system import system_points
from runner.tracking.uploader import Uploader


def rows(first_s: int, last_s: int) -> list[TraceRow]:
    """Each second: the host, its processes, and two devices of constant and of growing power."""
    told: list[TraceRow] = []
    for t in range(first_s, last_s):
        at = {"monotonic_s": 100.0 + t, "unix_s": 1e9 + t}
        told += [
            TraceRow(**at, meter="host", source="host", scope="host", utilisation=0.5, memory_used_bytes=3_000_000),
            TraceRow(**at, meter="host", source="processes", scope="host", memory_used_bytes=7),
            TraceRow(**at, meter="nvml", source="GPU-b", scope="device", power_w=300.0),
            TraceRow(**at, meter="nvml", source="GPU-a", scope="device", power_w=float(t)),
        ]
    return told


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "power.csv"


def write(trace: Path, told: list[TraceRow]) -> None:
    writer = TraceWriter(trace)
    writer.write(*told)
    writer.close()


def test_whole_intervals_are_averaged_under_mlflows_names(trace: Path) -> None:
    write(trace, rows(0, 25))
    found = system_points(trace, 0, [], final=False)
    assert {(point.key, point.step): point.value for point in found.points} == {
        ("system/cpu_utilization_percentage", 100): 50.0,
        ("system/system_memory_usage_megabytes", 100): 3.0,
        ("system/gpu_0_power_usage_watts", 100): 300.0,
        ("system/gpu_1_power_usage_watts", 100): 4.5,
        ("system/cpu_utilization_percentage", 110): 50.0,
        ("system/system_memory_usage_megabytes", 110): 3.0,
        ("system/gpu_0_power_usage_watts", 110): 300.0,
        ("system/gpu_1_power_usage_watts", 110): 14.5,
    }
    assert found.sources == ["GPU-b", "GPU-a"]
    rest = system_points(trace, found.offset, found.sources, final=True)
    assert [point.value for point in rest.points if point.key.startswith("system/gpu_1")] == [22.0]
    assert system_points(trace, rest.offset, rest.sources, final=True).points == []


def test_parts_give_what_the_whole_gives(trace: Path) -> None:
    offset, sources, parts = 0, [], []
    for second in range(0, 35, 3):
        write(trace, rows(second, second + 3))
        part = system_points(trace, offset, sources, final=False)
        offset, sources = part.offset, part.sources
        parts += part.points
    assert parts == system_points(trace, 0, [], final=False).points


def test_no_trace_gives_nothing(trace: Path) -> None:
    assert system_points(trace, 0, [], final=True).points == []


def test_they_are_filed_once_and_only_when_asked_for(tmp_path: Path) -> None:
    for asked in ("true", "false"):
        folder = make_run(tmp_path / asked, f"tracking.system_metrics={asked}")
        write(folder / "power.csv", rows(0, 25))
        uri = f"sqlite:///{tmp_path}/{asked}.db"
        for _ in range(2):
            with Uploader(folder, uri=uri) as uploader:
                uploader.flush()
                uploader.finish(make_report(folder))
        client = MlflowClient(uri)
        (run,) = client.search_runs([client.get_experiment_by_name("touchstone").experiment_id])
        history = client.get_metric_history(run.info.run_id, "system/gpu_1_power_usage_watts")
        assert [point.value for point in history] == ([4.5, 14.5, 22.0] if asked == "true" else [])
