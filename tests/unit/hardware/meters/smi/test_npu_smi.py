"""Huawei's tool, played by a script on PATH; its tables in tests/data are ours, in the layouts of hiascend.com's
reference and of public reports."""

import os
from pathlib import Path

import pytest

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError, Reading
from hardware.meters.smi.npu_smi.npu_smi import NpuSmi
from hardware.meters.smi.npu_smi.rows import parse_chips

DATA = Path(__file__).parents[4] / "data/npu_smi"
A910 = (DATA / "910a_in_a_container.txt").read_text()
B910 = (DATA / "910b_two_cards.txt").read_text()
A3 = (DATA / "a3_two_cards.txt").read_text()
DUO = (DATA / "310p_duo.txt").read_text()
B310 = (DATA / "310b_on_board.txt").read_text()
MIB = 1 << 20


class FakeTool:
    """`npu-smi` in a folder that is first on PATH, which answers `info` alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def says(self, text: str) -> None:
        (self.folder / "info.txt").write_text(text, errors="surrogateescape")
        self.does(f'[ "$*" = info ] || exit 3\ncat "{self.folder}/info.txt"')

    def does(self, body: str) -> None:
        script = self.folder / "npu-smi"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTool:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(NpuSmi, "device_root", tmp_path)
    return FakeTool(tmp_path)


def nodes(tool: FakeTool, *numbers: int) -> None:
    folder = tool.folder / "dev"
    folder.mkdir(exist_ok=True)
    for node in folder.iterdir():
        node.unlink()
    for name in ("davinci_manager", *(f"davinci{number}" for number in numbers)):
        (folder / name).touch()


def npu(pci: str | None = None, *, number: int | None = None, uuid: str | None = None) -> DeviceIdentity:
    return DeviceIdentity(index=0, uuid=uuid, pci_bus_id=pci, name="Ascend910B3", driver_index=number)


def opened(*devices: DeviceIdentity, timeout_s: float = 5.0) -> NpuSmi:
    meter = NpuSmi(timeout_s=timeout_s)
    meter.open(devices)
    return meter


def powers(readings: list[Reading]) -> list[tuple[str, str, float | None]]:
    return [(one.source, one.scope, one.power_w) for one in readings]


def test_a_910b_by_the_address_in_its_row(tool: FakeTool) -> None:
    tool.says(B910)
    second, first = opened(npu("0000:01:00.0", uuid="npu-b"), npu("0000:c1:00.0")).read()
    assert (first.source, first.scope, first.power_w, first.temperature_c) == ("0000:c1:00.0", "device", 101.8, 43.0)
    assert (first.utilisation, first.memory_used_bytes) == (0.42, 53984 * MIB)  # HBM, not the memory beside it
    assert (first.energy_j, first.clock_mhz, first.throttle, first.board, first.raw) == (None,) * 5
    assert (second.source, second.power_w, second.utilisation) == ("npu-b", 92.5, 0.0)


def test_power_that_the_tool_does_not_tell_is_null(tool: FakeTool) -> None:
    tool.says(A910)
    reading = opened(npu("0000:81:00.0")).read()[0]
    assert (reading.power_w, reading.raw) == (None, None)
    assert (reading.temperature_c, reading.utilisation, reading.memory_used_bytes) == (43.0, 0.12, 861 * MIB)


def test_two_chips_of_a_card_have_one_power(tool: FakeTool) -> None:
    tool.says(A3)
    readings = opened(npu("0000:9d:00.0"), npu("0000:9f:00.0"), npu("0000:99:00.0")).read()
    assert powers(readings) == [
        ("0000:9d:00.0", "device", None),
        ("0000:9f:00.0", "device", None),
        ("0000:99:00.0", "device", None),
        ("board-0", "board", 178.5),
        ("board-1", "board", 186.3),
    ]
    assert [one.board for one in readings[:3]] == ["board-0", "board-0", "board-1"], "the second chip's `-` too"
    assert [one.shared_by for one in readings[3:]] == [2, 2]
    assert [one.temperature_c for one in readings[:3]] == [36.0, 37.0, 38.0]


def test_a3_chips_by_their_physical_number(tool: FakeTool) -> None:
    tool.says(A3)
    readings = opened(npu(number=3)).read()
    assert (readings[0].source, readings[0].temperature_c, readings[0].board) == ("device-3", 39.0, "board-1")


A3_LINES = A3.splitlines(keepends=True)
A3_ONE_CHIP = "".join(A3_LINES[:8] + A3_LINES[-1:])
A3_CHIP_TWICE = "".join(A3_LINES[:11]).replace(
    "| 1     1                   | 0000:9F", "| 1     0                   | 0000:9D"
)


@pytest.mark.parametrize("table", [A3_ONE_CHIP, A3_CHIP_TWICE], ids=["one row", "the same chip twice"])
@pytest.mark.parametrize("device", [npu("0000:9d:00.0"), npu(number=0)], ids=["address", "number"])
def test_a_container_with_half_a_card_shows_the_power_of_all_of_it(
    tool: FakeTool, table: str, device: DeviceIdentity
) -> None:
    tool.says(table)
    chip, card = opened(device).read()
    assert (chip.power_w, chip.board, chip.temperature_c) == (None, "board-0", 36.0)
    assert (card.power_w, card.shared_by) == (178.5, 2), "the other chip's share is in it, and it is not ours"


def test_chips_with_one_address_are_told_apart_by_number(tool: FakeTool) -> None:
    tool.says(DUO)
    nodes(tool, 0, 1)
    readings = opened(npu("0000:01:00.0", number=1), npu("0000:01:00.0", number=0, uuid="first")).read()
    assert [(one.utilisation, one.power_w) for one in readings] == [(0.04, None), (0.03, None)]


def test_a_card_stays_shared_when_one_of_its_chips_is_lost(tool: FakeTool) -> None:
    told = DUO.replace("| NA           47", "| 61.5         47").replace("| NA           45", "| -            45")
    told = told.replace(
        "| 1       1                     | 0000:01:00.0", "| 1       1                     | 0000:02:00.0"
    )
    tool.says(told)
    meter = opened(npu("0000:01:00.0"))
    assert powers(meter.read()) == [("0000:01:00.0", "device", None), ("board-8", "board", 61.5)]
    tool.says("".join(told.splitlines(keepends=True)[:8]))
    assert powers(meter.read()) == [("0000:01:00.0", "device", None), ("board-8", "board", 61.5)]


def test_chips_of_one_card_that_tell_different_powers_tell_none(tool: FakeTool) -> None:
    tool.says(A3.replace("| -           37", "| 90.5        37"))
    card = opened(npu("0000:9d:00.0")).read()[-1]
    assert (card.scope, card.power_w) == ("board", None)
    assert "different powers" in (card.raw or "")


def test_a_chip_without_an_address_by_its_number(tool: FakeTool) -> None:
    tool.says(B310)
    nodes(tool, 0)
    assert opened(npu(number=0)).read()[0].power_w == 10.4


@pytest.mark.parametrize(
    ("table", "here", "wanted", "power"),
    [
        (B910, (0, 1), 1, 92.5),  # the machine itself
        (B910.replace("| 1     910B3", "| 3     910B3").replace("| 0     910B3", "| 2     910B3"), (2, 3), 3, 92.5),
        (B910, (4, 6), 6, 92.5),  # a container whose tool counts from 0
        (B310, (5,), 5, 10.4),
    ],
)
def test_numbers_that_can_only_mean_one_thing(
    tool: FakeTool, table: str, here: tuple[int, ...], wanted: int, power: float
) -> None:
    tool.says(table)
    nodes(tool, *here)
    assert opened(npu(number=wanted)).read()[0].power_w == power


@pytest.mark.parametrize("here", [(), (1,), (0, 1, 2)])
def test_numbers_that_may_mean_another_chip_are_refused(tool: FakeTool, here: tuple[int, ...]) -> None:
    tool.says(B910)
    nodes(tool, *here)
    with pytest.raises(MeterUnavailableError, match="no row for device device-1"):
        opened(npu(number=1))


def test_cards_numbered_by_slot_are_refused_without_an_address(tool: FakeTool) -> None:
    tool.says(B910.replace("| 1     910B3", "| 8     910B3"))
    nodes(tool, 0, 1)
    with pytest.raises(MeterUnavailableError, match="no row for device device-0"):
        opened(npu(number=0))


def test_columns_in_another_order_are_read_by_name(tool: FakeTool) -> None:
    swapped = B910.replace("Power(W)    Temp(C) ", "Temp(C)     Power(W)").replace(
        "101.8       43  ", "43          101.8"
    )
    swapped = swapped.replace("Memory-Usage(MB)  HBM-Usage(MB)   ", "HBM-Usage(MB)     Memory-Usage(MB)")
    swapped = swapped.replace("0    / 0          53984/ 65536  ", "53984/ 65536      0    / 0      ")
    assert swapped.count("Temp(C)     Power(W)") == swapped.count("43          101.8") == 1
    assert swapped.count("53984/ 65536      0    / 0") == 1
    tool.says(swapped)
    reading = opened(npu("0000:c1:00.0")).read()[0]
    assert (reading.power_w, reading.temperature_c, reading.memory_used_bytes) == (101.8, 43.0, 53984 * MIB)


GARBLED = {
    "a value too few": ("| 101.8       43                0    / 0             |", "| 101.8       43                |"),
    "a value too many": ("| 101.8       43   ", "| 101.8  7    43   "),
    "not a number": ("| 101.8 ", "| ERR   "),
    "no power any chip can have": ("| 101.8 ", "| 0.0   "),
    "65535": ("| 101.8 ", "| 65535 "),
}


@pytest.mark.parametrize("change", GARBLED.values(), ids=GARBLED.keys())
def test_power_that_is_not_understood_is_null_with_the_text(tool: FakeTool, change: tuple[str, str]) -> None:
    tool.says(B910)
    meter = opened(npu("0000:c1:00.0"), npu("0000:01:00.0"))
    assert change[0] in B910
    tool.says(B910.replace(*change))
    bad, good = meter.read()
    assert (bad.source, bad.power_w, bad.memory_used_bytes) == ("0000:c1:00.0", None, 53984 * MIB)
    assert "Power(W)" in (bad.raw or "") and "0000:C1:00.0" in (bad.raw or "")
    assert (good.power_w, good.raw) == (92.5, None)


@pytest.mark.parametrize(
    ("old", "new", "doubt"),
    [
        ("53984/ 65536", "65537/ 65536", "HBM-Usage(MB) 65537/ 65536"),
        ("53984/ 65536", "53984", "HBM-Usage(MB) 53984"),
        ("53984/ 65536", "0    / 0    ", "Memory-Usage(MB) 0 / 0"),
        ("| 42          0 ", "| 142         0 ", "AICore(%) 142"),
        ("| 101.8       43 ", "| 101.8       430", "Temp(C) 430"),
    ],
)
def test_other_values_that_no_chip_can_have_are_null(tool: FakeTool, old: str, new: str, doubt: str) -> None:
    assert old in B910
    tool.says(B910.replace(old, new))
    reading = opened(npu("0000:c1:00.0")).read()[0]
    assert doubt in (reading.raw or "")
    assert None in (reading.memory_used_bytes, reading.utilisation, reading.temperature_c)
    assert reading.power_w == 101.8


def test_memory_that_is_not_told_is_not_another_memory(tool: FakeTool) -> None:
    tool.says(B910.replace("53984/ 65536", "NA          "))
    reading = opened(npu("0000:c1:00.0")).read()[0]
    assert (reading.memory_used_bytes, reading.raw, reading.power_w) == (None, None, 101.8)


def test_a_card_that_falls_off_the_bus_becomes_nulls_then_a_failure(tool: FakeTool) -> None:
    tool.says(B910)
    meter = opened(npu("0000:c1:00.0"), npu("0000:01:00.0"))
    lines = B910.splitlines(keepends=True)
    tool.says("".join(lines[:6] + lines[9:]))
    lost, alive = meter.read()
    assert (lost.power_w, alive.power_w) == (None, 92.5)
    assert "0 rows for 0000:c1:00.0" in (lost.raw or "")
    tool.says("dcmi model initialized failed, because the device is used. ret is -8020\n")
    with pytest.raises(
        MeterUnavailableError, match="none of the devices is in the output: dcmi model initialized failed"
    ):
        meter.read()


def test_a_lost_card_does_not_lend_its_number_to_the_next(tool: FakeTool) -> None:
    tool.says(B910)
    nodes(tool, 0, 1)
    meter = opened(npu(number=0))
    lines = B910.splitlines(keepends=True)
    tool.says("".join(lines[:6] + lines[9:]).replace("| 1     910B3", "| 0     910B3"))
    with pytest.raises(MeterUnavailableError, match="none of the devices"):
        meter.read()


def test_a_card_without_its_chip_line_takes_no_other(tool: FakeTool) -> None:
    lines = B910.splitlines(keepends=True)
    chips = parse_chips("".join(lines[:7] + lines[8:]))
    assert [(chip.npu, chip.row.pci_bus_id, chip.row.power_w) for chip in chips] == [
        (0, None, None),
        (1, "0000:01:00.0", 92.5),
    ]
    assert (chips[0].row.raw or "").startswith("no line of its chip: 0 910B3")


def test_the_table_of_processes_is_not_one_of_chips() -> None:
    assert [chip.npu for chip in parse_chips(B910)] == [0, 1]


@pytest.mark.parametrize(
    "text", ["", "npu-smi: Not support\n", "| 0 | 910B | OK |\n", "\udcff|\udcfe|\n", B910[300:700]]
)
def test_output_of_another_form_is_a_reason(tool: FakeTool, text: str) -> None:
    tool.says(text)
    with pytest.raises(MeterUnavailableError, match="no row of a known form"):
        opened(npu("0000:c1:00.0"))
