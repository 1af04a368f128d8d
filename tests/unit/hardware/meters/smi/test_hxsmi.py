"""Hexaflake's tool, played by a script; its tables hold what FlagPerf's filters find in the real one."""

from pathlib import Path

import pytest
from engine_tools import DATA, PlayedTool, device, opened

from hardware.meters.base import MeterUnavailableError
from hardware.meters.smi.hxsmi import Hxsmi

TWO = (DATA / "hxsmi/two_cards.txt").read_text()
BARE = (DATA / "hxsmi/without_addresses.txt").read_text()
FIRST, SECOND = device("0000:3b:00.0", number=0), device("0000:5e:00.0", number=1, index=1)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedTool:
    played = PlayedTool(tmp_path, monkeypatch, "hxsmi")
    played.says(TWO)
    return played


def test_two_lines_are_one_device(tool: PlayedTool) -> None:
    second, first = opened(Hxsmi, [SECOND, FIRST]).read()
    assert (first.source, first.power_w, first.temperature_c) == ("0000:3b:00.0", 61.0, 48.0)
    assert (first.memory_used_bytes, first.utilisation, first.raw) == (4096 << 20, pytest.approx(0.12), None)
    assert (second.power_w, second.temperature_c, second.memory_used_bytes) == (33.0, 39.0, 12 << 20)


def test_by_number_where_there_are_no_addresses(tool: PlayedTool) -> None:
    """Its second line begins with a number as well: a temperature, not a device."""
    tool.says(BARE.replace("35 C inlet", "35 W cap"))
    with pytest.raises(MeterUnavailableError, match="no row for device"):
        opened(Hxsmi, [device(number=1)])
    reading = opened(Hxsmi, [device(number=0)]).read()[0]
    assert (reading.source, reading.temperature_c, reading.power_w) == ("device-0", 48.0, None)
    assert "61 W / 120 W" in str(reading.raw)


def test_two_temperatures_are_none(tool: PlayedTool) -> None:
    tool.says(BARE)
    reading = opened(Hxsmi, [device(number=0)]).read()[0]
    assert (reading.temperature_c, reading.power_w, reading.memory_used_bytes) == (None, 61.0, 4096 << 20)
    assert "35 C inlet" in str(reading.raw)


def test_columns_in_another_order(tool: PlayedTool) -> None:
    meter = opened(Hxsmi, [FIRST])
    tool.says(
        "| 0 HX | 4096 MiB / 16384 MiB | 61 W |\n|  | 0000:3b:00.0 stb | 48 C 12 % |\n"
        "| 1 HX | 12 MiB / 16384 MiB | 33 W |\n|  | 0000:5e:00.0 stb | 39 C 0 % |\n"
    )
    reading = meter.read()[0]
    assert (reading.power_w, reading.temperature_c, reading.memory_used_bytes) == (61.0, 48.0, 4096 << 20)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("61 W", "N/A", "power_w"),
        ("61 W", "0 W", "power_w"),
        ("61 W", "61", "power_w"),
        ("48 C", "- C", "temperature_c"),
        ("48 C", "65535 C", "temperature_c"),
        ("4096 MiB / 16384 MiB", "ERR", "memory_used_bytes"),
        ("4096 MiB", "4096 blocks", "memory_used_bytes"),
        ("4096 MiB", "NA", "memory_used_bytes"),
    ],
)
def test_what_is_not_understood_is_null_with_the_text(tool: PlayedTool, old: str, new: str, name: str) -> None:
    meter = opened(Hxsmi, [FIRST, SECOND])
    tool.says(TWO.replace(old, new))
    bad, good = meter.read()
    assert getattr(bad, name) is None and "stb" in str(bad.raw)
    assert (good.power_w, good.raw) == (33.0, None)


def test_a_utilisation_is_not_needed(tool: PlayedTool) -> None:
    tool.says(TWO.replace("12 %", ""))
    reading = opened(Hxsmi, [FIRST]).read()[0]
    assert (reading.utilisation, reading.power_w, reading.raw) == (None, 61.0, None)


def test_a_card_that_falls_off_the_bus(tool: PlayedTool) -> None:
    meter = opened(Hxsmi, [FIRST, SECOND])
    kept = [line for line in TWO.splitlines() if "3b:00.0" not in line and "61 W" not in line]
    tool.says("\n".join(kept))
    lost, alive = meter.read()
    assert (lost.power_w, lost.temperature_c, alive.power_w) == (None, None, 33.0)
    assert "0 rows" in str(lost.raw)
    tool.says("")
    with pytest.raises(MeterUnavailableError, match="none of the devices"):
        meter.read()
