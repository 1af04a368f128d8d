"""Iluvatar's tool, played by a script; the XML in tests/data/ixsmi is ours, in the tool's form."""

import re
from pathlib import Path

import pytest
from played_tool import PlayedTool, play

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.registry import make_meter
from hardware.meters.smi.ixsmi import Ixsmi

TWO_CARDS = (Path(__file__).parents[4] / "data/ixsmi/two_mr_v100.xml").read_text()
UUIDS = [f"GPU-aaaaaaaa-0000-5000-8000-00000000000{n}" for n in (1, 2)]
PCI = ["0000:0c:00.0", "0000:0f:00.0"]


def chip(number: int, *, uuid: bool = True, pci: bool = True) -> DeviceIdentity:
    return DeviceIdentity(
        index=number, uuid=UUIDS[number] if uuid else None, pci_bus_id=PCI[number] if pci else None, name="BI-V150"
    )


def one_board(*, powers: tuple[str, str] = ("N/A", "93 W"), field: str = "board_power_draw") -> str:
    """Both chips on one board, as BI-V150 shows them: the first tells no power, the second the board's."""
    text = TWO_CARDS.replace("<multigpu_board>No", "<multigpu_board>Yes").replace("10000000000002", "10000000000001")
    text = re.sub(r"((?:gpu|board)_power_draw>)[^<]*</", r"\1N/A</", text)
    positions, told = iter("01"), iter(powers)
    text = re.sub(r"<gpu_position>N/A", lambda _: f"<gpu_position>{next(positions)}", text)
    return re.sub(f"<{field}>N/A", lambda _: f"<{field}>{next(told)}", text)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedTool:
    played = play(tmp_path, monkeypatch, "ixsmi")
    played.says(("'-q -x'", TWO_CARDS))
    return played


def opened(*devices: DeviceIdentity, timeout_s: float = 5.0) -> Ixsmi:
    meter = Ixsmi(timeout_s)
    meter.open(devices or (chip(0), chip(1)))
    return meter


def test_every_figure_by_its_name(tool: PlayedTool) -> None:
    first, second = opened().read()
    assert (first.source, first.scope, first.power_w, first.temperature_c) == (UUIDS[0], "device", 137.0, 64.0)
    assert (first.utilisation, first.memory_used_bytes, first.clock_mhz) == (0.97, 27780 << 20, 1500.0)
    assert (first.energy_j, first.throttle, first.board, first.raw) == (None, None, None, None)
    assert (second.power_w, second.utilisation, second.clock_mhz) == (39.0, 0.0, 500.0)
    assert isinstance(make_meter("ixsmi"), Ixsmi)


@pytest.mark.parametrize(("uuid", "pci"), [(True, False), (False, True)])
def test_a_chip_is_found_by_uuid_or_by_pci_address(tool: PlayedTool, uuid: bool, pci: bool) -> None:
    assert opened(chip(1, uuid=uuid, pci=pci)).read()[0].power_w == 39.0


def test_another_order_of_cards_and_fields_changes_nothing(tool: PlayedTool) -> None:
    before = opened().read()
    head, *cards = re.split(r"(?=\t<gpu )", TWO_CARDS)
    turned = [
        re.sub(r"(\t\t<power_readings>.*?</power_readings>\n)(.*)(\t</gpu>)", r"\2\1\3", c, flags=re.S) for c in cards
    ]
    end = "</ixsmi_log>\n"
    tool.says(("*", head + turned[1].replace(end, "") + turned[0] + end))
    assert opened().read() == before


def test_a_board_with_two_chips_has_its_power_once(tool: PlayedTool) -> None:
    tool.says(("*", one_board()))
    first, second, board = opened().read()
    assert (first.power_w, second.power_w, first.temperature_c, second.temperature_c) == (None, None, 64.0, 44.0)
    assert first.board == second.board == board.source == "board-10000000000001"
    assert (board.scope, board.power_w, board.shared_by) == ("board", 93.0, 2)


@pytest.mark.parametrize("powers", [("93 W", "93 W"), ("93 W", "N/A")])
def test_the_boards_power_may_stand_on_either_chip_or_both(tool: PlayedTool, powers: tuple[str, str]) -> None:
    tool.says(("*", one_board(powers=powers)))
    *chips, board = opened().read()
    assert [one.power_w for one in chips] == [None, None]
    assert (board.power_w, board.shared_by) == (93.0, 2)


def test_a_board_power_in_the_chips_field_is_the_boards(tool: PlayedTool) -> None:
    tool.says(("*", one_board(field="gpu_power_draw")))
    *chips, board = opened().read()
    assert [one.power_w for one in chips] == [None, None]
    assert (board.power_w, board.shared_by) == (93.0, 2)


def test_chips_with_a_sensor_each_keep_their_own(tool: PlayedTool) -> None:
    tool.says(("*", one_board(powers=("51 W", "42 W"), field="gpu_power_draw")))
    assert [(one.scope, one.power_w, one.board) for one in opened().read()] == [
        ("device", 51.0, None),
        ("device", 42.0, None),
    ]


def test_chips_that_contradict_each_other_give_no_board_power(tool: PlayedTool) -> None:
    tool.says(("*", one_board(powers=("93 W", "120 W"))))
    board = opened().read()[-1]
    assert (board.scope, board.power_w) == ("board", None)
    assert board.raw and "different powers" in board.raw


def test_one_chip_of_two_names_the_board_that_it_shares(tool: PlayedTool) -> None:
    tool.says(("*", one_board()))
    device, board = opened(chip(1)).read()
    assert (device.power_w, device.board, board.power_w, board.shared_by) == (None, board.source, 93.0, 2)


@pytest.mark.parametrize("field", ["board_power_draw", "gpu_power_draw"])
def test_half_a_board_is_no_device(tool: PlayedTool, field: str) -> None:
    """A container that shows only the chip whose row bears the board's power."""
    second = one_board(field=field).split('<gpu id="00000000:0F')[1]
    tool.says(("*", f'<ixsmi_log><gpu id="00000000:0F{second}'))
    (reading,) = opened(chip(1)).read()
    assert (reading.power_w, reading.board, reading.temperature_c) == (None, None, 44.0)
    assert reading.raw and "shares a board" in reading.raw


def test_two_boards_behind_one_switch_are_not_taken_for_one(tool: PlayedTool) -> None:
    """NVML's board id may be the switch's: four chips of it, at the same idle power, are not one board."""
    both = one_board().replace("10000000000001", "N/A").replace("170c", "1d0f")
    more = both.replace("0C:00.0", "1C:00.0").replace("0F:00.0", "1F:00.0").replace("aaaaaaaa", "bbbbbbbb")
    tool.says(("*", both.replace("</ixsmi_log>", "") + more[more.index("\t<gpu ") :]))
    readings = opened().read()
    assert [(one.scope, one.power_w, one.board) for one in readings] == [("device", None, None)] * 2
    tool.says(("*", both))
    assert opened().read()[-1].power_w == 93.0, "one pair with that id is one board"


def test_a_board_whose_other_chip_is_lost_has_no_power(tool: PlayedTool) -> None:
    tool.says(("*", one_board()))
    meter = opened()
    tool.says(
        (
            "*",
            one_board().split('\t<gpu id="00000000:0C')[0]
            + '\t<gpu id="00000000:0F'
            + one_board().split('<gpu id="00000000:0F')[1],
        )
    )
    lost, left = meter.read()
    assert (lost.power_w, lost.temperature_c, left.power_w, left.temperature_c) == (None, None, None, 44.0)
    assert lost.raw == f"0 rows for {UUIDS[0]}"


@pytest.mark.parametrize("text", ["N/A", "", "[Not Supported]"])
def test_what_is_not_told_is_null(tool: PlayedTool, text: str) -> None:
    tool.says(
        ("*", re.sub(r">[^<>]*(</(?:gpu_power_draw|gpu_temp|gpu_util|used|sm_clock)>)", rf">{text}\1", TWO_CARDS))
    )
    first = opened().read()[0]
    assert (first.power_w, first.temperature_c, first.utilisation, first.memory_used_bytes, first.clock_mhz) == (
        None,
    ) * 5
    assert first.raw is None


@pytest.mark.parametrize("power", ["ERR!", "0 W", "65535 W", "137", "1 3 7 W", "137 V"])
def test_a_power_that_is_not_understood_is_null_with_its_text(tool: PlayedTool, power: str) -> None:
    tool.says(("*", TWO_CARDS.replace("137 W", power)))
    bad, good = opened().read()
    assert (bad.power_w, bad.temperature_c, good.power_w) == (None, 64.0, 39.0)
    assert bad.raw == f"power_readings/gpu_power_draw {power}"


def test_a_virtual_gpu_has_no_power(tool: PlayedTool) -> None:
    tool.says(("*", TWO_CARDS.replace("<virtualization_mode>None", "<virtualization_mode>VGPU", 1)))
    first, second = opened().read()
    assert (first.power_w, second.power_w) == (None, 39.0)
    assert first.raw and "virtual GPU" in first.raw


def test_a_card_that_falls_off_the_bus(tool: PlayedTool) -> None:
    meter = opened()
    tool.says(
        (
            "*",
            TWO_CARDS.replace('id="00000000:0C:00.0"', 'id="ERR"').replace(
                "<pci_bus_id>00000000:0C", "<pci_bus_id>ERR"
            ),
        )
    )
    lost, alive = meter.read()
    assert (lost.power_w, lost.raw, alive.power_w) == (None, f"0 rows for {UUIDS[0]}", 39.0)
    tool.says(("*", "<ixsmi_log></ixsmi_log>"))
    with pytest.raises(MeterUnavailableError, match="none of the devices is in the output"):
        meter.read()


@pytest.mark.parametrize(
    "text", ["", "No supported GPUs found\n", TWO_CARDS[:900], "\x00\xff<>", "| 0 Iluvatar BI-V100 |"]
)
def test_garbage_is_a_reason(tool: PlayedTool, text: str) -> None:
    tool.says(("*", text))
    with pytest.raises(MeterUnavailableError, match="ixsmi: no row of a known form"):
        opened()
