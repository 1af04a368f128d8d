"""Cambricon's tool, played by a script on PATH; its outputs in tests/data are ours, in the tool's form."""

import os
from pathlib import Path

import pytest

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.smi.cnmon.cards import parse_cards
from hardware.meters.smi.cnmon.cnmon import Cnmon
from hardware.meters.smi.cnmon.driver import DriverCard, driver_cards

DATA = Path(__file__).parents[4] / "data/cnmon"
X4 = (DATA / "two_mlu370_x4.txt").read_text()
X8 = (DATA / "two_mlu370_x8_boards.txt").read_text()
NAMES = ("39", "3d", "b1", "b5")
SERIALS = ("2a10001", "2a10001", "2a10002", "2a10002")


class FakeTool:
    """`cnmon` in a folder that is first on PATH."""

    def __init__(self, folder):
        self.folder, self.script = folder, folder / "cnmon"

    def says(self, text):
        (self.folder / "said.txt").write_text(text)
        self.does(f'[ "$1" = info ] || exit 3\ncat "{self.folder}/said.txt"')

    def does(self, body):
        self.script.write_text(f"#!/bin/sh\n{body}\n")
        self.script.chmod(0o755)


@pytest.fixture
def tool(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return FakeTool(tmp_path)


@pytest.fixture
def root(tmp_path):
    """Where the driver's files are; empty until a test writes some."""
    return tmp_path / "root"


def write_driver(root, serials=SERIALS):
    for number, (bus, serial) in enumerate(zip(NAMES, serials, strict=True)):
        folder = root / f"proc/driver/cambricon/mlus/0000:{bus}:00.0"
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["Device name: MLU370-X8", f"Device inode path: /dev/cambricon_dev{number}", "Device Major: 237"]
        (folder / "information").write_text("\n".join([*lines, f"Board Serial Number: SN/{serial}"]) + "\n")


def mlu(bus="1b", uuid=None, index=0, number=None):
    pci = None if bus is None else f"0000:{bus}:00.0"
    return DeviceIdentity(index=index, uuid=uuid, pci_bus_id=pci, name="MLU370-X4", driver_index=number)


def opened(*devices, root=None, timeout_s=5.0):
    meter = Cnmon(timeout_s=timeout_s)
    if root is not None:
        meter.root = root
    meter.open(devices or [mlu()])
    return meter


def card(text, number):
    """One card's part of an output, and the output without it."""
    head, *parts = text.split("Card ")
    rest = head + "".join(f"Card {part}" for part in parts if not part.startswith(f"{number}\n"))
    return next(f"Card {part}" for part in parts if part.startswith(f"{number}\n")), rest


def test_reads_each_card_by_its_own_address(tool):
    tool.says(X4)
    second, first = opened(mlu("36", index=1), mlu("1b")).read()
    assert (first.source, first.scope, first.power_w, first.temperature_c) == ("0000:1b:00.0", "device", 44.0, 58.0)
    assert (first.utilisation, first.memory_used_bytes, first.clock_mhz) == (0.66, 17320 << 20, 1300.0)
    assert (first.energy_j, first.raw) == (None, None)
    assert (second.power_w, second.temperature_c, second.utilisation, second.memory_used_bytes) == (27.0, 41.0, 0.0, 0)


def test_cards_in_another_order_are_the_same_devices(tool):
    first, rest = card(X4, 0)
    tool.says(rest + first)
    assert [one.power_w for one in opened(mlu("1b"), mlu("36", index=1)).read()] == [44.0, 27.0]


def test_groups_and_lines_in_another_order_are_found_by_name(tool):
    first, rest = card(X4, 0)
    lines = first.splitlines(keepends=True)
    usage = next(place for place, line in enumerate(lines) if "Usage   " in line and "44 W" in line)
    lines[usage], lines[usage + 1] = lines[usage + 1], lines[usage]
    begins = [place for place, line in enumerate(lines) if line.startswith("    ") and line[4] != " "]
    groups = [lines[begin:end] for begin, end in zip(begins, [*begins[1:], len(lines)], strict=True)]
    tool.says(lines[0] + "".join(line for group in reversed(groups) for line in group) + rest)
    reading = opened().read()[0]
    assert (reading.power_w, reading.memory_used_bytes, reading.temperature_c) == (44.0, 17320 << 20, 58.0)


def test_virtual_memory_and_processes_are_not_the_memory_of_the_card(tool):
    first, rest = card(X4, 0)
    start, end = first.index("    Physical Memory"), first.index("    Virtual Memory")
    tool.says(first[:start] + first[end:] + rest)
    assert opened().read()[0].memory_used_bytes is None


def test_a_card_may_be_known_by_its_uuid(tool):
    tool.says(X4)
    reading = opened(mlu(None, "77013006-2457-0000-0000-0000000000b2")).read()[0]
    assert (reading.source, reading.power_w) == ("77013006-2457-0000-0000-0000000000b2", 27.0)


def test_a_number_alone_does_not_name_a_card(tool):
    tool.says(X4)
    with pytest.raises(MeterUnavailableError, match="no row for device device-1"):
        opened(mlu(None, number=1))


def test_versions_without_addresses_are_refused_by_address(tool):
    lines = [line for line in X4.splitlines() if not any(word in line for word in ("PCI", "Domain", "Bus", "Function"))]
    tool.says("\n".join(line for line in lines if "Device  " not in line or "Good" in line))
    with pytest.raises(MeterUnavailableError, match=r"no row for device 0000:1b:00\.0"):
        opened()


@pytest.mark.parametrize("said", ["N/A", "-", ""])
def test_what_is_not_available_is_null(tool, said):
    tool.says(X4.replace(": 44 W", f": {said}").replace(": 58 C", f": {said}").replace(": 66 %\n", f": {said}\n", 1))
    reading = opened().read()[0]
    assert (reading.power_w, reading.temperature_c, reading.utilisation) == (None, None, None)
    assert (reading.memory_used_bytes, reading.raw) == (17320 << 20, None)


@pytest.mark.parametrize("said", ["0 W", "65535 W", "44", "44 V", "4x W", "-44 W", "ERR"])
def test_a_power_that_is_not_understood_is_null_with_its_text(tool, said):
    tool.says(X4)
    meter = opened(mlu(), mlu("36", index=1))
    tool.says(X4.replace(": 44 W", f": {said}"))
    bad, good = meter.read()
    assert (bad.power_w, bad.temperature_c, bad.raw) == (None, 58.0, f"Power/Usage: {said}")
    assert (good.power_w, good.raw) == (27.0, None)


def test_units_are_read_not_assumed(tool):
    tool.says(X4.replace(": 44 W", ": 44250 mW").replace(": 17320 MiB", ": 16 GiB").replace(": 1300 MHz", ": 1.3 GHz"))
    reading = opened().read()[0]
    assert (reading.power_w, reading.memory_used_bytes, reading.clock_mhz) == (44.25, 16 << 30, 1300.0)


def test_two_chips_of_a_board_tell_its_power_once(tool, root):
    write_driver(root)
    tool.says(X8)
    readings = opened(mlu("39"), mlu("3d", index=1), root=root).read()
    assert [(one.source, one.scope, one.power_w) for one in readings] == [
        ("0000:39:00.0", "device", None),
        ("0000:3d:00.0", "device", None),
        ("board-2a10001", "board", 213.0),
    ]
    assert [one.temperature_c for one in readings] == [61.0, 63.0, None]
    assert [one.board for one in readings] == ["board-2a10001", "board-2a10001", None]
    assert readings[-1].shared_by == 2


def test_both_boards_are_read_when_chips_of_both_are_measured(tool, root):
    write_driver(root)
    tool.says(X8)
    readings = opened(mlu("3d"), mlu("b1", index=1), root=root).read()
    boards = {one.source: one.power_w for one in readings if one.scope == "board"}
    assert boards == {"board-2a10001": 213.0, "board-2a10002": 106.0}


def test_the_tools_own_serial_number_names_the_board(tool, root):
    with_serials = X8
    for number, serial in enumerate(SERIALS):
        with_serials = with_serials.replace(f"Card {number}\n", f"Card {number}\n    SN           : 0x00{serial}\n")
    tool.says(with_serials)
    assert opened(mlu("39"), root=root).read()[-1].source == "board-2a10001"


@pytest.mark.parametrize("serials", [None, ("1", "2", "3", "4"), ("7", "7", "7", "7"), ("0", "0", "0", "0")])
def test_power_of_a_board_whose_chips_are_not_known_is_nobodys(tool, root, serials):
    if serials is not None:
        write_driver(root, serials)
    tool.says(X8)
    readings = opened(mlu("39"), mlu("3d", index=1), root=root).read()
    assert [(one.scope, one.power_w) for one in readings] == [("device", None), ("device", None)]
    assert "212 W is that of a board which several chips of MLU370-X8 share" in readings[0].raw
    assert readings[0].temperature_c == 61.0


def test_a_mother_board_does_not_make_one_board_of_its_modules(tool):
    numbered = X4.replace("    Driver  ", "    MotherBoard SN                 : 123456\n    Driver  ", 2)
    tool.says(numbered)
    assert [(one.scope, one.power_w) for one in opened().read()] == [("device", 44.0)]


def test_chips_of_one_board_that_disagree_give_no_power(tool, root):
    write_driver(root)
    tool.says(X8.replace(": 214 W", ": 106 W"))
    board = opened(mlu("39"), root=root).read()[-1]
    assert (board.scope, board.power_w) == ("board", None)
    assert "106" in board.raw and "212" in board.raw


def test_a_shared_sensor_stays_shared_when_the_other_chip_is_lost(tool, root):
    write_driver(root)
    tool.says(X8)
    meter = opened(mlu("39"), mlu("3d", index=1), root=root)
    tool.says(card(X8, 1)[1])
    alive, lost, board = meter.read()
    assert (alive.power_w, alive.temperature_c, lost.power_w) == (None, 61.0, None)
    assert (board.source, board.power_w) == ("board-2a10001", 212.0)
    meter.close()
    meter.open([mlu("39")])
    assert [one.scope for one in meter.read()] == ["device"], "what was seen before closing is forgotten"


def test_one_chip_of_a_board_from_the_start_has_no_power(tool, root):
    write_driver(root)
    tool.says(card(X8, 1)[1])
    readings = opened(mlu("39"), root=root).read()
    assert [(one.scope, one.power_w) for one in readings] == [("device", None)]


def test_a_card_that_falls_off_the_bus_becomes_nulls_then_a_failure(tool):
    tool.says(X4)
    meter = opened(mlu("1b"), mlu("36", index=1))
    tool.says(card(X4, 0)[1])
    lost, alive = meter.read()
    assert (lost.source, lost.power_w, lost.raw, alive.power_w) == (
        "0000:1b:00.0",
        None,
        "0 rows for 0000:1b:00.0",
        27.0,
    )
    tool.says("No MLU devices found\n")
    with pytest.raises(MeterUnavailableError, match="none of the devices is in the output: No MLU devices found"):
        meter.read()


def test_a_card_that_is_there_twice_is_not_believed(tool):
    tool.says(X4)
    meter = opened(mlu("1b"), mlu("36", index=1))
    tool.says(X4 + card(X4, 0)[0].replace("44 W", "45 W"))
    assert [one.power_w for one in meter.read()] == [None, 27.0]


@pytest.mark.parametrize("text", ["", "Usage: cnmon [options]\n", "| 0 | MLU370-X4 |\n", "\x00\x01Card\n", "Card x\n"])
def test_output_of_another_kind_is_a_reason(tool, text):
    tool.says(text)
    with pytest.raises(MeterUnavailableError, match="no row of a known form"):
        opened()


def test_addresses_are_hexadecimal_however_they_are_written():
    text = X4.replace(": 1b", ": 0x1B").replace("Domain ID                  : 0000", "Domain ID                  : 1")
    assert [one.row.pci_bus_id for one in parse_cards(text)] == ["0001:1b:00.0", "0001:36:00.0"]
    assert parse_cards(X4.replace(": 1b", ": N/A"))[0].row.pci_bus_id is None


def test_what_the_driver_tells(root):
    assert driver_cards(root) == []
    write_driver(root, ("2A10001", "0", "", "zz"))
    (root / "proc/driver/cambricon/mlus/not-an-address").mkdir()
    (root / "proc/driver/cambricon/mlus/not-an-address/information").write_text("Device name: MLU\n")
    assert driver_cards(root) == [
        DriverCard(pci_bus_id="0000:39:00.0", number=0, board="2a10001"),
        DriverCard(pci_bus_id="0000:3d:00.0", number=1, board=None),
        DriverCard(pci_bus_id="0000:b1:00.0", number=2, board=None),
        DriverCard(pci_bus_id="0000:b5:00.0", number=3, board=None),
    ]
