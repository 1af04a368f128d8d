"""Graphcore's tools, played by scripts; values and names are those of their documentation."""

import json
from pathlib import Path
from typing import Any

import pytest
from engine_tools import DATA, PlayedTool, device, opened

from hardware.meters.base import MeterUnavailableError
from hardware.meters.smi.gc_monitor import GcMonitor

INFO = (DATA / "gc_monitor/gc_info_c600.txt").read_text()
C600 = (DATA / "gc_monitor/json_c600.json").read_text()
M2000 = (DATA / "gc_monitor/json_m2000.json").read_text()
CARD, OTHER = device("0000:35:00.0", number=0), device("0000:36:00.0", number=1, index=1)
IPUS = [device(f"0000:1{letter}:00.0", number=n, index=n) for n, letter in enumerate("abcd")]


@pytest.fixture
def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedTool:
    played = PlayedTool(tmp_path, monkeypatch, "gc-monitor")
    played.says(C600)
    return played


@pytest.fixture
def info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedTool:
    """`gc-info --device-info --device-id N` from a file per card; no gc-monitor is installed."""
    played = PlayedTool(tmp_path, monkeypatch, "gc-info")
    (tmp_path / "0.txt").write_text(INFO)
    other = INFO.replace("0000:35", "0000:36").replace("sysfs file id: 0", "sysfs file id: 1").replace("121.4", "90.5")
    (tmp_path / "1.txt").write_text(other.replace("111111", "222222"))
    played.does(f'[ "$1 $2" = "--device-info --device-id" ] || exit 2\ncat "{tmp_path}/$3.txt"')
    return played


def changed(text: str, ipu: int, **values: Any) -> str:
    content = json.loads(text)
    content["cards"][0]["ipus"][ipu] |= {name.replace("_", " "): value for name, value in values.items()}
    return json.dumps(content)


def test_a_c600_is_its_boards_only_ipu(monitor: PlayedTool) -> None:
    (reading,) = opened(GcMonitor, [CARD]).read()
    assert (reading.source, reading.scope, reading.power_w) == ("0000:35:00.0", "device", 121.4)
    assert (reading.temperature_c, reading.clock_mhz) == (44.0, 1500.0)
    assert (reading.utilisation, reading.memory_used_bytes, reading.raw) == (pytest.approx(0.8725), None, None)


def test_ipus_that_share_a_board_share_its_power_once(monitor: PlayedTool) -> None:
    monitor.says(M2000)
    readings = opened(GcMonitor, IPUS).read()
    assert [(one.scope, one.power_w) for one in readings] == [
        *[("device", None)] * 4,
        ("board", 298.0),
        ("board", 310.5),
    ]
    assert [one.temperature_c for one in readings[:4]] == [51.0, 52.5, 49.0, 48.5]
    assert [one.source for one in readings[4:]] == ["board-0024.0001.8203321", "board-0024.0002.8203321"]
    assert all(one.raw is None for one in readings)
    one = opened(GcMonitor, IPUS[:1]).read()
    assert [(reading.scope, reading.power_w) for reading in one] == [("device", None), ("board", 310.5)]


def test_an_ipus_own_power_is_never_counted_with_its_boards(monitor: PlayedTool) -> None:
    monitor.says(changed(M2000, 0, ipu_power="140.0 W"))
    readings = opened(GcMonitor, IPUS[:2]).read()
    assert [(one.scope, one.power_w) for one in readings] == [("device", 140.0), ("device", None)]


def test_a_c600_keeps_its_boards_sensor(monitor: PlayedTool) -> None:
    """The chip's own power is less than its board's: a series must not change from one to the other."""
    content = json.loads(C600)
    content["cards"][0]["ipus"][0] |= {"ipuPower": "99.0 W"}
    monitor.says(json.dumps(content))
    meter = opened(GcMonitor, [CARD])
    assert meter.read()[0].power_w == 121.4
    content["cards"][0]["ipus"][0] |= {"totalBoardPower": "N/A"}
    monitor.says(json.dumps(content))
    reading = meter.read()[0]
    assert reading.power_w is None and "totalboardpower: N/A" in str(reading.raw)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("121.4 W", "N/A", "power_w"),
        ("121.4 W", "0.0 W", "power_w"),
        ("121.4 W", "121.4", "power_w"),
        ("44.0 C", "N/A", "temperature_c"),
        ("44.0 C", "-273 C", "temperature_c"),
        ("1500MHz", "ERR", "clock_mhz"),
    ],
)
def test_what_is_not_understood_is_null_with_the_text(monitor: PlayedTool, old: str, new: str, name: str) -> None:
    meter = opened(GcMonitor, [CARD])
    monitor.says(C600.replace(old, new))
    reading = meter.read()[0]
    assert getattr(reading, name) is None and new in str(reading.raw)
    assert sum(value is None for value in (reading.power_w, reading.temperature_c, reading.clock_mhz)) == 1


def test_the_order_of_cards_and_names_does_not_matter(monitor: PlayedTool) -> None:
    content = json.loads(M2000)
    content["cards"].reverse()
    content["cards"][0] = dict(reversed(content["cards"][0].items()))
    monitor.says(json.dumps({"partition": {"name": "p1", "gcd": 0}, "machines": [content]}))
    readings = opened(GcMonitor, IPUS).read()
    assert [one.temperature_c for one in readings[:4]] == [51.0, 52.5, 49.0, 48.5]


def test_an_ipu_that_is_lost(monitor: PlayedTool) -> None:
    monitor.says(M2000)
    meter = opened(GcMonitor, IPUS)
    content = json.loads(M2000)
    del content["cards"][0]["ipus"][0]
    monitor.says(json.dumps(content))
    lost, alive, *_ = meter.read()
    assert (lost.source, lost.temperature_c, alive.temperature_c) == ("0000:1a:00.0", None, 52.5)
    monitor.says('{"cards": []}')
    with pytest.raises(MeterUnavailableError, match="none of the devices"):
        meter.read()


def test_gc_info_where_gc_monitor_tells_too_little(monitor: PlayedTool, info: PlayedTool) -> None:
    for useless in ('{"cards": [{"ipus": [{"id": "0"}]}]}', "not JSON", "[1, 2]", ""):
        monitor.says(useless)
        first, second = opened(GcMonitor, [CARD, OTHER]).read()
        assert (first.power_w, first.temperature_c, first.clock_mhz, first.raw) == (121.4, 44.0, 1500.0, None)
        assert (second.source, second.power_w) == ("0000:36:00.0", 90.5)


def test_gc_info_alone(info: PlayedTool, tmp_path: Path) -> None:
    meter = opened(GcMonitor, [CARD, OTHER])
    (tmp_path / "0.txt").unlink()
    lost, alive = meter.read()
    assert (lost.power_w, alive.power_w) == (None, 90.5)
    (tmp_path / "1.txt").write_text("No device found\n")
    with pytest.raises(MeterUnavailableError, match="none of the devices"):
        meter.read()
    (tmp_path / "1.txt").unlink()
    with pytest.raises(MeterUnavailableError, match="ended with 1"):
        meter.read()


def test_an_id_that_is_another_ipu_is_refused(info: PlayedTool) -> None:
    """gc-info's ids are its own; the address tells whose answer it is."""
    with pytest.raises(MeterUnavailableError, match=r"no row for device 0000:35:00\.0"):
        opened(GcMonitor, [device("0000:35:00.0", number=1)])


def test_both_tools_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MeterUnavailableError, match=r"gc-monitor is not on PATH.*gc-info is not on PATH"):
        opened(GcMonitor, [CARD])
    with pytest.raises(MeterUnavailableError, match="gc-monitor is not on PATH"):
        opened(GcMonitor, [device("0000:35:00.0")])
    with pytest.raises(MeterUnavailableError, match="no device was named yet"):
        opened(GcMonitor, [])


def test_the_cost_of_both_tools_is_counted(monitor: PlayedTool, info: PlayedTool) -> None:
    monitor.says("")
    meter = opened(GcMonitor, [CARD])
    assert meter.processes_cpu_s() > 0
