"""The frame of the meters that read a command line tool, with rows made here in place of a tool's."""

from collections.abc import Sequence
from typing import ClassVar

import pytest

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SmiMeter

A, B, C = "0000:1a:00.0", "0000:3b:00.0", "0000:5c:00.0"


class FakeSmi(SmiMeter):
    name: ClassVar[str] = "fake_smi"
    tools: ClassVar[tuple[str, ...]] = ("fake-smi",)
    calls = (("first",), ("second", "-x"))
    rows: Sequence[SmiRow] = ()

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        self.heard = list(outputs)
        return list(self.rows)

    def _outputs(self) -> list[str]:
        return [f"output {index} " + "x" * 300 for index in range(len(self.calls))]


class NumberedSmi(FakeSmi):
    numbered_by_driver: ClassVar[bool] = True


def device(pci: str | None = None, uuid: str | None = None, number: int | None = None) -> DeviceIdentity:
    return DeviceIdentity(index=7, uuid=uuid, pci_bus_id=pci, name="chip", driver_index=number)


def opened(rows: Sequence[SmiRow], *devices: DeviceIdentity, kind: type[FakeSmi] = FakeSmi) -> FakeSmi:
    meter = kind()
    meter.rows = rows
    meter.open(devices)
    return meter


def test_a_device_is_found_by_address_then_uuid_then_number() -> None:
    rows = [
        SmiRow(pci_bus_id=A, uuid="u-a", index=0, power_w=1.0),
        SmiRow(pci_bus_id=B, uuid="u-b", index=1, power_w=2.0),
    ]
    assert opened(rows, device("00000000:3B:00.0", "u-a", 0)).read()[0].power_w == 2.0
    assert opened(rows, device(None, "u-a", 1)).read()[0].power_w == 1.0
    assert opened(rows, device(None, None, 1), kind=NumberedSmi).read()[0].power_w == 2.0
    bare = [SmiRow(index=0, power_w=1.0), SmiRow(index=1, power_w=2.0)]
    assert opened(bare, device(A, "u-a", 1), kind=NumberedSmi).read()[0].power_w == 2.0


@pytest.mark.parametrize(
    ("rows", "wanted", "kind"),
    [
        ([SmiRow(pci_bus_id=A, index=3)], device(B, None, 3), NumberedSmi),  # an address decides, not a number
        ([SmiRow(uuid="u-a", index=3)], device(None, "u-b", 3), NumberedSmi),
        ([SmiRow(index=3)], device(None, None, 3), FakeSmi),  # numbers differ from tool to tool
        ([SmiRow(index=3)], device(), NumberedSmi),
        ([SmiRow(index=None)], device(), NumberedSmi),
    ],
)
def test_a_device_without_a_row_is_refused(rows: list[SmiRow], wanted: DeviceIdentity, kind: type[FakeSmi]) -> None:
    with pytest.raises(MeterUnavailableError, match="fake_smi: no row for device"):
        opened(rows, wanted, kind=kind)


def test_reasons_to_stay_closed() -> None:
    with pytest.raises(MeterUnavailableError, match="no device was named yet"):
        opened([SmiRow(pci_bus_id=A)])
    with pytest.raises(MeterUnavailableError, match=r"no row of a known form in the output: output 0 x+$") as caught:
        opened([], device(A))
    assert len(str(caught.value)) < 300, "a tool's text is shown in part"
    with pytest.raises(MeterUnavailableError, match=f"2 rows for device {A}"):
        opened([SmiRow(pci_bus_id=A), SmiRow(pci_bus_id=A)], device(A))


def test_every_call_of_a_reading_is_heard() -> None:
    meter = opened([SmiRow(pci_bus_id=A)], device(A))
    meter.read()
    assert [text[:8] for text in meter.heard] == ["output 0", "output 1"]


def test_a_row_becomes_a_reading() -> None:
    row = SmiRow(
        pci_bus_id=A,
        power_w=57.0,
        energy_j=12.5,
        temperature_c=41.0,
        utilisation=0.5,
        memory_used_bytes=1 << 30,
        clock_mhz=1500.0,
        throttle="power",
        raw="odd",
    )
    reading = opened([row], device(A, "u-a")).read()[0]
    assert (reading.source, reading.scope, reading.power_w, reading.energy_j) == ("u-a", "device", 57.0, 12.5)
    assert (reading.temperature_c, reading.utilisation, reading.memory_used_bytes) == (41.0, 0.5, 1 << 30)
    assert (reading.clock_mhz, reading.throttle, reading.raw, reading.board) == (1500.0, "power", "odd", None)


def test_a_row_that_is_lost_or_there_twice_gives_nulls() -> None:
    meter = opened([SmiRow(pci_bus_id=A, power_w=1.0), SmiRow(pci_bus_id=B, power_w=2.0)], device(A), device(B))
    meter.rows = [SmiRow(pci_bus_id=A, power_w=1.0), SmiRow(pci_bus_id=A, power_w=9.0)]
    twice, lost = meter.read()
    assert (twice.power_w, twice.raw) == (None, f"2 rows for {A}")
    assert (lost.power_w, lost.raw) == (None, f"0 rows for {B}")
    meter.rows = [SmiRow(pci_bus_id=C, power_w=3.0)]
    with pytest.raises(MeterUnavailableError, match="none of the devices is in the output: output 0"):
        meter.read()


@pytest.mark.parametrize("told", [(86.0, 86.0), (86.0, None), (None, 86.0)], ids=["each", "the first", "the last"])
def test_the_power_of_a_board_is_told_once_for_all_its_devices(told: tuple[float | None, float | None]) -> None:
    rows = [SmiRow(pci_bus_id=pci, board="7", board_power_w=power) for pci, power in zip((A, B), told, strict=True)] + [
        SmiRow(pci_bus_id=C, power_w=50.0)
    ]
    first, second, single, board = opened(rows, device(A), device(B), device(C)).read()
    assert [(one.power_w, one.board) for one in (first, second)] == [(None, "board-7")] * 2
    assert (single.power_w, single.board) == (50.0, None)
    assert (board.source, board.scope, board.power_w, board.shared_by) == ("board-7", "board", 86.0, 2)


def test_a_board_is_shared_with_devices_that_are_not_ours() -> None:
    rows = [SmiRow(pci_bus_id=A, board="7", board_power_w=86.0), SmiRow(pci_bus_id=B, board="7")]
    own, board = opened(rows, device(B)).read()
    assert (own.board, own.power_w, board.power_w, board.shared_by) == ("board-7", None, 86.0, 2)


def test_a_board_without_a_sensor_leaves_its_devices_their_own_power() -> None:
    rows = [SmiRow(pci_bus_id=A, board="7", power_w=40.0), SmiRow(pci_bus_id=B, board="7", power_w=41.0)]
    readings = opened(rows, device(A), device(B)).read()
    assert [(one.scope, one.power_w, one.board) for one in readings] == [("device", 40.0, None), ("device", 41.0, None)]


def test_rows_of_a_board_that_disagree_give_no_power() -> None:
    rows = [SmiRow(pci_bus_id=A, board="7", board_power_w=86.0), SmiRow(pci_bus_id=B, board="7", board_power_w=90.0)]
    board = opened(rows, device(A)).read()[-1]
    assert (board.power_w, board.raw) == (None, "rows tell different powers: [86.0, 90.0] W")


def test_the_tool_itself_is_run_for_each_call(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    class RealSmi(FakeSmi):
        _outputs = SmiMeter._outputs

    script = tmp_path / "fake-smi"
    script.write_text('#!/bin/sh\necho "$*"\n[ "$1" != second ] || [ ! -e "$0.broken" ] || exit 4\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    meter = opened([SmiRow(pci_bus_id=A)], device(A), kind=RealSmi)
    assert meter.heard == ["first\n", "second -x\n"]
    assert meter.processes_cpu_s() > 0
    (tmp_path / "fake-smi.broken").touch()
    assert meter.read()[0].source == A  # what it printed counts, whatever its status
    meter.rows = []
    with pytest.raises(MeterUnavailableError, match=r"fake_smi: .*fake-smi ended with 4: second -x"):
        meter.read()
    script.write_text("#!/bin/sh\necho broken >&2; exit 4\n")
    with pytest.raises(MeterUnavailableError, match=r"fake_smi: .*fake-smi ended with 4: broken"):
        meter.read()
    script.write_text("#!/bin/sh\necho a row cut sh; kill -9 $$\n")
    with pytest.raises(MeterUnavailableError, match=r"fake_smi: .*fake-smi ended with -9: a row cut sh"):
        meter.read()


def test_a_closed_meter_reads_nothing() -> None:
    meter = opened([SmiRow(pci_bus_id=A, power_w=1.0)], device(A))
    meter.close()
    with pytest.raises(MeterUnavailableError, match="none of the devices"):
        meter.read()
