"""Moore Threads' tool, played by a script on PATH; its outputs in tests/data are ours, in the tool's two forms."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.device_numbers import driver_numbers
from hardware.meters.smi.mthreads_gmi import MthreadsGmi

DATA = Path(__file__).parents[4] / "data/mthreads_gmi"
JSON = (DATA / "q_json_two_s5000.json").read_text()
TEXT = (DATA / "q_two_s4000.txt").read_text()
MIB = 1 << 20


class FakeTool:
    """`mthreads-gmi` in a folder that is first on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def says(self, *, as_json: str | None = None, text: str | None = None) -> None:
        (self.folder / "json.txt").write_text(as_json or "")
        (self.folder / "text.txt").write_text(text or "")
        refuse = "echo 'Error: unrecognized option --json'; exit 1"  # on standard output, as the tool does
        known = f'cat "{self.folder}/json.txt"' if as_json is not None else refuse
        self.does(f'case "$*" in "-q --json") {known};; "-q") cat "{self.folder}/text.txt";; *) exit 9;; esac')

    def does(self, body: str) -> None:
        script = self.folder / "mthreads-gmi"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTool:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(MthreadsGmi, "device_root", tmp_path)
    return FakeTool(tmp_path)


def gpu(pci: str | None = None, *, number: int | None = None, uuid: str | None = None) -> DeviceIdentity:
    return DeviceIdentity(index=0, uuid=uuid, pci_bus_id=pci, name="MTT S5000", driver_index=number)


def opened(*devices: DeviceIdentity, timeout_s: float = 5.0) -> MthreadsGmi:
    meter = MthreadsGmi(timeout_s=timeout_s)
    meter.open(devices)
    return meter


def changed(**values: Any) -> str:
    """The JSON with other sections in the first GPU."""
    document = json.loads(JSON)
    for name, value in values.items():
        document["GPU"][0][name.replace("_", " ")] = value
    return json.dumps(document)


def test_reads_a_gpu_by_the_address_in_its_entry(tool: FakeTool) -> None:
    tool.says(as_json=JSON)
    second, first = opened(gpu("0000:3a:00.0", uuid="gpu-b"), gpu("0000:2a:00.0")).read()
    assert (first.source, first.scope, first.power_w, first.temperature_c) == ("0000:2a:00.0", "device", 367.49, 52.0)
    assert (first.utilisation, first.memory_used_bytes, first.clock_mhz) == (0.42, 1024 * MIB, 1750.0)
    assert (first.energy_j, first.board, first.raw) == (None, None, None)
    assert (second.source, second.power_w, second.memory_used_bytes, second.utilisation) == ("gpu-b", 96.66, 0, 0.0)


def test_an_older_tool_is_read_in_its_text_form(tool: FakeTool) -> None:
    tool.says(text=TEXT)
    first, second = opened(gpu("0000:08:00.0"), gpu("0000:09:00.0")).read()
    assert (first.power_w, first.temperature_c, first.utilisation) == (109.51, 45.0, 0.07)
    assert (first.memory_used_bytes, first.clock_mhz, first.raw) == (8 * MIB, 1665.0, None)
    assert (second.power_w, second.temperature_c) == (107.55, 44.0)


def test_a_gpu_by_its_uuid(tool: FakeTool) -> None:
    tool.says(text=TEXT)
    assert opened(gpu(uuid="00000000-0000-1475-893c-0000000000bb")).read()[0].power_w == 107.55


@pytest.mark.parametrize("here", [(0, 1), (3, 5)], ids=["the machine", "a container whose tool counts from 0"])
def test_a_gpu_by_its_number(tool: FakeTool, here: tuple[int, int]) -> None:
    tool.says(as_json=JSON)
    (tool.folder / "dev").mkdir()
    for number in here:
        (tool.folder / f"dev/mtgpu.{number}").touch()
    assert opened(gpu(number=here[1])).read()[0].power_w == 96.66


def test_a_number_that_may_mean_another_gpu_is_refused(tool: FakeTool) -> None:
    tool.says(as_json=JSON)
    with pytest.raises(MeterUnavailableError, match="no row for device device-1"):
        opened(gpu(number=1))


@pytest.mark.parametrize(
    ("listed", "nodes", "expected"),
    [
        ([0, 1], [0, 1], {0: 0, 1: 1}),
        ([5, 2], [2, 5], {2: 2, 5: 5}),
        ([1, 0], [2, 5], {0: 2, 1: 5}),
        ([0, 2], [0, 1, 2], {}),
        ([1, 2], [0, 1], {}),
        ([0, 0], [0, 1], {}),
        ([0, None], [0, 1], {}),
        ([], [], {}),
    ],
)
def test_numbers_of_a_tool_and_of_a_driver(
    listed: list[int | None], nodes: list[int], expected: dict[int, int]
) -> None:
    assert driver_numbers(listed, nodes) == expected


@pytest.mark.parametrize("untold", ["N/A", "NA", "[Not Supported]", "-", ""])
def test_what_the_tool_does_not_tell_is_null(tool: FakeTool, untold: str) -> None:
    tool.says(as_json=changed(Power_Readings={"Power Draw ": untold}, Clocks={}, Utilization=None))
    reading = opened(gpu("0000:2a:00.0")).read()[0]
    assert (reading.power_w, reading.clock_mhz, reading.utilisation) == (None, None, None)
    assert (reading.temperature_c, reading.raw) == (52.0, None)


@pytest.mark.parametrize("draw", ["0.00W", "65535W", "-3W", "NaNW", "367490", "367.49J", "367,49W"])
def test_a_power_that_is_not_understood_is_null_with_the_text(tool: FakeTool, draw: str) -> None:
    tool.says(as_json=JSON)
    meter = opened(gpu("0000:2a:00.0"), gpu("0000:3a:00.0"))
    tool.says(as_json=changed(Power_Readings={"Power Draw ": draw}))
    bad, good = meter.read()
    assert (bad.power_w, bad.temperature_c) == (None, 52.0)
    assert draw in (bad.raw or "")
    assert (good.power_w, good.raw) == (96.66, None)


@pytest.mark.parametrize(
    "values",
    [
        {"Utilization": {"Gpu": "142%"}},
        {"Temperature": {"GPU Current Temp": "520C"}},
        {"FB_Memory_Usage": {"Used": "1024MB"}},  # neither 2^20 nor 10^6 for certain
        {"FB_Memory_Usage": {"Used": "-1MiB"}},
    ],
)
def test_other_values_that_are_not_understood_keep_the_text(tool: FakeTool, values: dict[str, Any]) -> None:
    tool.says(as_json=changed(**values))
    reading = opened(gpu("0000:2a:00.0")).read()[0]
    assert reading.power_w == 367.49
    assert None in (reading.utilisation, reading.temperature_c, reading.memory_used_bytes)
    assert "GPU UUID" in (reading.raw or "")


def test_names_that_stand_twice_in_the_text_are_not_guessed(tool: FakeTool) -> None:
    tool.says(
        text=TEXT.replace(
            "        Used                              : 8MiB\n", "        Used : 8MiB\n        Used : 9MiB\n"
        )
    )
    reading = opened(gpu("0000:08:00.0")).read()[0]
    assert (reading.memory_used_bytes, reading.power_w) == (None, 109.51)


def test_entries_and_names_in_another_order_are_the_same(tool: FakeTool) -> None:
    document = json.loads(JSON)
    document["GPU"] = [dict(reversed(one.items())) for one in reversed(document["GPU"])]
    tool.says(as_json=json.dumps(document))
    assert opened(gpu("0000:2a:00.0")).read()[0].power_w == 367.49


def test_a_card_that_falls_off_the_bus_becomes_nulls_then_a_failure(tool: FakeTool) -> None:
    tool.says(as_json=JSON)
    meter = opened(gpu("0000:2a:00.0"), gpu("0000:3a:00.0"))
    document = json.loads(JSON)
    del document["GPU"][0]
    tool.says(as_json=json.dumps(document))
    lost, alive = meter.read()
    assert (lost.power_w, alive.power_w) == (None, 96.66)
    assert "0 rows for 0000:2a:00.0" in (lost.raw or "")
    tool.says(as_json='{"Attached GPUs": "0", "GPU": []}')
    with pytest.raises(MeterUnavailableError, match="none of the devices is in the output"):
        meter.read()


@pytest.mark.parametrize(
    "text", ["", "mthreads-gmi: error\n", "[]", '{"GPU": {}}', '{"GPU": [null]}', '{"GPU": []}', JSON[:200], "\x00"]
)
def test_output_of_another_form_is_a_reason(tool: FakeTool, text: str) -> None:
    tool.says(as_json=text, text=text)
    with pytest.raises(MeterUnavailableError, match="no row of a known form"):
        opened(gpu("0000:2a:00.0"))
