"""rocm-smi, played by a script on PATH; its outputs in tests/data/rocm_smi are ours, in the tool's form."""

import json
import os
from pathlib import Path

import pytest

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.registry import make_meter
from hardware.meters.smi.rocm_rows import parse_cards
from hardware.meters.smi.rocm_smi import RocmSmi

DATA = Path(__file__).parents[4] / "data/rocm_smi"
MI300X = (DATA / "mi300x_two.json").read_text()
MI250X = (DATA / "mi250x_four_dies.json").read_text()


class FakeTool:
    """`rocm-smi` in a folder that is first on PATH."""

    def __init__(self, folder):
        self.folder = folder
        self.script = folder / "rocm-smi"

    def says(self, text, status=0):
        (self.folder / "out.json").write_text(text)
        self.does(f'echo "$@" > "{self.folder}/asked"; cat "{self.folder}/out.json"; exit {status}')

    def does(self, body):
        self.script.write_text(f"#!/bin/sh\n{body}\n")
        self.script.chmod(0o755)


@pytest.fixture
def tool(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return FakeTool(tmp_path)


def gpu(pci="0000:76:00.0", uuid=None, index=0):
    return DeviceIdentity(index=index, uuid=uuid, pci_bus_id=pci, name="AMD Instinct MI300X")


def opened(*devices, timeout_s=5.0):
    meter = RocmSmi(timeout_s=timeout_s)
    meter.open(devices or [gpu()])
    return meter


def changed(card="card0", text=MI300X, remove=(), fields=None):
    """The output with fields of one card changed."""
    cards = json.loads(text)
    cards[card] |= fields or {}
    for name in remove:
        del cards[card][name]
    return json.dumps(cards)


def test_every_figure_of_a_device_found_by_its_address(tool):
    tool.says(MI300X)
    second, first = opened(gpu("0000:06:00.0", "GPU-b"), gpu(index=1)).read()
    assert (first.source, first.scope, first.power_w, first.energy_j) == ("0000:76:00.0", "device", 412.0, 225.0000005)
    assert (first.temperature_c, first.utilisation, first.clock_mhz) == (61.0, 0.97, 2092.0)
    assert (first.memory_used_bytes, first.raw, first.throttle) == (40 << 30, None, None)
    assert (second.source, second.power_w, second.utilisation) == ("GPU-b", 131.0, 0.0)
    assert (tool.folder / "asked").read_text().split()[-1] == "--json"
    assert type(make_meter("rocm_smi")) is RocmSmi


def test_a_device_without_an_address_is_found_by_uuid(tool):
    tool.says(changed(remove=["PCI Bus"], text=changed("card1", remove=["PCI Bus"])))
    assert opened(gpu(None, "GPU-1b2d4f6081a3c5e7")).read()[0].power_w == 131.0


def test_cards_and_fields_in_another_order(tool):
    cards = json.loads(MI300X)
    tool.says(json.dumps({name: dict(reversed(cards[name].items())) for name in reversed(cards)}))
    assert opened().read()[0].power_w == 412.0


def test_warnings_around_the_object_and_a_status_that_says_one_field_failed(tool):
    """rocm_smi.py ends with 2 when a chip lacks one of the sensors asked for, having printed all the others."""
    tool.says(f"WARNING: AMD GPU device(s) is/are in a low-power state {{x}}\n\n{MI300X}\nbye }}\n", status=2)
    assert opened().read()[0].power_w == 412.0


@pytest.mark.parametrize(
    ("fields", "watts", "raw"),
    [
        ({"Average Graphics Package Power (W)": "89.0"}, 89.0, None),
        ({"Average Graphics Package Power (W)": 89}, 89.0, None),
        ({"Average Graphics Package Power (W)": "N/A"}, None, None),
        ({"Average Graphics Package Power (W)": "N/A (Secondary die)"}, None, None),
        ({"Average Graphics Package Power (W)": "0.0"}, None, None),
        ({"Average Graphics Package Power (W)": "65535"}, None, "Average Graphics Package Power (W): 65535"),
        ({"Average Graphics Package Power (W)": "ERR"}, None, "Average Graphics Package Power (W): ERR"),
        ({"Average Graphics Package Power (W)": "-5"}, None, "Average Graphics Package Power (W): -5"),
        ({"Some Other Power (W)": "89.0"}, None, None),
    ],
)
def test_power_by_the_names_of_all_versions(tool, fields, watts, raw):
    tool.says(changed(remove=["Current Socket Graphics Package Power (W)"], fields=fields))
    reading = opened().read()[0]
    assert (reading.power_w, reading.raw) == (watts, raw)
    assert reading.temperature_c == 61.0


@pytest.mark.parametrize(
    ("fields", "figure", "value"),
    [
        ({"Temperature (Sensor junction) (C)": "N/A", "Temperature (Sensor edge) (C)": "52.0"}, "temperature_c", 52.0),
        ({"Temperature (Sensor junction) (C)": "511"}, "temperature_c", None),
        ({"GPU use (%)": "N/A"}, "utilisation", None),
        ({"GPU use (%)": "101"}, "utilisation", None),
        ({"sclk clock speed:": "1269Mhz"}, "clock_mhz", 1269.0),
        ({"sclk clock speed:": "(None)"}, "clock_mhz", None),
        ({"VRAM Total Used Memory (B)": "N/A"}, "memory_used_bytes", None),
        ({"Accumulated Energy (uJ)": "0.0"}, "energy_j", None),
        ({"Accumulated Energy (uJ)": "962825096297442.9"}, "energy_j", pytest.approx(962825096.2974429)),
        ({"sclk clock speed": "(99Mhz)"}, "clock_mhz", None),  # the field stands twice and disagrees
    ],
)
def test_a_figure_that_is_not_known_is_null(tool, fields, figure, value):
    tool.says(changed(fields=fields))
    reading = opened().read()[0]
    assert getattr(reading, figure) == value and reading.power_w == 412.0


def test_two_dies_of_one_board_tell_its_power_once(tool):
    tool.says(MI250X)
    devices = [gpu(f"0000:{bus}:00.0", index=i) for i, bus in enumerate(("c1", "c6", "c9", "ce"))]
    readings = opened(*devices).read()
    told = [(one.source, one.scope, one.power_w, one.energy_j, one.board, one.shared_by) for one in readings]
    assert told == [
        ("0000:c1:00.0", "device", None, None, "board-0000:c1:00.0", None),
        ("0000:c6:00.0", "device", None, None, "board-0000:c1:00.0", None),
        ("0000:c9:00.0", "device", None, None, "board-0000:ce:00.0", None),
        ("0000:ce:00.0", "device", None, None, "board-0000:ce:00.0", None),
        ("board-0000:c1:00.0", "board", 489.0, None, None, 2),
        ("board-0000:ce:00.0", "board", 95.0, None, None, 2),
    ]
    assert [one.utilisation for one in readings[:4]] == [0.99] * 4


def test_boards_stay_as_they_were_when_a_die_is_lost(tool):
    """Without its die c6 the board c1 must not take the next board's die for its own."""
    tool.says(MI250X)
    meter = opened(gpu("0000:c1:00.0"), gpu("0000:c6:00.0", index=1), gpu("0000:c9:00.0", index=2))
    cards = json.loads(MI250X)
    del cards["card1"], cards["card3"]
    tool.says(json.dumps(cards))
    first, second, third, *boards = meter.read()
    assert (first.board, second.raw, third.power_w) == ("board-0000:c1:00.0", "0 rows for 0000:c6:00.0", None)
    assert [(one.source, one.power_w) for one in boards] == [("board-0000:c1:00.0", 489.0)]


def test_dies_that_cannot_be_paired_tell_no_power(tool):
    hidden = json.loads(MI250X)
    del hidden["card1"]
    tool.says(json.dumps(hidden))
    reading = opened(gpu("0000:c1:00.0")).read()[0]
    assert (reading.power_w, reading.raw) == (None, "it is unclear which die tells its power")
    tool.says(changed(text=MI250X, remove=["GPU ID"]))
    assert opened(gpu("0000:c1:00.0")).read()[0].power_w is None, "it may be a die of a board, and tell for two"


def test_a_secondary_die_elsewhere_does_not_touch_single_dies(tool):
    """rocm-smi calls some idle graphics cards a secondary die (rocm_smi_lib issue 149): no board is made of that."""
    tool.says(changed("card1", fields={"Current Socket Graphics Package Power (W)": "N/A (Secondary die)"}))
    readings = opened(gpu(), gpu("0000:06:00.0", index=1)).read()
    assert [(one.scope, one.power_w) for one in readings] == [("device", 412.0), ("device", None)]


def test_a_partitioned_gpu_tells_no_device_its_power(tool):
    tool.says(changed(fields={"Compute Partition": "CPX"}))
    reading = opened().read()[0]
    assert (reading.power_w, reading.energy_j, reading.temperature_c) == (None, None, 61.0)
    assert "Compute Partition: CPX" in reading.raw


def test_a_card_that_falls_off_the_bus(tool):
    tool.says(MI300X)
    meter = opened(gpu(), gpu("0000:06:00.0", index=1))
    tool.says(json.dumps({"card1": json.loads(MI300X)["card1"]}))
    lost, alive = meter.read()
    assert (lost.power_w, lost.raw, alive.power_w) == (None, "0 rows for 0000:76:00.0", 131.0)
    tool.says('{"system": {"Driver version": "6.7.0"}}')
    with pytest.raises(MeterUnavailableError, match="none of the devices is in the output"):
        meter.read()


def test_an_output_that_is_cut_off_keeps_whole_cards_only(tool):
    tool.says(MI300X)
    meter = opened(gpu(), gpu("0000:06:00.0", index=1))
    tool.says(MI300X[:-30])
    first, second = meter.read()
    assert (first.power_w, second.power_w) == (412.0, None)


@pytest.mark.parametrize(
    "text", ["", "ERROR: No DRM devices available. Exiting", "{}", '{"card0": {"PCI Bus": "0000', "\x00\xff{", "[1]"]
)
def test_output_of_another_kind_is_a_reason(tool, text):
    tool.says(text)
    with pytest.raises(MeterUnavailableError, match=r"rocm_smi: no row of a known form in the output"):
        opened()


def test_an_error_is_told_by_the_tool_itself(tool):
    tool.does("echo 'Driver not initialized (amdgpu not found in modules)' >&2; exit 1")
    with pytest.raises(MeterUnavailableError, match="Driver not initialized"):
        opened()
    tool.does("exit 127")
    with pytest.raises(MeterUnavailableError, match=f"{tool.script} ended with"):
        opened()


@pytest.mark.parametrize("device", [gpu("0000:99:00.0"), gpu(None, "GPU-0"), gpu(None)])
def test_a_device_without_a_row_is_refused(tool, device):
    tool.says(MI300X)
    with pytest.raises(MeterUnavailableError, match="no row for device"):
        opened(device)


def test_the_same_address_twice_is_refused(tool):
    tool.says(changed("card1", fields={"PCI Bus": "0000:76:00.0"}))
    with pytest.raises(MeterUnavailableError, match="2 rows for device"):
        opened()


def test_text_is_read_as_json_reads_it():
    for text in (MI300X, MI250X):
        cards = {f"card{card.number}": card.values for card in parse_cards(text)}
        wanted = {name: card for name, card in json.loads(text).items() if name.startswith("card")}
        assert cards.keys() == wanted.keys()
        for name, card in wanted.items():
            assert cards[name] == {key.rstrip(":").casefold(): value for key, value in card.items()}
