"""Kunlunxin's tool, played by a script on PATH; its outputs in tests/data are ours, in the tool's form."""

import os
import time
from pathlib import Path

import psutil
import pytest

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.smi.xpu_smi.rows import normal_pci, parse_named, parse_row
from hardware.meters.smi.xpu_smi.xpu_smi import XpuSmi

DATA = Path(__file__).parents[4] / "data"
P800_M = (DATA / "xpu_smi_m_two_p800.txt").read_text()
P800_Q = (DATA / "xpu_smi_q_two_p800.txt").read_text()
K200_M = (DATA / "xpu_smi_m_k200_shared_board.txt").read_text()
OLD_M = (DATA / "xpu_smi_m_without_serial.txt").read_text()


class FakeTool:
    """`xpu_smi` in a folder that is first on PATH."""

    def __init__(self, folder, name="xpu_smi"):
        self.folder = folder
        self.script = folder / name

    def says(self, machine, named=None):
        (self.folder / "m.txt").write_text(machine)
        (self.folder / "q.txt").write_text(named or "")
        refuse = "" if named else 'if [ "$1" = -q ]; then echo "unknown option" >&2; exit 2; fi\n'
        self.does(f'{refuse}cat "{self.folder}/${{1#-}}.txt"')

    def does(self, body):
        self.script.write_text(f"#!/bin/sh\n{body}\n")
        self.script.chmod(0o755)


@pytest.fixture
def tool(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return FakeTool(tmp_path)


def xpu(pci="0000:1a:00.0", uuid=None, index=0):
    return DeviceIdentity(index=index, uuid=uuid, pci_bus_id=pci, name="P800 OAM")


def opened(*devices, timeout_s=5.0):
    meter = XpuSmi(timeout_s=timeout_s)
    meter.open(devices or [xpu()])
    return meter


def swapped(line, one, other):
    """A row with two columns exchanged."""
    fields = line.split(" ")
    fields[one], fields[other] = fields[other], fields[one]
    return " ".join(fields)


def test_reads_a_device_by_the_address_in_its_row(tool):
    tool.says(P800_M, P800_Q)
    second, first = opened(xpu("0000:3b:00.0", "xpu-b"), xpu("00000000:1A:00.0", index=1)).read()
    assert (first.source, first.scope, first.power_w, first.temperature_c) == ("0000:1a:00.0", "device", 112.0, 41.0)
    assert (first.utilisation, first.memory_used_bytes, first.clock_mhz) == (0.87, 20480 << 20, 1450.0)
    assert (first.energy_j, first.raw) == (None, None)
    assert (second.source, second.power_w, second.memory_used_bytes) == ("xpu-b", 86.0, 0)


def test_rows_in_another_order_are_the_same_devices(tool):
    tool.says("".join(reversed(P800_M.splitlines(keepends=True))), P800_Q)
    assert opened(xpu("0000:3b:00.0")).read()[0].power_w == 86.0


def test_the_tool_is_found_under_its_other_name(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    FakeTool(tmp_path, "xpu-smi").says(P800_M)
    assert opened().read()[0].power_w == 112.0


def test_a_device_may_be_known_by_its_serial_number(tool):
    tool.says(P800_M)
    assert opened(xpu(None, "SN0000000000000B")).read()[0].power_w == 86.0


def test_the_older_layout_without_serial_numbers(tool):
    tool.says(OLD_M)
    reading = opened(xpu("0000:5e:00.0")).read()[0]
    assert (reading.power_w, reading.temperature_c, reading.utilisation) == (74.0, 47.0, 0.94)
    assert reading.memory_used_bytes == 28653 << 20
    assert reading.clock_mhz is None  # its parts run at different clocks


def test_the_named_form_tells_milliwatts_from_watts(tool):
    machine = P800_M.replace(" 112 1450", " 112250 1450")
    tool.says(machine, P800_Q)
    assert opened().read()[0].power_w == 112.25
    tool.says(machine)
    assert opened().read()[0].power_w == 112.25  # no board draws 112 kW


def test_a_board_with_one_sensor_for_two_devices_is_counted_once(tool):
    tool.says(K200_M)
    readings = opened(xpu("0000:17:00.0"), xpu("0000:18:00.0", index=1)).read()
    assert [(one.source, one.scope, one.power_w) for one in readings] == [
        ("0000:17:00.0", "device", None),
        ("0000:18:00.0", "device", None),
        ("board-0", "board", 86.125),
    ]
    assert [one.temperature_c for one in readings] == [52.0, 51.0, None]


def test_a_shared_sensor_stays_shared_when_the_other_device_is_lost(tool):
    tool.says(K200_M)
    meter = opened(xpu("0000:17:00.0"))
    tool.says(K200_M.splitlines()[0] + "\n")
    assert [(one.scope, one.power_w) for one in meter.read()] == [("device", None), ("board", 86.125)]


def test_rows_of_one_board_that_disagree_give_no_power(tool):
    tool.says(K200_M.replace("86125", "90000", 1))
    board = opened(xpu("0000:17:00.0")).read()[-1]
    assert (board.scope, board.power_w) == ("board", None)
    assert "different powers" in board.raw


ROW = P800_M.splitlines()[0]
GARBLED = {
    "one column missing": " ".join(ROW.split(" ")[:10] + ROW.split(" ")[11:]),
    "one column more": ROW.replace(" 112 ", " 112 0 "),
    "used and total memory exchanged": swapped(ROW, 17, 18),
    "utilisation and clock exchanged": swapped(ROW, 19, 9),
    "memory and temperature exchanged": swapped(ROW, 17, 4),
    "L3 used and total exchanged": swapped(ROW, 15, 16),
    "serial number and power exchanged": swapped(ROW, 3, 8),
    "firmware in front": swapped(ROW, 20, 4),
    "power not available": ROW.replace(" 112 ", " N/A "),
    "cut off": ROW[:60],
    "open quotation mark": ROW.replace('OAM"', "OAM"),
    "hexadecimal utilisation": ROW.replace(" 87 ", " 0x57 "),
    "negative temperature": ROW.replace(" 41 ", " -41 "),
}


@pytest.mark.parametrize("row", GARBLED.values(), ids=GARBLED.keys())
def test_a_row_that_is_not_understood_gives_nulls_and_the_text(tool, row):
    tool.says(P800_M)
    meter = opened(xpu(), xpu("0000:3b:00.0", index=1))
    tool.says(P800_M.replace(ROW, row))
    bad, good = meter.read()
    assert (bad.source, bad.power_w, bad.temperature_c, bad.memory_used_bytes) == ("0000:1a:00.0", None, None, None)
    assert row.strip() in bad.raw
    assert good.power_w == 86.0


@pytest.mark.parametrize(
    ("machine", "doubt"),
    [
        (P800_M.replace(ROW, swapped(ROW, 4, 8)), "power 41 but -q says 110 W"),
        (P800_M.replace(" 41 0 0 0 ", " 12 0 0 0 "), "temperature 12"),
        (P800_M.replace("20480 98304", "20480 65536"), "memory of 65536"),
    ],
)
def test_columns_that_contradict_the_named_form_are_not_used(tool, machine, doubt):
    tool.says(machine, P800_Q)
    reading = opened().read()[0]
    assert (reading.power_w, reading.temperature_c, reading.memory_used_bytes) == (None, None, None)
    assert doubt in reading.raw


@pytest.mark.parametrize("power", ["0", "65535"])
def test_a_power_no_board_can_have_is_null(tool, power):
    tool.says(P800_M, P800_Q)
    meter = opened()
    tool.says(P800_M.replace(" 112 1450", f" {power} 1450"), P800_Q)
    reading = meter.read()[0]
    assert (reading.power_w, reading.temperature_c) == (None, 41.0)


def test_a_card_that_falls_off_the_bus_becomes_nulls_then_a_failure(tool):
    tool.says(P800_M)
    meter = opened(xpu(), xpu("0000:3b:00.0", index=1))
    tool.says(P800_M.splitlines()[1] + "\n")
    lost, alive = meter.read()
    assert (lost.source, lost.power_w, alive.power_w) == ("0000:1a:00.0", None, 86.0)
    assert "0 rows for 0000:1a:00.0" in lost.raw
    tool.says("")
    with pytest.raises(MeterUnavailableError, match="none of the devices is in the output"):
        meter.read()


def test_a_tool_that_cannot_be_executed_is_a_reason(tool):
    tool.says(P800_M)
    meter = opened()
    tool.script.write_bytes(b"\x7fELF broken")
    with pytest.raises(MeterUnavailableError, match="xpu_smi"):
        meter.read()


def test_a_tool_that_hangs_is_ended_with_its_children(tool):
    tool.says(P800_M)
    meter = opened(timeout_s=0.5)
    tool.does(f"sleep 61 & echo $! > {tool.folder}/pid; wait")
    started_s = time.monotonic()
    with pytest.raises(MeterUnavailableError, match=r"did not answer within 0\.5 s"):
        meter.read()
    assert time.monotonic() - started_s < 30
    child = int((tool.folder / "pid").read_text())
    deadline_s = time.monotonic() + 30
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline_s, "the tool's child still runs"
        time.sleep(0.02)
    tool.says(P800_M)
    assert meter.read()[0].power_w == 112.0


@pytest.mark.parametrize(
    "text", ["", "Usage: xpu-smi [Options]\n", "| 0 | P800 | 41C |\n", "0000:1a:00.0 not a row\n", "\x00\xff"]
)
def test_output_of_another_tool_is_a_reason(tool, text):
    tool.says(text)
    with pytest.raises(MeterUnavailableError, match="no row of a known form"):
        opened()


@pytest.mark.parametrize(
    ("device", "text"),
    [
        (xpu("0000:99:00.0"), "no row for device 0000:99:00.0"),
        (xpu(None, "SN-unknown", index=4), "no row for device SN-unknown: neither its PCI address nor its UUID"),
        (xpu(None), "no row for device"),
    ],
)
def test_a_device_without_a_row_is_refused(tool, device, text):
    tool.says(P800_M)
    with pytest.raises(MeterUnavailableError, match=text):
        opened(device)


def test_the_named_form_is_read_by_name_and_section():
    named = parse_named(P800_Q)
    assert set(named) == {"0000:1a:00.0", "0000:3b:00.0"}
    one = named["0000:1a:00.0"]
    assert (one.power_w, one.temperature_c, one.memory_total_mib) == (110.0, 41.0, 98304.0)
    assert parse_named("no sections") == {}
    twice = P800_Q.replace("Power Draw ", "Power Draw : 5 W\n        Power Draw ", 1)
    assert parse_named(twice)["0000:1a:00.0"].power_w is None


@pytest.mark.parametrize(
    ("text", "normal"),
    [("00000000:1A:00.0", "0000:1a:00.0"), ("1a:00.0", "0000:1a:00.0"), ("0001:1a:00.0", "0001:1a:00.0"), ("x", None)],
)
def test_pci_addresses_have_one_form(text, normal):
    assert normal_pci(text) == normal


def test_every_recorded_row_is_understood():
    for text in (P800_M, K200_M, OLD_M):
        assert all(parse_row(line) is not None for line in text.splitlines())
