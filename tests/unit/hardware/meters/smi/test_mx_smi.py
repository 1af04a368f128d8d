"""MetaX's tool, played by a script; its texts in tests/data/mx_smi are ours, in the tool's form."""

import json
from pathlib import Path
from typing import Any

import pytest
from played_tool import PlayedTool, play

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError, Reading
from hardware.meters.registry import make_meter
from hardware.meters.smi.mx_smi.mx_smi import TABLE_PERIOD_S, MxSmi
from hardware.meters.smi.mx_smi.rows import parse_machine_form, parse_table

DATA = Path(__file__).parents[4] / "data/mx_smi"
MACHINE = (DATA / "machine_two_c500.txt").read_text()
TABLE = (DATA / "table_two_c500.txt").read_text()
OLD_TABLE = (DATA / "table_old_c550.txt").read_text()
PCI = ["0000:0e:00.0", "0000:0f:00.0"]


def gpu(number: int) -> DeviceIdentity:
    return DeviceIdentity(index=number, uuid=f"GPU-{number}", pci_bus_id=PCI[number], name="MetaX C500")


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedTool:
    played = play(tmp_path, monkeypatch, "mx-smi")
    shows(played)
    return played


def shows(tool: PlayedTool, machine: str = MACHINE, table: str = TABLE) -> None:
    tool.says(("-j", machine), ('""', table))


def changed(number: int = 0, **values: Any) -> str:
    """The machine-readable form with other values for one GPU; null takes a name away."""
    found = json.loads(MACHINE[MACHINE.index("{") :])
    card = found[PCI[number]]
    card |= values
    found[PCI[number]] = {name: value for name, value in card.items() if value is not None}
    return "mx-smi  version: 2.2.12\n" + json.dumps(found)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def opened(*devices: DeviceIdentity, timeout_s: float = 5.0, clock: Clock | None = None) -> MxSmi:
    meter = MxSmi(timeout_s, clock or Clock())
    meter.open(devices or (gpu(0), gpu(1)))
    return meter


def read(*devices: DeviceIdentity) -> list[Reading]:
    return opened(*devices).read()


def test_every_figure_by_its_name(tool: PlayedTool) -> None:
    first, second = read()
    assert (first.source, first.scope, first.power_w, first.temperature_c) == ("GPU-0", "device", 299.75, 61.5)
    assert (first.utilisation, first.clock_mhz, first.energy_j, first.raw) == (0.98, 1500.0, None, None)
    assert (second.power_w, second.temperature_c, second.utilisation) == (62.0, 38.5, 0.0)
    assert isinstance(make_meter("mx_smi"), MxSmi)


def test_the_table_is_read_seldom(tool: PlayedTool) -> None:
    clock = Clock()
    meter = opened(clock=clock)
    assert meter.read()[0].memory_used_bytes is None
    assert tool.calls() == ["-j", "", "-j"]
    clock.now_s += TABLE_PERIOD_S
    first, second = meter.read()
    assert (first.memory_used_bytes, second.memory_used_bytes) == (15155 << 20, 826 << 20)
    assert (first.power_w, first.temperature_c) == (299.75, 61.5), "the machine-readable form says it more exactly"


@pytest.mark.parametrize("answers", [(), (("-j", "PARSE ERROR: Argument: -j\n"),)], ids=["fails", "only says so"])
def test_an_older_tool_is_read_by_its_table(tool: PlayedTool, answers: tuple[tuple[str, str], ...]) -> None:
    tool.says(*answers, ('""', OLD_TABLE))
    first, second = read()
    assert (first.power_w, first.temperature_c, first.utilisation) == (253.0, 49.0, 0.55)
    assert (first.memory_used_bytes, first.clock_mhz, first.raw) == (30858 << 20, None, None)
    assert (second.power_w, second.memory_used_bytes) == (53.0, 858 << 20)


@pytest.mark.parametrize(("table", "powers"), [(TABLE, [299.0, 62.0]), (OLD_TABLE, [253.0, 53.0])])
def test_columns_of_the_table_in_another_order(table: str, powers: list[float]) -> None:
    def turned(line: str) -> str:
        return "|" + "|".join(reversed(line.strip().strip("|").split("|"))) + "|" if line.count("|") > 3 else line

    gpus = parse_table(table)
    assert [one.row.power_w for one in gpus] == powers
    assert parse_table("\n".join(turned(line) for line in table.splitlines())) == gpus


def test_the_oldest_layout_that_is_known() -> None:
    """FlagPerf's sample of 2.0.12 shows these two lines; the headings are those of the next version."""
    table = (
        "| GPU  NAME         | Bus-id         | GPU-Util |\n| Temp Pwr          | Memory-Usage   |          |\n"
        "|===================+================+==========|\n"
        "|  0    MXC500      | 0000:1b:00.0   | 0%       |\n|  35C  56W         | 914/65536 MiB  |          |\n"
    )
    (found,) = parse_table(table)
    assert (found.row.pci_bus_id, found.row.power_w, found.row.temperature_c) == ("0000:1b:00.0", 56.0, 35.0)
    assert (found.row.memory_used_bytes, found.row.utilisation, found.board) == (914 << 20, 0.0, None)


def test_clocks_may_be_grouped() -> None:
    (first, _second) = parse_machine_form(changed(clocks={"XCORE": {"XCORE_CLK": 1500}, "SOC": {"SOC_CLK": 1200}}))
    assert first.row.clock_mhz == 1500.0


@pytest.mark.parametrize(
    ("board_power", "power_w"),
    [
        ({"power": {"Way0": "95.250"}}, 95.25),
        ({"power": {"Way 0": "60.0", "Way 1": "0.000"}}, 60.0),
        ({"power": {}}, None),
        (None, None),
    ],
)
def test_power_is_the_sum_of_the_supply_lines(tool: PlayedTool, board_power: Any, power_w: float | None) -> None:
    shows(tool, changed(board_power=board_power))
    first = read()[0]
    assert (first.power_w, first.raw) == (power_w, None)


@pytest.mark.parametrize(
    "power",
    [
        {"Way0": "145.0", "Way1": "N/A"},
        {"Way0": "145.0", "Total": "299.0"},
        {"Way0": "0.000", "Way1": "0.000"},
        {"Way0": "-3.0", "Way1": "60.0"},
        {"Way0": "145.0 V"},
    ],
)
def test_a_power_that_is_not_understood_is_null_with_its_text(tool: PlayedTool, power: dict[str, str]) -> None:
    shows(tool, changed(board_power={"power": power}))
    bad, good = read()
    assert (bad.power_w, bad.temperature_c, good.power_w) == (None, 61.5, 62.0)
    assert bad.raw == f"board_power {json.dumps(power)}"


def test_a_supply_line_that_stands_twice_makes_the_sum_doubtful(tool: PlayedTool) -> None:
    shows(tool, MACHINE.replace('"Way1": "142.500"', '"Way0": "142.500"'))
    bad, good = read()
    assert (bad.power_w, good.power_w) == (None, 62.0)
    assert bad.raw and "stands there twice" in bad.raw


def test_what_is_not_told_is_null(tool: PlayedTool) -> None:
    shows(
        tool,
        changed(hotspot="N/A", utilization=None, clocks=None, board_power=None),
        TABLE.replace("15155/65536 MiB", "N/A            "),
    )
    first = read()[0]
    assert (first.power_w, first.temperature_c, first.utilisation, first.clock_mhz) == (None, None, None, None)
    assert (first.memory_used_bytes, first.raw) == (None, None)


def test_a_limit_is_not_taken_for_the_usage() -> None:
    (first, second) = parse_table(TABLE.replace("299W / 350W", " N/A / 350W").replace("98%", "ERR"))
    assert (first.row.power_w, first.row.utilisation, second.row.power_w) == (None, None, 62.0)
    assert first.row.raw and "ERR" in first.row.raw and "350W" in first.row.raw


def test_a_gpu_that_is_not_available_says_why(tool: PlayedTool) -> None:
    shows(tool, changed(unavailable_reason="MetaX Sysfs File Unaccessible", hotspot=None, board_power=None))
    assert read()[0].raw == "unavailable: MetaX Sysfs File Unaccessible"


def two_on_one_board(table: str = TABLE) -> str:
    return table.replace("| 1     MetaX C500 | 1 ", "|       MetaX C500 | 1 ").replace("| 62W / 350W ", "|            ")


def test_gpus_on_one_board_have_its_power_once(tool: PlayedTool) -> None:
    same = changed(1, board_power=json.loads(changed()[len("mx-smi  version: 2.2.12\n") :])[PCI[0]]["board_power"])
    shows(tool, same, two_on_one_board())
    clock = Clock()
    meter = opened(clock=clock)
    for _ in range(2):  # with the table, and without
        first, second, board = meter.read()
        assert (first.power_w, second.power_w, first.board, second.board) == (None, None, board.source, board.source)
        assert (board.power_w, board.shared_by, first.temperature_c) == (299.75, 2, 61.5)
        clock.now_s += TABLE_PERIOD_S


def test_gpus_on_one_board_that_differ_have_no_power(tool: PlayedTool) -> None:
    shows(tool, MACHINE, two_on_one_board())
    assert [one.power_w for one in read()] == [None, None, None]


def test_a_board_told_by_the_table_alone(tool: PlayedTool) -> None:
    tool.says(('""', two_on_one_board()))
    first, second, board = read()
    assert (first.power_w, second.power_w, board.power_w, board.shared_by) == (None, None, 299.0, 2)


@pytest.mark.parametrize(
    ("machine", "table"),
    [(changed(sgpu_count=1), TABLE), ("", TABLE.replace("98%         Disabled", "98%          Enabled"))],
)
def test_a_sliced_gpu_is_refused(tool: PlayedTool, machine: str, table: str) -> None:
    shows(tool, machine, table)
    with pytest.raises(MeterUnavailableError, match=r"0000:0e:00\.0 is lent in slices \(sGPU\)"):
        opened()
    assert read(gpu(1))[0].power_w == 62.0


def test_a_card_that_falls_off_the_bus(tool: PlayedTool) -> None:
    meter = opened()
    lost = MACHINE.replace(f'"{PCI[0]}"', '"ERR"')
    shows(tool, lost, "")
    gone, alive = meter.read()
    assert (gone.power_w, gone.raw, alive.power_w) == (None, "0 rows for GPU-0", 62.0)
    shows(tool, lost.replace(f'"{PCI[1]}"', '"ERR"'), "no devices\n")
    with pytest.raises(MeterUnavailableError, match="none of the devices is in the output"):
        meter.read()


@pytest.mark.parametrize("text", ["", "No available devices\n", MACHINE[:400], "{", "\x00\xff", "│Card1  S30  700MHz│"])
def test_garbage_is_a_reason(tool: PlayedTool, text: str) -> None:
    shows(tool, text, text)
    with pytest.raises(MeterUnavailableError, match=r"mx_smi: (no row of a known form|the tool printed nothing)"):
        opened()
