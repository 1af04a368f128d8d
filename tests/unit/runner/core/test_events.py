"""PerfLog lines survive being cut off, and keep FlagPerf's form."""

import json
from pathlib import Path

from runner.core.events import EventWriter, Name, parse_line, read_events


def test_a_line_has_flagperfs_form(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "rank3.log", rank=3)
    writer.emit(Name.STEP_END, {"loss": 1.5})
    line = (tmp_path / "rank3.log").read_text()
    assert line.startswith("[PerfLog] ") and line.endswith("\n")
    raw = json.loads(line.removeprefix("[PerfLog] "))
    assert raw["event"] == "STEP_END" and raw["value"] == {"loss": 1.5}
    assert raw["metadata"].keys() == {"file", "lineno", "time_ms", "monotonic_s", "rank"}
    assert (raw["metadata"]["file"], raw["metadata"]["rank"]) == ("test_events.py", 3)


def test_numbers_json_cannot_hold_become_null(tmp_path: Path) -> None:
    EventWriter(tmp_path / "a", rank=0).emit(Name.EVALUATE, {"quality": {"x": float("nan")}, "list": [float("inf"), 1]})
    events, _ = read_events(tmp_path / "a")
    assert events[0].value == {"quality": {"x": None}, "list": [None, 1]}


def test_reading_goes_on_where_it_stopped_and_waits_for_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "rank0.log"
    writer = EventWriter(path, rank=0)
    writer.emit(Name.INIT_START)
    first, offset = read_events(path)
    with path.open("a") as file:
        file.write('[PerfLog] {"event": "STEP_E')
    assert [event.name for event in first] == ["INIT_START"]
    assert read_events(path, offset) == ([], offset)


def test_foreign_and_broken_lines_are_not_events() -> None:
    assert parse_line("some library's chatter") is None
    assert parse_line('[PerfLog] {"event": "X"}') is None
    assert parse_line("[PerfLog] not json") is None


def test_reading_what_does_not_exist_yet_gives_nothing(tmp_path: Path) -> None:
    assert read_events(tmp_path / "none", 0) == ([], 0)
