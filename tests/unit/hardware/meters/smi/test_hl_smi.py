"""Habana's tool, played by a script on PATH; its outputs in tests/data are ours, in the tool's form."""

import os
from pathlib import Path

import pytest

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.smi.hl_smi import HlSmi

DATA = Path(__file__).parents[4] / "data/hl_smi"
GAUDI2 = (DATA / "two_gaudi2.csv").read_text()
BARE = (DATA / "two_gaudi_without_units.csv").read_text()
UUID = "01P0-HL2080A0-15-TNBS63-17-05-09"


class FakeTool:
    """`hl-smi` in a folder that is first on PATH."""

    def __init__(self, folder):
        self.folder, self.script = folder, folder / "hl-smi"

    def says(self, text, *, knows_clock=True):
        (self.folder / "said.txt").write_text(text)
        refuse = (
            "" if knows_clock else 'case "$2" in *clocks*) echo "Invalid query: clocks.current.soc"; exit 1;; esac\n'
        )
        check = '[ "$1" = -Q ] && [ "$3 $4" = "-f csv" ] || exit 3\n'
        self.does(f'{check}{refuse}cat "{self.folder}/said.txt"')

    def does(self, body):
        self.script.write_text(f"#!/bin/sh\n{body}\n")
        self.script.chmod(0o755)


@pytest.fixture
def tool(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return FakeTool(tmp_path)


def gaudi(pci="0000:4d:00.0", uuid=None, index=0):
    return DeviceIdentity(index=index, uuid=uuid, pci_bus_id=pci, name="GAUDI2")


def opened(*devices, timeout_s=5.0):
    meter = HlSmi(timeout_s=timeout_s)
    meter.open(devices or [gaudi()])
    return meter


def columns(text, order):
    """The table with its columns in another order."""
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    return "\n".join(", ".join(row[place] for place in order) for row in rows) + "\n"


def test_reads_each_gaudi_by_its_own_address(tool):
    tool.says(GAUDI2)
    second, first = opened(gaudi("0000:33:00.0", index=1), gaudi("0000:4D:00.0")).read()
    assert (first.source, first.scope, first.power_w, first.temperature_c) == ("0000:4d:00.0", "device", 412.0, 51.0)
    assert (first.utilisation, first.memory_used_bytes, first.clock_mhz) == (0.87, 60416 << 20, 1600.0)
    assert (first.energy_j, first.raw) == (None, None)
    assert (second.power_w, second.utilisation, second.memory_used_bytes) == (96.0, 0.0, 768 << 20)


def test_units_may_stand_in_the_header_alone(tool):
    tool.says(BARE, knows_clock=False)
    reading = opened(gaudi("0000:1a:00.0")).read()[0]
    assert (reading.power_w, reading.temperature_c, reading.utilisation) == (103.0, 32.0, 0.15)
    assert (reading.memory_used_bytes, reading.clock_mhz, reading.raw) == (512 << 20, None, None)


def test_a_number_without_any_unit_is_not_understood(tool):
    tool.says(BARE.replace("power.draw [W]", "power.draw"), knows_clock=False)
    reading = opened(gaudi("0000:1a:00.0")).read()[0]
    assert (reading.power_w, reading.temperature_c, reading.raw) == (None, 32.0, "power.draw: 103")


def test_other_units_in_the_header_are_honoured(tool):
    turned = BARE.replace("power.draw [W]", "power.draw [mW]").replace(", 103,", ", 103250,")
    tool.says(turned.replace("memory.used [MiB]", "memory.used [GiB]"), knows_clock=False)
    reading = opened(gaudi("0000:1a:00.0")).read()[0]
    assert (reading.power_w, reading.memory_used_bytes) == (103.25, 512 << 30)


def test_columns_in_another_order_are_found_by_name(tool):
    tool.says(columns(GAUDI2, (7, 3, 2, 6, 0, 5, 4, 1)))
    reading = opened().read()[0]
    assert (reading.power_w, reading.temperature_c, reading.clock_mhz) == (412.0, 51.0, 1600.0)


def test_rows_in_another_order_are_the_same_devices(tool):
    header, first, second = GAUDI2.splitlines()
    tool.says("\n".join([header, second, first]))
    assert opened().read()[0].power_w == 412.0


def test_a_gaudi_may_be_known_by_its_uuid(tool):
    tool.says(GAUDI2)
    assert opened(gaudi(None, UUID)).read()[0].power_w == 96.0


def test_every_gaudi_has_a_power_of_its_own(tool):
    tool.says(GAUDI2)
    readings = opened(gaudi(), gaudi("0000:33:00.0", index=1)).read()
    assert [(one.scope, one.power_w) for one in readings] == [("device", 412.0), ("device", 96.0)]


def test_lines_before_the_header_are_passed_over(tool):
    tool.says("Warning: driver and tool differ in version, update one\n" + GAUDI2)
    assert opened().read()[0].power_w == 412.0


@pytest.mark.parametrize("said", ["N/A", "[Not Supported]", ""])
def test_what_is_not_available_is_null(tool, said):
    tool.says(GAUDI2.replace("412 W", said).replace("51 C", said).replace("87 %", said))
    reading = opened().read()[0]
    assert (reading.power_w, reading.temperature_c, reading.utilisation, reading.raw) == (None, None, None, None)
    assert reading.memory_used_bytes == 60416 << 20


@pytest.mark.parametrize("said", ["0 W", "65535 W", "412 V", "-412 W", "ERR", "4l2 W"])
def test_a_power_that_is_not_understood_is_null_with_its_text(tool, said):
    tool.says(GAUDI2)
    meter = opened(gaudi(), gaudi("0000:33:00.0", index=1))
    tool.says(GAUDI2.replace("412 W", said))
    bad, good = meter.read()
    assert (bad.power_w, bad.temperature_c, bad.raw) == (None, 51.0, f"power.draw [W]: {said}")
    assert (good.power_w, good.raw) == (96.0, None)


def test_a_column_that_is_missing_is_null(tool):
    tool.says(columns(GAUDI2, (0, 1, 2, 4)))
    reading = opened().read()[0]
    assert (reading.power_w, reading.temperature_c, reading.utilisation) == (None, 51.0, None)


def test_a_card_that_falls_off_the_bus_becomes_nulls_then_a_failure(tool):
    tool.says(GAUDI2)
    meter = opened(gaudi(), gaudi("0000:33:00.0", index=1))
    header, first, second = GAUDI2.splitlines()
    tool.says(f"{header}\n{second}\n")
    lost, alive = meter.read()
    assert (lost.source, lost.power_w, lost.raw) == ("0000:4d:00.0", None, "0 rows for 0000:4d:00.0")
    assert alive.power_w == 96.0
    tool.says(f"{header}\n{first.replace('0000:4d:00.0', 'ERR')}\n{second}\n")
    assert [one.power_w for one in meter.read()] == [None, 96.0]
    tool.says(f"{header}\n{first[:40]}\n{second}\n")
    assert [one.power_w for one in meter.read()] == [None, 96.0]
    tool.says(header)
    with pytest.raises(MeterUnavailableError, match="none of the devices is in the output"):
        meter.read()


@pytest.mark.parametrize(
    "text", ["", "Usage: hl-smi [options]\n", "412 W, 51 C\n", "name, power.draw [W]\nx, 412 W\n", "\x00"]
)
def test_output_of_another_kind_is_a_reason(tool, text):
    tool.says(text)
    with pytest.raises(MeterUnavailableError, match="no row of a known form"):
        opened()
