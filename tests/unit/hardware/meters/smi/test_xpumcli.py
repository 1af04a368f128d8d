"""Intel's tool, played by a script on PATH; outputs in tests/data/xpumcli are ours, in the tool's documented form."""

import json
import os
from pathlib import Path

import pytest

from hardware.base import DeviceIdentity
from hardware.energy.energy import EnergyReading
from hardware.meters.base import MeterUnavailableError
from hardware.meters.smi.xpumcli.xpumcli import Xpumcli
from hardware.sampling.trace import Trace, TraceWriter
from hardware.sampling.trace_file import row_of

DATA = Path(__file__).parents[4] / "data/xpumcli"
DISCOVERY = (DATA / "discovery_four_cards.json").read_text()
DUMP = (DATA / "dump_four_cards.csv").read_text()
MAX_1100 = ("0000:29:00.0", "00000000-0000-0029-0000-002f0bda8086")
SECOND_1100 = ("0000:3a:00.0", "00000000-0000-003a-0000-002f0bda8086")
TILE_0 = ("0000:9a:00.0", "01000000-0000-009a-0000-002f0bd58086")
TILE_1 = ("0000:9a:00.0", "02000000-0000-009a-0000-002f0bd58086")
CARD_1550 = ("0000:9a:00.0", "00000000-0000-009a-0000-002f0bd58086")
GIB = 1 << 30

SCRIPT = """#!/bin/sh
folder={folder}
echo "$@" >> $folder/calls
case "$1 $2 $4" in
    "discovery -j "*) cat $folder/discovery.json ;;
    "discovery -d -j") cat $folder/device_$3.json ;;
    "dump -d "*) cat $folder/dump.csv ;;
    *) echo "unknown option $1" >&2; exit 1 ;;
esac
"""


class FakeTool:
    def __init__(self, folder, name="xpu-smi"):
        self.folder, self.script = folder, folder / name
        self.says(DUMP)
        for number, tiles in enumerate((1, 1, 2, 2)):
            (folder / f"device_{number}.json").write_text(
                json.dumps({"device_id": number, "number_of_tiles": str(tiles)})
            )
        self.does(SCRIPT.format(folder=folder))

    def says(self, dump, discovery=DISCOVERY):
        (self.folder / "dump.csv").write_text(dump)
        (self.folder / "discovery.json").write_text(discovery)

    def does(self, text):
        self.script.write_text(text)
        self.script.chmod(0o755)

    @property
    def calls(self):
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def tool(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return FakeTool(tmp_path)


def gpu(address, index=0):
    pci, uuid = address
    return DeviceIdentity(index=index, uuid=uuid, pci_bus_id=pci, name="Intel(R) Data Center GPU Max")


def opened(*devices, **options):
    meter = Xpumcli(**options)
    meter.open(devices)
    return meter


def without(number, text=DUMP):
    return "".join(line for line in text.splitlines(keepends=True) if f".000,    {number}, " not in line)


def test_a_card_is_read_in_our_units(tool):
    (reading,) = opened(gpu(MAX_1100)).read()
    assert (reading.source, reading.scope) == (MAX_1100[1], "device")
    assert (reading.power_w, reading.energy_j) == (214.61, None)
    assert (reading.temperature_c, reading.utilisation, reading.clock_mhz) == (46.0, 0.875, 1550.0)
    assert reading.memory_used_bytes == round(20480.5 * (1 << 20))
    assert reading.raw is None


def test_each_device_gets_its_own_row_whatever_the_numbers(tool):
    readings = opened(gpu(SECOND_1100), gpu(MAX_1100, 1)).read()
    assert [one.power_w for one in readings] == [31.25, 214.61]
    assert readings[0].utilisation == 0.0


def test_a_device_may_be_known_by_its_uuid_alone(tool):
    assert opened(gpu((None, SECOND_1100[1].upper()))).read()[0].power_w == 31.25


def test_columns_may_stand_in_another_order(tool):
    lines = [line.split(", ") for line in DUMP.splitlines()]
    order = [5, 1, 3, 0, 6, 2, 4]
    tool.says("\n".join(", ".join(line[at] for at in order) for line in lines))
    (reading,) = opened(gpu(MAX_1100)).read()
    assert (reading.power_w, reading.temperature_c, reading.utilisation) == (214.61, 46.0, 0.875)


def test_names_of_later_versions(tool):
    text = DUMP.replace("GPU Utilization (%)", "Average % utilization of all GPU Engines")
    tool.says(text.replace("(Celsius Degree)", "(C)").replace("DeviceId", "Device ID"))
    (reading,) = opened(gpu(MAX_1100)).read()
    assert (reading.power_w, reading.temperature_c, reading.utilisation) == (214.61, 46.0, 0.875)


def test_two_tiles_share_their_cards_power(tool):
    readings = opened(gpu(TILE_0), gpu(TILE_1, 1)).read()
    assert [(one.source, one.scope, one.power_w) for one in readings] == [
        (TILE_0[1], "device", None),
        (TILE_1[1], "device", None),
        ("board-0000:9a:00.0", "board", 501.75),
    ]
    assert readings[2].shared_by == 2
    assert {one.board for one in readings[:2]} == {"board-0000:9a:00.0"}
    figures = [(one.utilisation, one.memory_used_bytes, one.temperature_c, one.clock_mhz) for one in readings[:2]]
    assert figures == [(None,) * 4] * 2, "sums and means over both tiles belong to neither"


def energy(tmp_path, *devices) -> EnergyReading:
    meter, path = opened(*devices), tmp_path / "power.csv"
    writer = TraceWriter(path)
    for second in range(11):
        for reading in meter.read():
            writer.write(row_of(reading, monotonic_s=second, unix_s=second, meter="xpumcli"))
    writer.close()
    return Trace.load(path).device_energy(0.0, 10.0)


def test_energy_of_both_tiles_is_the_cards_and_of_one_is_unknown(tool, tmp_path, monkeypatch):
    monkeypatch.setattr("hardware.meters.smi.xpumcli.xpumcli.Xpumcli._run", lambda self, *words: answer(tool, words))
    assert energy(tmp_path / "both", gpu(TILE_0), gpu(TILE_1, 1)).joules == pytest.approx(5017.5)
    alone = energy(tmp_path / "one", gpu(TILE_0))
    assert alone.joules is None and "2 devices share the power sensor" in alone.reason
    whole = energy(tmp_path / "whole", gpu(CARD_1550))
    assert (whole.joules, whole.scope) == (pytest.approx(5017.5), "device")


def answer(tool, words):
    """What the script prints, without starting it dozens of times."""
    if words[0] == "dump":
        return (tool.folder / "dump.csv").read_text()
    name = "discovery.json" if words[1] == "-j" else f"device_{words[2]}.json"
    return (tool.folder / name).read_text()


def test_a_whole_card_is_not_asked_for_its_tiles(tool):
    (reading,) = opened(gpu(CARD_1550)).read()
    assert (reading.power_w, reading.scope) == (501.75, "device")
    assert not [call for call in tool.calls if call.startswith("discovery -d")]


def test_a_card_with_an_unknown_number_of_tiles_has_no_power(tool):
    (tool.folder / "device_2.json").write_text('{"error": "device not found"}')
    (reading,) = opened(gpu(TILE_0)).read()
    assert reading.power_w is None and "501.75 W" in reading.raw


def test_values_that_are_not_there_are_null_with_the_text(tool):
    meter = opened(gpu(MAX_1100))
    tool.says(DUMP.replace("87.50, 214.61, 1550, 46.00", " N/A,  N/A,  N/A,  N/A"))
    (reading,) = meter.read()
    assert (reading.power_w, reading.utilisation, reading.temperature_c, reading.clock_mhz) == (None,) * 4
    assert reading.memory_used_bytes == round(20480.5 * (1 << 20))
    assert "GPU Power (W): N/A" in reading.raw


@pytest.mark.parametrize("value", ["0.00", "-3.00", "nan", "twelve", ""])
def test_a_power_no_card_draws_is_null(tool, value):
    tool.says(DUMP.replace("214.61", value))
    assert opened(gpu(MAX_1100)).read()[0].power_w is None


def test_a_unit_that_is_not_known_is_not_guessed(tool):
    tool.says(DUMP.replace("GPU Power (W)", "GPU Power (dBm)"))
    (reading,) = opened(gpu(MAX_1100)).read()
    assert reading.power_w is None and "dBm" in reading.raw
    tool.says(DUMP.replace("GPU Power (W)", "GPU Power (mW)"))
    assert opened(gpu(MAX_1100)).read()[0].power_w == pytest.approx(0.21461)


def test_a_card_that_falls_off_the_bus_takes_no_others_numbers(tool):
    meter = opened(gpu(MAX_1100), gpu(SECOND_1100, 1))
    listed = json.loads(DISCOVERY)["device_list"]
    left = [entry | {"device_id": number} for number, entry in enumerate(listed[1:])]
    moved = DUMP.replace(",    1, ", ",    0, ").replace(",    2, ", ",    1, ").replace(",    3, ", ",    2, ")
    tool.says(
        moved.replace("06:14:46.000,    0, 87.50, 214.61, 1550, 46.00, 20480.50\n", ""),
        json.dumps({"device_list": left}),
    )
    lost, other = meter.read()
    assert (lost.source, lost.power_w) == (MAX_1100[1], None) and "0 rows" in lost.raw
    assert (other.source, other.power_w) == (SECOND_1100[1], 31.25)


def test_a_row_that_is_missing_or_an_error(tool):
    meter = opened(gpu(MAX_1100), gpu(SECOND_1100, 1))
    tool.says(without(0))
    assert [one.power_w for one in meter.read()] == [None, 31.25]
    tool.says(DUMP.replace("0, 87.50, 214.61, 1550, 46.00, 20480.50", "0, ERR"))
    assert [one.power_w for one in meter.read()] == [None, 31.25]
    tool.says("Error: Level Zero Initialization Error\n")
    with pytest.raises(MeterUnavailableError, match="Level Zero Initialization Error"):
        meter.read()


def test_a_device_that_the_tool_does_not_know(tool):
    with pytest.raises(MeterUnavailableError, match="no row for device 00000000-0000-00ff"):
        opened(gpu(("0000:ff:00.0", "00000000-0000-00ff-0000-002f0bda8086")))
    with pytest.raises(MeterUnavailableError, match="no device was named"):
        opened()


def test_remarks_before_the_table_do_not_matter(tool):
    tool.says(f"Warning: some metrics need root\n\n{DUMP}")
    assert opened(gpu(MAX_1100)).read()[0].power_w == 214.61


@pytest.mark.parametrize("text", ["", "hello\nworld, wide\n", "Timestamp, DeviceId\n", "[[[", "{}"])
def test_garbage(tool, text):
    tool.says(text)
    with pytest.raises(MeterUnavailableError, match="no row of a known form"):
        opened(gpu(MAX_1100))
    tool.says(DUMP, text)
    with pytest.raises(MeterUnavailableError, match="no list of devices"):
        opened(gpu(MAX_1100))


def test_the_newer_way_of_asking(tool):
    tool.does(
        f'#!/bin/sh\ncase "$1 $2" in "discovery -j") cat {tool.folder}/discovery.json ;;'
        f' "dump --device") cat {tool.folder}/dump.csv ;;'
        ' *) echo "The following argument was not expected: $2"; exit 2 ;; esac\n'
    )
    assert opened(gpu(MAX_1100)).read()[0].power_w == 214.61


def test_kunlunxins_tool_of_the_same_name_is_recognised(tool):
    tool.does("#!/bin/sh\necho '==============XPUSMI LOG=============='\necho 'Driver Version : 5.0.21.26'\n")
    with pytest.raises(MeterUnavailableError, match="is Kunlunxin's; Intel's is part of XPU Manager"):
        opened(gpu(MAX_1100))
    tool.does("#!/bin/sh\necho 'KUNLUNXIN xpu_smi: invalid option discovery' >&2\nexit 1\n")
    with pytest.raises(MeterUnavailableError, match="is Kunlunxin's"):
        opened(gpu(MAX_1100))


def test_the_tool_with_the_service_is_preferred(tool, tmp_path):
    FakeTool(tmp_path, "xpumcli")
    tool.does("#!/bin/sh\nexit 3\n")
    assert opened(gpu(MAX_1100)).read()[0].power_w == 214.61


def test_closing_forgets_and_costs_are_counted(tool):
    meter = opened(gpu(MAX_1100))
    assert meter.processes_cpu_s() > 0
    meter.close()
    meter.open([gpu(SECOND_1100)])
    assert [one.power_w for one in meter.read()] == [31.25]
