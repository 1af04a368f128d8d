"""TsingMicro's tool, played by a script; the rows have the form of FlagPerf's sample and of FlagOS' monitor."""

from pathlib import Path

import pytest
from engine_tools import DATA, PlayedTool, device, opened

from hardware.meters.base import MeterUnavailableError
from hardware.meters.smi.tsm_smi import TsmSmi

TWO = (DATA / "tsm_smi/two_cards.txt").read_text()
FOUR = (DATA / "tsm_smi/card_of_four_chips.txt").read_text()
FIRST, SECOND = device("0000:82:00.0"), device("00000000:83:00.0", index=1)
ROW = next(line for line in TWO.splitlines() if "82:00.0" in line)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedTool:
    played = PlayedTool(tmp_path, monkeypatch, "tsm_smi")
    played.says(TWO)
    return played


def test_cards_by_address_in_any_order(tool: PlayedTool) -> None:
    second, first = opened(TsmSmi, [SECOND, FIRST]).read()
    assert (first.source, first.scope, first.power_w, first.temperature_c) == ("0000:82:00.0", "device", 96.0, 42.0)
    assert (first.memory_used_bytes, first.utilisation, first.energy_j, first.raw) == (15146 << 20, 0.0, None, None)
    assert (second.power_w, second.temperature_c, second.utilisation) == (133.0, 51.0, pytest.approx(0.87))


def test_columns_in_another_order_are_told_by_their_units(tool: PlayedTool) -> None:
    meter = opened(TsmSmi, [FIRST])
    moved = "| 0 TX8110-64GB-PCIe | 0% | 15146M / 65536M | 00000000:82:00.0 | 96W / 200W | 11100 | 42C |"
    tool.says(TWO.replace(ROW, moved))
    reading = meter.read()[0]
    assert (reading.power_w, reading.temperature_c, reading.utilisation) == (96.0, 42.0, 0.0)
    assert (reading.memory_used_bytes, reading.raw) == (15146 << 20, None)


def test_each_chip_of_a_card_is_a_device(tool: PlayedTool) -> None:
    tool.says(FOUR)
    readings = opened(TsmSmi, [device(f"0000:8{n}:00.0", index=n) for n in (2, 3, 4, 5)]).read()
    assert [(one.scope, one.power_w) for one in readings] == [("device", w) for w in (93.0, 101.0, 97.0, 110.0)]
    assert [one.temperature_c for one in readings] == [41.0, 44.0, 43.0, 47.0]


def test_a_power_that_may_be_the_cards_is_no_chips(tool: PlayedTool) -> None:
    """One number among four chips could be one chip's or all of theirs."""
    tool.says(FOUR.replace("101W / 200W", "").replace("97W / 200W", "").replace("110W / 200W", "NA"))
    readings = opened(TsmSmi, [device(f"0000:8{n}:00.0", index=n) for n in (2, 3, 4, 5)]).read()
    assert [one.power_w for one in readings] == [None] * 4
    assert [one.temperature_c for one in readings] == [41.0, 44.0, 43.0, 47.0]
    assert all("93W / 200W" in str(one.raw) for one in readings)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("96W / 200W", "NA / 200W", "power_w"),
        ("96W / 200W", "NA/200W", "power_w"),
        ("96W / 200W", "- / -", "power_w"),
        ("96W / 200W", "0W / 200W", "power_w"),
        ("96W / 200W", "65535W / 200W", "power_w"),
        ("96W / 200W", "96W 200W", "power_w"),
        ("96W / 200W", "96 / 200", "power_w"),
        ("42C", "N/A", "temperature_c"),
        ("42C", "0C", "temperature_c"),
        ("42C", "-42C", "temperature_c"),
        ("42C", "42C 45C", "temperature_c"),
        ("15146M / 65536M", "ERR", "memory_used_bytes"),
        ("0%", "250%", "utilisation"),
        ("0%", "", "utilisation"),
    ],
)
def test_what_is_not_understood_is_null_with_the_text(tool: PlayedTool, old: str, new: str, name: str) -> None:
    meter = opened(TsmSmi, [FIRST, SECOND])
    tool.says(TWO.replace(ROW, ROW.replace(old, new)))
    bad, good = meter.read()
    assert getattr(bad, name) is None and "TX8110" in str(bad.raw)
    others = {"power_w", "temperature_c", "memory_used_bytes", "utilisation"} - {name}
    assert all(getattr(bad, other) is not None for other in others)
    assert (good.power_w, good.raw) == (133.0, None)


def test_a_card_that_falls_off_the_bus(tool: PlayedTool) -> None:
    meter = opened(TsmSmi, [FIRST, SECOND])
    tool.says(TWO.replace(ROW, ""))
    lost, alive = meter.read()
    assert (lost.source, lost.power_w, lost.memory_used_bytes, alive.power_w) == ("0000:82:00.0", None, None, 133.0)
    assert "0 rows for 0000:82:00.0" in str(lost.raw)
    tool.says(TWO.replace(ROW, "| 0 TX8110-64GB-PCIe | ERR | 00000000:82:00.0 | ERR |"))
    assert meter.read()[0].power_w is None
    tool.says("")
    with pytest.raises(MeterUnavailableError, match="none of the devices"):
        meter.read()


def test_a_device_without_an_address_or_a_row_is_refused(tool: PlayedTool) -> None:
    for unknown in (device("0000:99:00.0"), device(None, number=0)):
        with pytest.raises(MeterUnavailableError, match="no row for device"):
            opened(TsmSmi, [unknown])


def test_processes_are_no_cards(tool: PlayedTool) -> None:
    assert len(TsmSmi().parse([TWO])) == 2
