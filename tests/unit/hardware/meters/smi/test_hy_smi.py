"""hy-smi, played by a script on PATH; its outputs in tests/data/hy_smi are ours, in the tool's form."""

import os
from pathlib import Path

import pytest

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.registry import make_meter
from hardware.meters.smi.hy_smi import HySmi, parse_table

DATA = Path(__file__).parents[4] / "data/hy_smi"
JSON = (DATA / "json_two_hcu.txt").read_text()
HCU = (DATA / "table_hcu.txt").read_text()
DCU = (DATA / "table_dcu.txt").read_text()
BUS = (DATA / "bus.txt").read_text()


class FakeTool:
    """`hy-smi` in a folder that is first on PATH: its JSON, its table (no arguments) and `--showbus`."""

    def __init__(self, folder, name="hy-smi"):
        self.folder = folder
        self.script = folder / name

    def says(self, *, machine=None, table="", bus=BUS):
        (self.folder / "json").write_text(machine or "")
        (self.folder / "table").write_text(table)
        (self.folder / "bus").write_text(bus)
        refuse = "echo 'hy-smi: error: unrecognized arguments: --json' >&2; exit 2"
        self.does(
            f'echo "$@" >> "{self.folder}/asked"\n'
            f'case "$*" in *--json) {"cat json" if machine else refuse};; --showbus) cat bus;; "") cat table;; esac'
        )

    def does(self, body):
        self.script.write_text(f'#!/bin/sh\ncd "{self.folder}"\n{body}\n')
        self.script.chmod(0o755)


@pytest.fixture
def tool(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return FakeTool(tmp_path)


def dcu(pci="0000:9f:00.0", index=0, driver_index=None):
    return DeviceIdentity(index=index, uuid=None, pci_bus_id=pci, name="BW", driver_index=driver_index)


def opened(*devices, timeout_s=5.0):
    meter = HySmi(timeout_s=timeout_s)
    meter.open(devices or [dcu()])
    return meter


def test_json_with_missing_commas(tool):
    tool.says(machine=JSON)
    idle, busy = opened(dcu("0000:57:00.0"), dcu(index=1)).read()
    assert (busy.source, busy.scope, busy.power_w, busy.temperature_c) == ("0000:9f:00.0", "device", 291.0, 67.0)
    assert (busy.utilisation, busy.clock_mhz, busy.memory_used_bytes) == (0.985, 1350.0, 61169 << 20)
    assert (busy.energy_j, busy.raw) == (None, None)
    assert (idle.power_w, idle.utilisation, idle.memory_used_bytes) == (84.0, 0.0, 2 << 20)
    assert type(make_meter("hy_smi")) is HySmi


def test_json_of_the_older_tool(tool):
    """`DCU` for `HCU`, VRAM in bytes, values with their units, without quotation marks."""
    tool.says(
        machine='{"card0": {"DCU use (%)": 92%, "VRAM Total Used Memory (B)": 8589934592 '
        '"Temperature (Sensor edge) (C)": 54.0C "Average Graphics Package Power (W)": 132W, "PCI Bus": "0000:9F:00.0"}}'
    )
    reading = opened().read()[0]
    assert (reading.power_w, reading.utilisation, reading.temperature_c) == (132.0, 0.92, 54.0)
    assert (reading.memory_used_bytes, reading.raw) == (8 << 30, None)


@pytest.mark.parametrize(
    ("old", "new", "figure", "raw"),
    [
        ('"HCU use (%)": "98.5"', '"HCU use (%)": "N/A"', "utilisation", None),
        ('"HCU use (%)": "98.5"', '"HCU use (%)": "busy"', "utilisation", "HCU use (%): busy"),
        ('"291.0"', '"0.0"', "power_w", None),
        ('"291.0"', '"ERR"', "power_w", "Average Graphics Package Power (W): ERR"),
        ('"61169"', '"unknown"', "memory_used_bytes", None),
        ("vram Total Used Memory (MiB)", "HCU memory use (%)", "memory_used_bytes", None),
        ('"1350Mhz"', '"1350"', None, None),
    ],
)
def test_a_figure_that_is_not_known_is_null(tool, old, new, figure, raw):
    tool.says(machine=JSON.replace(old, new, 1))
    reading = opened().read()[0]
    assert reading.raw == raw and reading.temperature_c == 67.0
    assert figure is None or getattr(reading, figure) is None


@pytest.mark.parametrize("stray", ['"A": 16 GB ', '"A": , ', '"A": ', '"A" ', "16 ", '"A": "", ', '"A": [1, 2], '])
def test_no_stray_word_shifts_a_number_to_another_name(tool, stray):
    tool.says(machine=JSON.replace('"HCU use (%)": "98.5"', f'{stray}"HCU use (%)": "98.5"', 1))
    reading = opened().read()[0]
    assert (reading.power_w, reading.utilisation, reading.temperature_c) == (291.0, 0.985, 67.0)
    assert (reading.clock_mhz, reading.memory_used_bytes, reading.raw) == (1350.0, 61169 << 20, None)


def test_the_table_where_there_is_no_json(tool):
    tool.says(table=HCU)
    meter = opened(dcu(), dcu("0000:57:00.0", 1))
    first, second = meter.read()
    assert (first.power_w, first.temperature_c, first.utilisation) == (211.0, 62.0, 0.975)
    assert (first.memory_used_bytes, first.raw) == (None, None), "a share of an unknown size is no memory"
    assert (second.power_w, second.utilisation, second.temperature_c, second.raw) == (None, None, 52.0, None)
    asked = (tool.folder / "asked").read_text().splitlines()
    assert sum(line.endswith("--json") for line in asked) == 1, "the form is settled on opening"


def test_columns_of_the_table_by_name():
    rows = parse_table(DCU, {0: "0000:04:00.0"})
    assert [(row.index, row.pci_bus_id, row.power_w, row.utilisation) for row in rows] == [
        (0, "0000:04:00.0", 96.0, 0.0),
        (7, None, 96.0, 0.34),
    ]
    other = "DCU Mode DCU% SCLK AvgPwr VRAM% Temp\n0 Normal 84% 700Mhz 32.0W 20% 46.0c\n"
    row = parse_table(other, {})[0]
    assert (row.power_w, row.utilisation, row.temperature_c, row.clock_mhz) == (32.0, 0.84, 46.0, 700.0)


@pytest.mark.parametrize(
    ("line", "power"),
    [
        ("0 ERR", None),
        ("0 62.0C 211.0W auto 400.0W 94% 97.5% Normal extra", None),
        ("0 62.0C 211.0 auto 400.0W 94% 97.5% Normal", None),
        ("0 211.0W 62.0C auto 400.0W 94% 97.5% Normal", None),
        ("0 62.0C 0.0W auto 400.0W 94% ?? Normal", None),
        ("0 62.0C 211.0W auto 400.0W 94% 250% Normal", 211.0),
    ],
)
def test_a_row_of_the_table_that_is_not_understood_keeps_its_text(line, power):
    header = "HCU Temp AvgPwr Perf PwrCap VRAM% HCU% Mode"
    row = parse_table(f"{header}\n{line}\n", {})[0]
    assert (row.power_w, row.raw) == (power, line)


def test_the_tools_numbers_are_nobodys_else(tool):
    """Without addresses a row belongs to no device: HIP counts in another order, and the driver from 128 on."""
    tool.says(machine=JSON.replace("PCI Bus", "Bus"), table=HCU, bus="")
    for device in (dcu(driver_index=0), dcu(None, driver_index=0)):
        with pytest.raises(MeterUnavailableError, match="no row for device"):
            opened(device)
    tool.says(machine=JSON.replace("PCI Bus", "Bus"), table=HCU)
    assert opened().read()[0].power_w == 211.0, "the table's numbers have addresses"


def test_a_card_that_falls_off_the_bus(tool):
    tool.says(machine=JSON)
    meter = opened(dcu(), dcu("0000:57:00.0", 1))
    tool.says(machine=JSON.replace("0000:9f:00.0", "ERR"))
    lost, alive = meter.read()
    assert (lost.power_w, lost.raw, alive.power_w) == (None, "0 rows for 0000:9f:00.0", 84.0)
    tool.says(machine="{}")
    with pytest.raises(MeterUnavailableError, match="none of the devices is in the output"):
        meter.read()


def test_dtk_before_hy_smi_calls_it_rocm_smi(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    FakeTool(tmp_path, "rocm-smi").says(table=DCU, bus="DCU[7] : PCI Bus: 0000:e3:00.0\n")
    assert opened(dcu("0000:e3:00.0")).read()[0].utilisation == 0.34


def test_the_form_is_found_anew_after_closing(tool):
    tool.says(table=HCU)
    meter = opened()
    meter.close()
    tool.says(machine=JSON)
    meter.open([dcu()])
    assert meter.read()[0].power_w == 291.0
