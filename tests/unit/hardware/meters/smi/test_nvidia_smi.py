"""nvidia-smi, played by a script; its texts in tests/data/nvidia_smi are ours, in the tool's form."""

import csv
import io
from pathlib import Path

import pytest
from played_tool import PlayedTool, play

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.registry import make_meter
from hardware.meters.smi.nvidia_smi import REASON_NAMES, NvidiaSmi

DATA = Path(__file__).parents[4] / "data/nvidia_smi"
HELP = (DATA / "help_query_gpu.txt").read_text()
TWO_H100 = (DATA / "two_h100.csv").read_text()
OLD = (DATA / "old_driver_a100.csv").read_text()
UUIDS = [f"GPU-5ba7a1a2-1234-5678-9abc-def01234567{n}" for n in (8, 9)]
OLD_FIELDS = "uuid,pci.bus_id,power.draw,temperature.gpu,utilization.gpu,memory.used,clocks.current.sm"


def gpu(number: int = 0, *, pci: bool = True) -> DeviceIdentity:
    address = ["0000:3b:00.0", "0000:5e:00.0"][number] if pci else None
    return DeviceIdentity(index=number, uuid=UUIDS[number], pci_bus_id=address, name="H100")


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedTool:
    played = play(tmp_path, monkeypatch, "nvidia-smi")
    shows(played, TWO_H100)
    return played


def shows(tool: PlayedTool, table: str, known: str = HELP) -> None:
    tool.says(("--help-query-gpu", known), ("--query-gpu=*--format=csv", table))


def opened(*devices: DeviceIdentity, timeout_s: float = 5.0) -> NvidiaSmi:
    meter = NvidiaSmi(timeout_s)
    meter.open(devices or (gpu(0), gpu(1)))
    return meter


def test_every_figure_by_its_name(tool: PlayedTool) -> None:
    first, second = opened().read()
    assert (first.source, first.scope, first.power_w, first.temperature_c) == (UUIDS[0], "device", 655.21, 61.0)
    assert (first.utilisation, first.memory_used_bytes, first.clock_mhz) == (0.97, 40536 << 20, 1755.0)
    assert (first.throttle, first.energy_j, first.raw) == ("SwPowerCap", None, None)
    assert (second.power_w, second.throttle) == (70.85, "GpuIdle")
    assert isinstance(make_meter("nvidia_smi"), NvidiaSmi)


def test_only_fields_that_the_driver_knows_are_asked_for(tool: PlayedTool) -> None:
    opened()
    assert tool.calls()[-1] == (
        f"--query-gpu={OLD_FIELDS},power.draw.instant,mig.mode.current,clocks_event_reasons.active --format=csv"
    )
    older = HELP.replace('"power.draw.instant"\n', "").replace('"clocks_event_reasons.active" or ', "")
    shows(tool, OLD, older.replace('"mig.mode.current"', ""))
    reading = opened(gpu(0)).read()[0]
    assert tool.calls()[-1] == f"--query-gpu={OLD_FIELDS},clocks_throttle_reasons.active --format=csv"
    assert (reading.power_w, reading.throttle, reading.temperature_c, reading.raw) == (57.2, None, 31.0, None)
    shows(tool, OLD, "usage: nvidia-smi [OPTION1 [ARG1]]\n")
    assert opened(gpu(0)).read()[0].power_w == 57.2
    assert tool.calls()[-1] == f"--query-gpu={OLD_FIELDS} --format=csv"


def test_columns_and_rows_in_another_order(tool: PlayedTool) -> None:
    before = opened().read()
    table = list(csv.reader(io.StringIO(TWO_H100), skipinitialspace=True))
    shows(tool, "\n".join(", ".join(reversed(row)) for row in (table[0], table[2], table[1])))
    assert opened().read() == before


def test_a_gpu_is_found_by_uuid_alone_and_a_complaint_before_the_table_does_no_harm(tool: PlayedTool) -> None:
    shows(tool, "Unable to determine the device handle for GPU0000:AF:00.0: GPU is lost.\n" + TWO_H100)
    assert opened(gpu(1, pci=False)).read()[0].power_w == 70.85


@pytest.mark.parametrize("text", ["[N/A]", "N/A", "[Not Supported]", ""])
def test_what_is_not_told_is_null(tool: PlayedTool, text: str) -> None:
    row = ", ".join([UUIDS[0], "00000000:3B:00.0", *[text] * 8])
    shows(tool, "\n".join([TWO_H100.splitlines()[0], row]))
    reading = opened(gpu(0)).read()[0]
    assert (reading.power_w, reading.temperature_c, reading.utilisation, reading.throttle) == (None, None, None, None)
    assert (reading.memory_used_bytes, reading.clock_mhz, reading.raw) == (None, None, None)


def test_the_mean_power_stands_in_for_the_instantaneous(tool: PlayedTool) -> None:
    shows(tool, TWO_H100.replace("655.21 W", "[N/A]"))
    assert opened().read()[0].power_w == 611.4


@pytest.mark.parametrize("power", ["[Unknown Error]", "[GPU is lost]", "0.00 W", "655.21", "655210 W", "six W"])
def test_a_power_that_is_not_understood_is_null_with_its_text(tool: PlayedTool, power: str) -> None:
    shows(tool, TWO_H100.replace("655.21 W", power))
    bad, good = opened().read()
    assert (bad.power_w, bad.temperature_c, good.power_w) == (None, 61.0, 70.85)
    assert bad.raw == f"power.draw.instant {power}"


def test_throttle_reasons(tool: PlayedTool) -> None:
    def throttle(mask: str) -> tuple[str | None, str | None]:
        shows(tool, TWO_H100.replace("0x0000000000000004", mask))
        reading = opened(gpu(0)).read()[0]
        return reading.throttle, reading.raw

    assert throttle("0x0000000000000000") == ("", None)
    assert throttle("0x0000000000000064") == ("SwPowerCap+SwThermalSlowdown+HwThermalSlowdown", None)
    assert throttle("0x0000000000002000") == ("0x2000", None)
    assert throttle("Active") == (None, "clocks_event_reasons.active Active")


def test_reasons_have_the_names_that_the_nvml_meter_gives_them() -> None:
    pynvml = pytest.importorskip("pynvml")
    from hardware.meters.nvml.figures import _reason_names

    assert {bit: _reason_names(pynvml)[bit] for bit in REASON_NAMES} == REASON_NAMES


def test_mig_is_refused(tool: PlayedTool) -> None:
    instance = DeviceIdentity(index=0, uuid="MIG-c6d4f1ef-42e4-5de3", pci_bus_id=None, name="H100 MIG 1g.10gb")
    with pytest.raises(MeterUnavailableError, match=r"MIG-c6d4f1ef-42e4-5de3 is a MIG instance.*whole GPU"):
        opened(instance)
    shows(tool, TWO_H100.replace("70.85 W, Disabled", "70.85 W, Enabled"))
    with pytest.raises(MeterUnavailableError, match=f"{UUIDS[1]} is in MIG mode"):
        opened()
    assert opened(gpu(0)).read()[0].power_w == 655.21, "the other GPU is whole"


def test_a_gpu_that_falls_off_the_bus(tool: PlayedTool) -> None:
    meter = opened()
    header, first, _second = TWO_H100.splitlines()
    shows(tool, f"{header}\n{first}\n")
    alive, lost = meter.read()
    assert (alive.power_w, lost.power_w, lost.raw) == (655.21, None, f"0 rows for {UUIDS[1]}")
    shows(tool, f"{header}\n")
    with pytest.raises(MeterUnavailableError, match="none of the devices is in the output"):
        meter.read()


@pytest.mark.parametrize(
    "table", ["", "No devices were found\n", "\x00\xff,,\n", TWO_H100.replace(", Disabled", ""), '"'], ids=range(5)
)
def test_garbage_is_a_reason(tool: PlayedTool, table: str) -> None:
    shows(tool, table)
    with pytest.raises(MeterUnavailableError, match="nvidia_smi: no row of a known form"):
        opened()


def test_a_lost_gpu_fails_the_tool_and_not_the_others(tool: PlayedTool) -> None:
    lost = "Unable to determine the device handle for GPU0000:AF:00.0: Unknown Error"
    table, known = tool.folder / "table.txt", tool.folder / "help.txt"
    table.write_text(TWO_H100)
    known.write_text(HELP)
    tool.does(f'case "$1" in --help*) cat "{known}"; exit 0;; esac\ncat "{table}"; echo "{lost}" >&2; exit 15')
    first, second = opened().read()
    assert (first.power_w, second.power_w) == (655.21, 70.85)
    tool.does(f'case "$1" in --help*) cat "{known}"; exit 0;; esac\necho "{lost}"; exit 15')
    with pytest.raises(MeterUnavailableError, match=r"nvidia_smi: .* ended with 15: Unable to determine"):
        opened()
