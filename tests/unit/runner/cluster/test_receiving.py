"""What nodes send lands where it belongs, on the head's clock, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.cluster.receiving import Receiver
from runner.cluster.wire import Message
from runner.core.events import PREFIX, EventWriter, Name, read_events


def _events(tmp_path: Path) -> bytes:
    path = tmp_path / "sent" / "rank1.log"
    writer = EventWriter(path, rank=1)
    writer.emit(Name.TRAIN_START, {"step": 0}, at=(1_000_060_000, 5.0))
    writer.emit(Name.TRAIN_END, {}, at=(1_000_061_500, 6.5))
    return path.read_bytes()


def test_events_of_a_clock_a_minute_ahead_stand_at_the_heads_time(tmp_path: Path) -> None:
    data = _events(tmp_path)
    Receiver(tmp_path, 1, 60.0).take(Message(kind="append", content={"file": "events/rank1.log"}, data=data))
    events, _ = read_events(tmp_path / "events" / "rank1.log")
    assert [event.time_ms for event in events] == [1_000_000_000, 1_000_001_500]
    assert [event.monotonic_s for event in events] == [5.0, 6.5], "windows are measured on the node's own clock"


def test_a_line_that_is_no_event_stays_as_it_is(tmp_path: Path) -> None:
    data = b"no event\n" + f"{PREFIX}{json.dumps({'event': 'X'})}\n".encode()
    Receiver(tmp_path, 1, 60.0).take(Message(kind="append", content={"file": "events/rank1.log"}, data=data))
    assert (tmp_path / "events" / "rank1.log").read_bytes() == data


def test_files_of_further_nodes_stay_apart_and_begin_anew(tmp_path: Path) -> None:
    receiver = Receiver(tmp_path, 2, 0.0)
    for first, data in ((True, b"old"), (True, b"new "), (False, b"and more")):
        receiver.take(Message(kind="file", content={"file": "power.csv", "first": first}, data=data))
    assert (tmp_path / "nodes" / "2" / "power.csv").read_bytes() == b"new and more"
    Receiver(tmp_path, 0, 0.0).take(Message(kind="file", content={"file": "power.csv", "first": True}, data=b"zero"))
    assert (tmp_path / "power.csv").read_bytes() == b"zero"


@pytest.mark.parametrize("name", ["../out.log", "/etc/passwd", "events/../../out"])
def test_no_name_leads_out_of_the_run_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="leads out"):
        Receiver(tmp_path / "run", 1, 0.0).take(Message(kind="append", content={"file": name}, data=b"x"))
