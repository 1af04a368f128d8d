"""ipmitool, played by a script on PATH; outputs in tests/data/ipmi are ours, in the tool's form."""

import os
import time
from pathlib import Path

import pytest

from hardware.meters.base import MeterUnavailableError
from hardware.meters.node.ipmi import Ipmi, dcmi_watts, sensor_watts

DATA = Path(__file__).parents[4] / "data/ipmi"
DCMI = (DATA / "dcmi_power_reading.txt").read_text()
DELL = (DATA / "sdr_elist_dell.txt").read_text()
PARTS = (DATA / "sdr_elist_parts_only.txt").read_text()
SENSOR = (DATA / "sdr_get_pwr_consumption.txt").read_text()
NO_DCMI = "DCMI request failed because: Invalid command (c1)"


class FakeTool:
    """`ipmitool` that answers each question with a file, and with an error where there is none."""

    def __init__(self, folder):
        self.folder = folder
        self.script = folder / "ipmitool"
        self.does(
            f'echo "$*" >> {folder}/calls\n'
            f'file="{folder}/$1_$2"\nif [ -f "$file" ]; then cat "$file"; else echo "{NO_DCMI}" >&2; exit 1; fi'
        )

    def does(self, body):
        self.script.write_text(f"#!/bin/sh\n{body}\n")
        self.script.chmod(0o755)

    def says(self, **answers):
        for question, text in answers.items():
            (self.folder / question).write_text(text)

    @property
    def calls(self):
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def tool(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return FakeTool(tmp_path)


def opened(**options):
    meter = Ipmi(**options)
    meter.open([])
    return meter


def test_dcmi_tells_the_power_of_now(tool):
    tool.says(dcmi_power=DCMI)
    (reading,) = opened().read()
    assert (reading.source, reading.scope, reading.power_w) == ("node", "node", 1346.0)
    assert reading.raw is None and reading.energy_j is None
    assert set(tool.calls) == {"dcmi power reading"}


def test_the_sensor_with_a_known_name_is_read_where_dcmi_is_missing(tool):
    tool.says(sdr_elist=DELL, sdr_get=SENSOR)
    meter = opened()
    assert meter.read()[0].power_w == 861.0
    assert tool.calls == ["dcmi power reading", "sdr elist", "sdr get Pwr Consumption"]


@pytest.mark.parametrize(
    "line",
    [
        "System Level     | 98h | ok  |  7.1 | 287 Watts",
        "Power Meter      | 2Ah | ok  |  7.6 | 100 Watts, Device Enabled",
        "POWER_USAGE      | AEh | ok  |  7.0 | 128 Watts",
        "Total_Power      | 2Ch | nc  | 23.0 | 165 Watts",
        "SYS_POWER        | E8h | ok  |  7.1 | 175 Watts",
        "Sys Power        | 40h | ok  |  7.1 | 340 Watts",
    ],
)
def test_each_makers_name(tool, line):
    tool.says(sdr_elist=f"{PARTS}{line}\n", sdr_get=SENSOR)
    assert opened().read()[0].power_w == 861.0
    assert tool.calls[-1] == f"sdr get {line.split('|')[0].strip()}"


def test_neither_the_sum_nor_the_largest_of_other_sensors_is_the_nodes_power(tool):
    tool.says(sdr_elist=PARTS)
    with pytest.raises(MeterUnavailableError, match="none is known to be the node's whole power: CPU_Power, MEM_Power"):
        opened()


def test_two_sensors_with_such_names_are_refused(tool):
    tool.says(sdr_elist=f"{DELL}Power Meter      | 2Ah | ok  |  7.1 | 700 Watts\n")
    with pytest.raises(MeterUnavailableError, match=r"several sensors .*: Pwr Consumption, Power Meter"):
        opened()


@pytest.mark.parametrize("reading", ["No Reading", "Not Available", "Disabled", "0 Watts", ""])
def test_a_named_sensor_without_a_reading_is_a_reason(tool, reading):
    tool.says(sdr_elist=f"{PARTS}Pwr Consumption  | 77h | ns  |  7.1 | {reading}\n")
    with pytest.raises(MeterUnavailableError, match="the sensor Pwr Consumption tells no power"):
        opened()


def test_a_controller_without_any_watts_says_both_reasons(tool):
    tool.says(sdr_elist="Fan1 RPM         | 30h | ok  |  7.1 | 3720 RPM\nnonsense\n")
    with pytest.raises(MeterUnavailableError, match=r"Invalid command \(c1\); no sensor tells watts"):
        opened()


def test_dcmi_that_does_not_measure_is_not_believed(tool):
    tool.says(dcmi_power=DCMI.replace("  activated", "  deactivated"), sdr_elist=DELL, sdr_get=SENSOR)
    assert opened().read()[0].power_w == 861.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        DCMI.replace("1346 Watts", "0 Watts"),
        DCMI.replace("1346 Watts", "65535 Watts"),
        DCMI.replace("1346 Watts", "N/A"),
        DCMI.replace("1346 Watts", "1346 BTU/h"),
        DCMI.replace("Instantaneous", "Instant"),
        DCMI + DCMI,
    ],
)
def test_dcmi_texts_that_mean_nothing(tool, text):
    assert dcmi_watts(text) is None
    tool.says(dcmi_power=DCMI)
    meter = opened()
    tool.says(dcmi_power=text)
    (reading,) = meter.read()
    assert reading.power_w is None and reading.raw


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("861 (+/- 0) Watts", "No Reading"),
        ("861 (+/- 0) Watts", "Not Available"),
        ("861 (+/- 0) Watts", "861 (+/- 0) Volts"),
        ("861 (+/- 0) Watts", "0 (+/- 0) Watts"),
        (": ok", ": ns"),
        ("Sensor Reading ", "Sensor Value "),
    ],
)
def test_sensor_texts_that_mean_nothing(old, new):
    assert sensor_watts(SENSOR) == 861.0
    assert old in SENSOR
    assert sensor_watts(SENSOR.replace(old, new)) is None


def test_a_tolerance_is_no_part_of_the_number():
    assert sensor_watts(SENSOR.replace("861 (+/- 0)", "861.500 (+/- 4.2)")) == 861.5


def test_without_a_driver_or_permission_it_says_what_to_do(tool):
    start = "Could not open device at /dev/ipmi0 or /dev/ipmi/0 or /dev/ipmidev/0"
    tool.does(f'echo "{start}: No such file or directory" >&2; exit 1')
    with pytest.raises(MeterUnavailableError, match="no IPMI driver: load ipmi_si and ipmi_devintf"):
        opened()
    tool.does(f'echo "{start}: Permission denied" >&2; exit 1')
    with pytest.raises(MeterUnavailableError, match="no permission to ask the controller; run as root"):
        opened()


def test_a_tool_that_is_missing_or_hangs(tool, tmp_path, monkeypatch):
    tool.does("sleep 60")
    began = time.monotonic()
    with pytest.raises(MeterUnavailableError, match=r"ipmi: .* did not answer within 0\.3 s"):
        opened(timeout_s=0.3)
    assert time.monotonic() - began < 30, "a controller that hangs is not asked for its list of sensors too"
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(MeterUnavailableError, match="ipmi: ipmitool is not on PATH"):
        opened()


def test_a_controller_that_stops_answering(tool):
    tool.says(dcmi_power=DCMI)
    meter = opened()
    tool.does('echo "Unable to send command: Device or resource busy" >&2; exit 1')
    with pytest.raises(MeterUnavailableError, match="Device or resource busy"):
        meter.read()
    assert meter.processes_cpu_s() > 0
