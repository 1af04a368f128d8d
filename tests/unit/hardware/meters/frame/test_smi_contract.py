"""What holds of every meter that reads a command-line tool, whatever its tool prints."""

from pathlib import Path

import pytest
from played_tool import PlayedTool, play
from smi_cases import CASES, Case, device

from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.smi import SmiMeter
from hardware.meters.registry import BUILT_IN, make_meter

GARBAGE = {
    "usage": "Usage: tool [options]\n",
    "bytes": "\x00\xff<>,,\n",
    "a box": "| no | numbers | here |\n+----+\n",
    "a table": "# a b\n1 2 3\n",
    "an empty object": "{}",
    "half an object": '{"card0": {"PCI',
}
"""Of any tool but this."""
WORDS = ("N/A", "NA", "-")


@pytest.fixture(params=CASES, ids=lambda case: case.meter)
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


@pytest.fixture
def tool(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedTool:
    played = play(tmp_path, monkeypatch, case.tool)
    played.says(*case.answers(case.text))
    return played


def made(case: Case, timeout_s: float | None = None) -> SmiMeter:
    meter = make_meter(case.meter)
    assert isinstance(meter, SmiMeter)
    return meter if timeout_s is None else type(meter)(timeout_s)


def opened(case: Case) -> SmiMeter:
    meter = made(case)
    meter.open(case.devices())
    return meter


def test_every_meter_of_a_tool_has_a_case() -> None:
    tools = {name for name, place in BUILT_IN.items() if place.startswith("hardware.meters.smi.")}
    assert tools == {case.meter for case in CASES}


def test_two_devices_in_any_order(case: Case, tool: PlayedTool) -> None:
    meter = made(case)
    meter.open(list(reversed(case.devices())))
    second, first = meter.read()
    assert (first.power_w, second.power_w) == case.watts
    assert (first.scope, first.board, first.raw, second.raw) == ("device", None, None, None)
    assert None not in (first.temperature_c, second.temperature_c)
    assert meter.processes_cpu_s() > 0
    meter.close()
    with pytest.raises(MeterUnavailableError):
        meter.read()


def test_a_tool_that_is_absent(case: Case, tool: PlayedTool) -> None:
    meter = opened(case)
    tool.script.unlink()
    for attempt in (meter.read, lambda: opened(case)):
        with pytest.raises(MeterUnavailableError, match=rf"{case.meter}: .*{case.tool}.* is not on PATH"):
            attempt()


def test_a_tool_that_hangs(case: Case, tool: PlayedTool) -> None:
    tool.does("exec sleep 60")
    with pytest.raises(MeterUnavailableError, match=rf"{case.meter}: .*{case.tool} did not answer within 0\.2 s"):
        made(case, timeout_s=0.2).open(case.devices())


def test_a_tool_that_is_ended_by_a_signal(case: Case, tool: PlayedTool) -> None:
    """Its last row may be cut short."""
    meter = opened(case)
    tool.says(*case.answers(case.text), then="kill -9 $$")
    with pytest.raises(MeterUnavailableError, match=rf"{case.meter}: .*{case.tool} ended with -9"):
        meter.read()


def test_a_tool_that_says_why_it_fails(case: Case, tool: PlayedTool) -> None:
    meter = opened(case)
    for stream in ("1", "2"):
        tool.does(f"echo 'driver not loaded' >&{stream}; exit 1")
        for attempt in (meter.read, lambda: opened(case)):
            with pytest.raises(MeterUnavailableError, match=rf"{case.meter}: .*driver not loaded"):
                attempt()


def test_rows_count_whatever_the_exit_status(case: Case, tool: PlayedTool) -> None:
    """With one device lost a tool fails, and prints the others' rows."""
    tool.says(*case.answers(case.text), then="exit 15")
    first, second = opened(case).read()
    assert (first.power_w, second.power_w) == case.watts


@pytest.mark.parametrize("text", ["", *GARBAGE.values()], ids=["nothing", *GARBAGE])
def test_a_tool_that_prints_nothing_or_garbage(case: Case, tool: PlayedTool, text: str) -> None:
    meter = opened(case)
    tool.does(f"cat {tool.folder / 'garbage'}")
    (tool.folder / "garbage").write_text(text)
    for attempt in (meter.read, lambda: opened(case)):
        with pytest.raises(MeterUnavailableError, match=rf"{case.meter}: "):
            attempt()


def test_a_device_that_is_lost_hides_no_other(case: Case, tool: PlayedTool) -> None:
    meter = opened(case)
    tool.says(*case.answers(case.without_first()))
    lost, alive = meter.read()
    assert (lost.power_w, lost.temperature_c, lost.memory_used_bytes) == (None, None, None)
    assert lost.raw and alive.power_w == case.watts[1]


def test_a_device_that_is_there_twice_is_not_believed(case: Case, tool: PlayedTool) -> None:
    meter = opened(case)
    tool.says(*case.answers(case.with_first_twice()))
    first = meter.read()[0]
    assert first.power_w is None and first.raw


def test_a_value_outside_its_limits_is_null_with_its_text(case: Case, tool: PlayedTool) -> None:
    meter = opened(case)
    tool.says(*case.answers(case.with_power(case.impossible)))
    bad, good = meter.read()
    assert (bad.power_w, good.power_w, good.raw) == (None, case.watts[1], None)
    assert bad.temperature_c is not None, "the others are what they were"
    assert case.impossible.strip(' ":') in (bad.raw or "")


@pytest.mark.parametrize("word", WORDS)
def test_a_word_for_absence_is_null(case: Case, tool: PlayedTool, word: str) -> None:
    meter = opened(case)
    number = "".join(letter for letter in case.power if letter in "0123456789.")
    unit = case.power.partition(number)[2].strip(' "')
    replaced = case.power.replace(number, word).replace(unit, "") if unit else case.power.replace(number, word)
    tool.says(*case.answers(case.with_power(replaced)))
    first, second = meter.read()
    assert (first.power_w, second.power_w) == (None, case.watts[1])
    assert (first.raw is not None) is case.absence_is_doubted
    assert (first.temperature_c is None) is case.row_is_one


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.other_unit], ids=lambda case: case.meter, indirect=True
)
def test_another_unit_is_converted(case: Case, tool: PlayedTool) -> None:
    tool.says(*case.answers(case.with_power(str(case.other_unit))))
    first = opened(case).read()[0]
    assert (first.power_w, first.raw) == (pytest.approx(case.watts[0]), None)


def test_a_device_that_the_tool_does_not_know(case: Case, tool: PlayedTool) -> None:
    unknown = device("0000:99:00.0") if case.pci else device(number=7)
    tool.says(*case.answers(case.text))
    with pytest.raises(MeterUnavailableError, match=f"{case.meter}: "):
        made(case).open([unknown])
    with pytest.raises(MeterUnavailableError, match=f"{case.meter}: no device was named yet"):
        made(case).open([])
