"""A disk that is full or gone: a sentence, an exit code of the table, and a report where one can be written."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from case_samples import make_case

import runner.launch.run_case as engine_module
from runner.config.division import Division
from runner.config.schema import Case
from runner.console.console import Console
from runner.core.errors import DataMissingError, StorageError, TouchstoneError, WorkerCrashedError, classify
from runner.core.events import EventWriter, Name, read_events
from runner.core.lasting_output import LastingOutput
from runner.core.lock import let_go
from runner.core.storage import CANNOT_WRITE, RESERVE, could_not_write, storage_error, write_all
from runner.launch import attempt as launch
from runner.launch.folder import claim
from runner.launch.run_case import CaseRunner
from runner.measure.step_records import StepRecord, StepsFile
from runner.record.report import load_report
from runner.worker import main as worker


def no_space(*_: object, **__: object) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Fixture:
    """An engine whose worker does nothing."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.case: Case = make_case("inspect")
        self.folder = claim(self.case, root / "run")
        self.out = io.StringIO()
        self.during: Callable[[], TouchstoneError | None] = lambda: None
        monkeypatch.setattr(engine_module, "attempt", lambda *_, **__: self.during())
        monkeypatch.setattr(engine_module, "draw", lambda *_: None)

    def run(self) -> int:
        console = Console(self.case, terminal=False, file=self.out)
        code = CaseRunner(
            case=self.case, folder=self.folder, division=Division(name="closed"), console=console, forked=False
        ).run()
        let_go(self.folder)
        return code

    @property
    def text(self) -> str:
        return " ".join(self.out.getvalue().split())


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fixture:
    return Fixture(tmp_path, monkeypatch)


def test_a_run_keeps_room_for_its_report_and_gives_it_back(engine: Fixture) -> None:
    sizes: list[int] = []

    def look() -> None:
        sizes.append((engine.folder / RESERVE).stat().st_size)

    engine.during = look
    assert engine.run() == 0
    assert sizes == [1024 * 1024]
    report = load_report(engine.folder / "report.json")
    assert RESERVE not in report.files and not (engine.folder / RESERVE).exists()


@pytest.mark.parametrize("moment", ["reserve", "attempt"])
def test_a_disk_that_fills_up_is_a_recorded_failure(
    engine: Fixture, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(engine_module, moment, no_space)
    assert engine.run() == 10
    report = load_report(engine.folder / "report.json")
    assert report.exit_code == 10 and report.error is not None
    assert report.error["class"] == "StorageError"
    assert f"The disk that holds {engine.folder} is full" in report.error["message"]
    assert "Traceback" not in engine.text


@pytest.mark.parametrize("fails", ["first", "always"])
def test_a_report_that_finds_no_room_is_said(engine: Fixture, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    """First there is no room for the report; then even the second attempt finds none."""
    real, calls = engine_module._save, []

    def save(folder: Path) -> Any:
        calls.append(folder)
        return no_space() if fails == "always" or len(calls) == 1 else real(folder)

    monkeypatch.setattr(engine_module, "_save", save)
    assert engine.run() == 10
    assert (engine.folder / "report.json").exists() == (fails == "first")
    assert f"The disk that holds {engine.folder} is full" in engine.text


def test_a_folder_that_vanishes_is_not_a_wrong_place(engine: Fixture) -> None:
    engine.during = lambda: shutil.rmtree(engine.folder)
    assert engine.run() == 10
    assert f"The run folder {engine.folder} is no longer there" in engine.text
    assert "run.root" not in engine.text


def test_pictures_that_find_no_room_undo_no_result(engine: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "draw", no_space)
    assert engine.run() == 0
    assert load_report(engine.folder / "report.json").status == "done"


def test_a_claim_that_finds_no_room_leaves_no_half_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(self: Case, path: Path) -> None:
        path.write_text("task:")
        no_space()

    monkeypatch.setattr(Case, "save", cut)
    with pytest.raises(TouchstoneError, match="No space left on device") as caught:
        claim(make_case(), tmp_path / "run")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run" / "run.yaml").exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/x/last.ckpt"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("[enforce fail at inline_container.cc:626] . PytorchStreamWriter failed writing file data/0"),
        OSError("Can't synchronously write data (file write failed: errno = 28, 'No space left on device')"),
    ],
)
def test_a_worker_knows_a_full_disk(error: Exception) -> None:
    assert isinstance(classify(error), StorageError)


def test_shared_memory_is_no_disk() -> None:
    assert isinstance(
        classify(RuntimeError("unable to write to file </torch_12_34>: No space left on device (28)")),
        WorkerCrashedError,
    )
    assert not isinstance(classify(OSError(errno.ENOENT, "No such file")), StorageError | DataMissingError)


def test_a_worker_that_cannot_even_tell_says_so_by_its_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = EventWriter(tmp_path / "events" / "rank0.log", rank=0)
    monkeypatch.setattr(events, "emit", no_space)
    assert worker.tell_failure(RuntimeError("any"), events) == CANNOT_WRITE
    told = launch._crash(CANNOT_WRITE, tmp_path)
    assert isinstance(told, StorageError) and f"The disk that holds {tmp_path} is full" in str(told)
    assert isinstance(launch._crash(1, tmp_path), WorkerCrashedError), "this disk has room"


def test_a_rank_that_fails_on_a_full_disk_is_known_by_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchrun ends with its own status, whatever its ranks' were."""
    full = os.statvfs_result((4096, 4096, 1000, 2, 2, 10, 10, 10, 0, 255))  # 2 blocks of 4 KiB are left
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    assert could_not_write(1, tmp_path) and not could_not_write(0, tmp_path)


def test_what_is_wrong_is_named() -> None:
    told = storage_error(OSError(errno.EACCES, "Permission denied", "/tmp/x"), Path("/"))
    assert "because of /tmp/x: Permission denied" in str(told)


def test_a_short_write_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    def three_bytes(file: int, data: memoryview) -> int:
        written.append(bytes(data[:3]))
        return len(written[-1])

    monkeypatch.setattr(os, "write", three_bytes)
    write_all(-1, b"12345678")
    assert written == [b"123", b"456", b"78"]


def test_a_line_that_was_cut_off_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events" / "rank0.log"
    events = EventWriter(path, rank=0)
    real, calls = os.write, []

    def fill(file: int, data: Any) -> int:
        calls.append(data)
        return real(file, bytes(data[:9])) if len(calls) == 1 else no_space()

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fill)
        with pytest.raises(OSError, match="No space"):
            events.emit(Name.STEP_END)
    assert path.read_bytes() == b"[PerfLog]"
    events.emit(Name.ERROR, {"message": "same writer"})
    events.close()
    path.write_bytes(path.read_bytes() + b"[Perf")
    EventWriter(path, rank=0).emit(Name.FINISHED, {"message": "another writer"})
    assert [event.name for event in read_events(path)[0]] == ["ERROR", "FINISHED"]


def test_steps_are_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StepsFile.create(tmp_path / "steps.csv")
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(data[:5])))
    record = StepRecord(
        step=1, seconds=0.5, core_seconds=0.25, samples=8, tokens=None, loss=2.5, learning_rate=0.1, offset_s=0.5
    )
    StepsFile(tmp_path / "steps.csv", rank=0).append("window", [record])
    assert (tmp_path / "steps.csv").read_text().splitlines()[1] == "0,1,window,0.5,0.25,8,,2.5,,"


class Broken(io.StringIO):
    """An output that fails from its second write on."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error, self.writes = error, 0

    def write(self, text: str) -> int:
        self.writes += 1
        if self.writes > 1:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "full"),
        BrokenPipeError(),
        OSError(errno.EIO, "the terminal is gone"),
        ValueError("closed"),
    ],
)
def test_an_output_that_fails_is_no_longer_written_to(error: Exception) -> None:
    below = Broken(error)
    output = LastingOutput(below)
    console = Console(make_case(), terminal=False, file=output)
    console.start(Path("outputs/run"), False)
    for _ in range(3):
        console.say("still there")
    output.flush()
    assert below.writes == 2 and not output.isatty()


def test_a_process_without_an_output_says_nothing() -> None:
    assert LastingOutput(None).write("text") == 4
    Console(make_case(), terminal=False, file=LastingOutput(None)).start(Path("outputs/run"), False)


def test_what_is_buffered_when_the_disk_fills_does_not_fail_at_the_end(tmp_path: Path) -> None:
    """Python would end with status 120."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as stream:
        output = LastingOutput(stream)
        output.write("text")
        output.flush()
        stream.flush()


def test_charts_that_cannot_be_drawn_are_no_error(engine: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(folder: Path, report: Any) -> Any:
        raise ModuleNotFoundError("No module named 'vl_convert'", name="vl_convert")

    monkeypatch.setattr(engine_module, "draw", draw)
    assert engine.run() == 0
    assert "no charts are drawn: the Python package vl_convert is missing here" in engine.text
    assert load_report(engine.folder / "report.json").status == "done"
