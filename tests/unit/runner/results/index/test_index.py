"""The index of results is a shortcut: it hides no run, shows none as it was before, and is missed by nobody."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from file_modes import modes_count
from report_samples import failed, report, saved
from verified_folders import rewrite

from runner.core.errors import ConfigurationError
from runner.core.events import EventWriter, Name
from runner.core.lock import let_go
from runner.core.owner import write_parent
from runner.record.report import Figure, Report, load_report
from runner.record.run_record import PARENT_LOG
from runner.results.find import find_runs, load_all, load_with_hash
from runner.results.index import Summary, contents, file, reading, summaries, summary_of
from runner.results.index.file import IndexFile, IndexRow

FILE = f"{file.NAME}{file.ENDING}"
SPEED = "throughput/steady"


class Reads:
    """Which folders' reports were read."""

    def __init__(self) -> None:
        self.folders: list[str] = []

    def __call__(self, folder: Path) -> object:
        self.folders.append(folder.name)
        return load_with_hash(folder)

    def of(self, *paths: Path) -> list[str]:
        """Those that a call reads."""
        self.folders.clear()
        summaries(paths)
        return sorted(self.folders)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Few runs get an index, and what was written just now is believed at once."""
    counted = Reads()
    monkeypatch.setattr(reading, "load_with_hash", counted)
    monkeypatch.setattr(file, "LEAST", 1)
    monkeypatch.setattr(contents, "COARSE_NS", 0)
    return counted


def speed(made: float, **changes: object) -> Report:
    return report(values={SPEED: made}, **changes)  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three runs in two days, of 100, 200 and 300 sequences a second."""
    for place, made in (("one/a", 100.0), ("one/b", 200.0), ("two/c", 300.0)):
        saved(tmp_path / "outputs" / place, speed(made))
    return tmp_path / "outputs"


def shown(*paths: Path) -> dict[str, float | None]:
    """Each run's speed by the name of its folder."""
    return {one.folder.name: one.figures[SPEED].value for one in summaries(paths)[0]}


def all_of(root: Path) -> dict[str, float | None]:
    """The same without an index."""
    return {folder.name: one.figures[SPEED].value for folder, one in load_all(find_runs(root))[0]}


def test_each_report_is_read_once(root: Path, reads: Reads) -> None:
    assert reads.of(root) == ["a", "b", "c"]
    assert (root / FILE).is_file()
    assert reads.of(root) == []
    assert shown(root) == {"a": 100.0, "b": 200.0, "c": 300.0}
    saved(root / "two" / "d", speed(400.0))
    assert reads.of(root) == ["d"]
    assert shown(root) == all_of(root) == {"a": 100.0, "b": 200.0, "c": 300.0, "d": 400.0}


def test_what_is_read_from_the_index_is_what_was_read_from_the_folder(tmp_path: Path, reads: Reads) -> None:
    folder = saved(tmp_path / "a", speed(100.0, intervals={SPEED: (90.0, 110.0)}, published=True, warnings=["Short."]))
    EventWriter(folder / "events" / PARENT_LOG, rank=-1).emit(Name.SUBMIT_INFO, at=(1_700_000_000_123, 5.0))
    saved(tmp_path / "b", failed(model="gpt2"))
    first, second = summaries([tmp_path])[0], summaries([tmp_path])[0]
    assert first == second and reads.folders == ["a", "b"]
    good, bad = second
    assert good.figures[SPEED] == Figure(value=100.0, unit="sequences/s", interval=(90.0, 110.0))
    assert good.figures["energy/per_sample_j"].reason is not None, "on the first screen a null has its reason"
    assert "energy/node_j" not in good.figures, "elsewhere it is left out"
    assert (good.started_ms, good.warnings, good.published[0]["value"]) == (1_700_000_000_123, ["Short."], 600)
    assert good.digest == json.loads((folder / "report.json").read_text())["hash"] and good.intact and good.publishable
    assert (bad.status, bad.exit_code, bad.error_class) == ("failed", 7, "DivergedError")
    assert bad.error_message == "The loss became NaN at step 12." and bad.started_ms is None


def test_a_published_or_imported_result_is_never_publishable(tmp_path: Path) -> None:
    imported = {"format": "flagperf", "version": "1", "file": "rank0.out.log", "sha256": "0" * 64}
    for made in (replace(report(), imported=imported), report(emulated=True), report(values={"run/emulated": 1.0})):
        assert not summary_of(made, tmp_path).publishable
    assert summary_of(report(), tmp_path).publishable


def edit(folder: Path) -> None:
    """Another speed of as many digits, as an editor saves it: in place."""
    path = folder / "report.json"
    path.write_text(path.read_text().replace("100.0", "999.0"))


def edit_and_set_the_time_back(folder: Path) -> None:
    before = (folder / "report.json").stat()
    edit(folder)
    os.utime(folder / "report.json", ns=(before.st_atime_ns, before.st_mtime_ns))


def edit_a_nanosecond_later(folder: Path) -> None:
    before = (folder / "report.json").stat()
    edit(folder)
    os.utime(folder / "report.json", ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def copy_over(folder: Path) -> None:
    """Another file of the same size and time."""
    before = (folder / "report.json").stat()
    draft = folder / "draft"
    draft.write_text((folder / "report.json").read_text().replace("100.0", "999.0"))
    os.utime(draft, ns=(before.st_atime_ns, before.st_mtime_ns))
    draft.replace(folder / "report.json")


def edit_before_it_was_made(folder: Path) -> None:
    """As with a clock that was set back."""
    edit(folder)
    os.utime(folder / "report.json", (0, 0))


@pytest.mark.parametrize(
    "change", [edit, edit_and_set_the_time_back, edit_a_nanosecond_later, copy_over, edit_before_it_was_made]
)
def test_a_report_that_was_edited_is_shown_as_it_is(root: Path, reads: Reads, change: Callable[[Path], None]) -> None:
    summaries([root])
    size = (root / "one/a/report.json").stat().st_size
    change(root / "one/a")
    assert (root / "one/a/report.json").stat().st_size == size
    assert reads.of(root) == ["a"]
    found, problems = summaries([root])
    assert found[0].figures[SPEED].value == 999.0 and not found[0].intact and not found[0].publishable
    (problem,) = problems
    assert f"{root / 'one/a'}: report.json was changed after it was written" in problem


def test_an_edit_between_two_ticks_of_a_coarse_clock_is_seen(
    root: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has the same size and times as when it was read, which was within two seconds of them."""
    monkeypatch.setattr(contents, "COARSE_NS", 2 * 10**9)
    summaries([root])
    path = root / "one/a/report.json"
    edit(root / "one/a")
    found = path.stat()
    stamp = f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}"
    kept = IndexFile(root)
    row = kept.rows("report.json")[b"one/a"]
    kept.keep("report.json", {b"one/a": row._replace(stamp=stamp, read_ns=found.st_ctime_ns + 1_900_000_000)})
    assert shown(root)["a"] == 999.0
    kept.keep("report.json", {b"one/a": row._replace(stamp=stamp, read_ns=found.st_ctime_ns + 2_100_000_000)})
    assert shown(root)["a"] == 100.0, "later than that, no file system has the same time for two states"


def test_what_was_written_just_now_is_compared_by_its_bytes_and_not_read_again(
    root: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "COARSE_NS", 2 * 10**9)
    assert reads.of(root) == ["a", "b", "c"]
    for moment_s in (0, -3600):  # the second: the clock was set back
        monkeypatch.setattr(time, "time_ns", lambda moment_s=moment_s: int((time.time() + moment_s) * 1e9))
        assert reads.of(root) == []
    assert shown(root) == {"a": 100.0, "b": 200.0, "c": 300.0}


def test_folders_that_are_gone_moved_or_swapped(root: Path, reads: Reads) -> None:
    summaries([root])
    shutil.rmtree(root / "one/b")
    assert shown(root) == {"a": 100.0, "c": 300.0}
    assert set(IndexFile(root).rows("report.json")) == {b"one/a", b"two/c"}
    (root / "two/c").rename(root / "one/c")
    assert shown(root) == {"a": 100.0, "c": 300.0}
    (root / "one/a").rename(root / "one/x")
    (root / "one/c").rename(root / "one/a")
    (root / "one/x").rename(root / "one/c")
    assert shown(root) == {"a": 300.0, "c": 100.0}
    (root / "one/a/report.json").unlink()
    assert shown(root) == {"c": 100.0}


def test_a_run_that_goes_on_is_said_and_shown_when_it_has_ended(root: Path, reads: Reads) -> None:
    summaries([root])
    folder = root / "one/d"
    (folder / "events").mkdir(parents=True)
    (folder / "run.yaml").touch()
    write_parent(folder)
    found, problems = summaries([root])
    assert len(found) == 3 and "still going on" in problems[0]
    speed(400.0).save(folder / "report.json")
    let_go(folder)
    assert shown(root)["d"] == 400.0


def test_a_copy_is_shown_once(root: Path, reads: Reads) -> None:
    shutil.copytree(root / "one/a", root / "two/a")
    for _ in range(2):
        found, problems = summaries([root])
        assert [str(one.folder.relative_to(root)) for one in found] == ["one/a", "one/b", "two/c"] and not problems
    shutil.rmtree(root / "one/a")
    assert [one.folder for one in summaries([root])[0]] == [root / "one/b", root / "two/a", root / "two/c"]


def test_roots_inside_each_other_and_runs_by_name(root: Path, reads: Reads) -> None:
    assert reads.of(root / "one") == ["a", "b"]
    assert reads.of(root, root / "one") == ["a", "b", "c"], "each root has an index of its own"
    assert shown(root, root / "one") == shown(root)
    assert reads.of(root / "two/c") == ["c"]
    assert reads.of(root / "two/c/report.json") == []
    assert not list((root / "two/c").glob(".*")), "a run's folder holds what the run left"
    saved(root / "two" / "d", speed(400.0))
    assert reads.of(root / "two/d") == ["d"]
    assert reads.of(root / "two/c") == [], "runs that were not asked for are not forgotten"
    with pytest.raises(ConfigurationError, match="There is no folder"):
        summaries([root, root / "three"])


def test_a_relative_root_and_one_with_strange_names(
    tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = tmp_path / "结果 #1?mode=ro%20"
    saved(strange / os.fsdecode(b"caf\xe9"), speed(100.0))
    assert len(reads.of(strange)) == 1
    monkeypatch.chdir(strange)
    assert reads.of(Path()) == [] and (strange / FILE).exists()
    assert list(shown(Path())) == [os.fsdecode(b"caf\xe9")]


def test_links(root: Path, reads: Reads, tmp_path: Path) -> None:
    summaries([root])
    (tmp_path / "link").symlink_to(root)
    assert reads.of(tmp_path / "link") == []
    assert len(summaries([tmp_path / "link"])[0]) == 3
    other = saved(tmp_path / "elsewhere", speed(900.0))
    (root / "one/linked").symlink_to(other)
    assert "linked" not in shown(root), "links to folders are not followed"
    path = root / "one/a/report.json"
    path.unlink()
    path.symlink_to(other / "report.json")
    assert shown(root)["a"] == 900.0
    speed(901.0).save(other / "report.json")
    assert shown(root)["a"] == 901.0
    path.unlink()
    path.symlink_to("report.json")
    assert shown(root) == {"b": 200.0, "c": 300.0}


def test_folders_that_may_not_be_read_are_said(root: Path, reads: Reads) -> None:
    summaries([root])
    for place, mode in (("one/a", 0o000), ("two", 0o000), ("two", 0o100)):
        before = (root / place).stat().st_mode
        (root / place).chmod(mode)
        try:
            with modes_count():
                found, problems = summaries([root])
        finally:
            (root / place).chmod(before)
        (problem,) = problems
        assert problem.startswith(f"Left out: {root / place}: this folder cannot be read: ") and "denied" in problem
        assert len(found) == 2
    assert len(summaries([root])[0]) == 3


def test_a_root_that_cannot_be_written(root: Path, reads: Reads) -> None:
    root.chmod(0o555)
    try:
        with modes_count():
            assert reads.of(root) == reads.of(root) == ["a", "b", "c"]
            assert not (root / FILE).exists()
        summaries([root])
        with modes_count():
            assert reads.of(root) == [], "an index that is there is used"
            edit(root / "one/a")
            assert shown(root)["a"] == 999.0
            (root / FILE).chmod(0o000)
            assert shown(root)["a"] == 999.0 and reads.of(root) == ["a", "b", "c"]
    finally:
        root.chmod(0o755)


def flip(path: Path) -> None:
    """One digit of one speed, inside the file."""
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("update files set value = replace(value, '100.0', '900.0')")


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def other_form(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("pragma user_version = 99")


def other_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("drop table files")
        store.execute("create table files (x)")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no database": lambda path: path.write_bytes(b"\x00\xff" * 4000),
    "text": lambda path: path.write_text("hello"),
    "empty": lambda path: path.write_text(""),
    "cut": cut,
    "a changed digit": flip,
    "of another form": other_form,
    "of other columns": other_table,
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_index_is_made_anew(root: Path, reads: Reads, what: str) -> None:
    summaries([root])
    DAMAGES[what](root / FILE)
    assert reads.of(root) == (["a"] if what == "a changed digit" else ["a", "b", "c"])
    assert shown(root) == {"a": 100.0, "b": 200.0, "c": 300.0}
    summaries([root])
    assert reads.of(root) == [], "it is used again"


def test_what_other_code_read_is_not_believed(root: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    summaries([root])
    monkeypatch.setattr(reading, "maker_of", lambda *_: "another version")
    assert reads.of(root) == ["a", "b", "c"]
    assert reads.of(root) == []


def test_sources_decide_the_maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "ROOT", tmp_path)
    (tmp_path / "part").mkdir()
    (tmp_path / "part/x.py").write_text("1")
    first = contents.maker_of.__wrapped__("part")
    assert contents.maker_of.__wrapped__("part") == first
    (tmp_path / "part/x.py").write_text("2")
    assert contents.maker_of.__wrapped__("part") != first


def test_an_index_of_somebody_else_is_not_believed(root: Path, reads: Reads, tmp_path: Path) -> None:
    """It could say anything about runs that are not theirs; nor is a link followed to whatever it leads to."""
    summaries([root])
    kept = IndexFile(root)
    rows = kept.rows("report.json")
    forged = {key: _forged(row) for key, row in rows.items()}
    kept.keep("report.json", forged)
    assert shown(root)["a"] == 900.0, "one's own is believed"
    if os.geteuid() == 0:
        os.chown(root / FILE, 12345, -1)
        assert shown(root)["a"] == 100.0
        assert (root / f"{file.NAME}.0{file.ENDING}").exists() and reads.of(root) == []
    precious = tmp_path / "precious"
    precious.write_text("no database")
    for path in root.glob(f"{file.NAME}*"):
        path.unlink()
        path.symlink_to(precious)
    assert shown(root)["a"] == 100.0 and precious.read_text() == "no database"


def _forged(row: IndexRow) -> IndexRow:
    return row._replace(value=row.value.replace("100.0", "900.0"))


def test_few_runs_leave_no_index(root: Path) -> None:
    summaries([root])
    assert not list(root.glob(".*"))


def test_progress_tells_of_what_must_be_read(root: Path, reads: Reads) -> None:
    told: list[tuple[int, int]] = []
    summaries([root], progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    summaries([root], progress=lambda done, total: pytest.fail("nothing must be read"))


def test_a_first_reading_that_is_broken_off_is_not_done_anew(
    root: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        summaries([root], progress=stop)
    assert reads.of(root) == ["c"]


READER = """
import sys
from pathlib import Path
from runner.results.index import file
from runner.results.index import summaries
file.LEAST = 1
for _ in range(5):
    found, problems = summaries([Path(sys.argv[1])])
    assert len(found) == 30 and not problems, (len(found), problems)
    for path in Path(sys.argv[1]).glob(".touchstone*"):
        path.unlink(missing_ok=True) if sys.argv[2] == "deletes" else None
"""


def test_several_processes_at_once(tmp_path: Path, reads: Reads) -> None:
    for number in range(30):
        saved(tmp_path / f"{number:02}", speed(100.0 + number))
    kinds = ("reads", "deletes", "reads")
    others = [subprocess.Popen([sys.executable, "-c", READER, str(tmp_path), kind]) for kind in kinds]
    assert [other.wait() for other in others] == [0, 0, 0]
    assert len(shown(tmp_path)) == 30
    assert reads.of(tmp_path) == [] and shown(tmp_path) == all_of(tmp_path)


def test_another_writer_is_not_waited_for_long(root: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    summaries([root])
    monkeypatch.setattr(file, "WAIT_S", 0.05)
    for kind in ("begin immediate", "begin exclusive"):
        with closing(sqlite3.connect(root / FILE, isolation_level=None)) as writer:
            writer.execute(kind)
            edit(root / "one/a")
            began_s = time.monotonic()
            assert shown(root)["a"] == 999.0
            assert time.monotonic() - began_s < 5
            speed(100.0).save(root / "one/a/report.json")
    assert shown(root) == {"a": 100.0, "b": 200.0, "c": 300.0}
    assert (root / FILE).exists(), "it was busy, not damaged"


def test_a_report_that_is_replaced_again_and_again_is_never_shown_torn(root: Path, reads: Reads) -> None:
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            speed(1000.0 + number).save(root / "one/a/report.json")

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[float] = []
    try:
        for _ in range(30):
            value = shown(root)["a"]
            assert value is not None
            seen.append(value)
    finally:
        ended.set()
        writer.join()
    assert seen == sorted(seen), "never an earlier one after a later one"
    assert shown(root)["a"] == load_report(root / "one/a/report.json").figures[SPEED].value


def test_a_report_that_is_replaced_while_it_is_read_is_read_again(
    root: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(folder: Path) -> object:
        found = load_with_hash(folder)
        if folder.name == "a":
            speed(999.0).save(folder / "report.json")
        return found

    monkeypatch.setattr(reading, "load_with_hash", read)
    assert shown(root)["a"] == 100.0, "as it was when it was read"
    monkeypatch.setattr(reading, "load_with_hash", reads)
    assert b"one/a" not in IndexFile(root).rows("report.json")
    assert shown(root)["a"] == 999.0


def test_unreadable_reports_are_said_each_time(root: Path, reads: Reads) -> None:
    (root / "one/a/report.json").write_text("{")
    for _ in range(2):
        found, problems = summaries([root])
        assert len(found) == 2
        assert problems[0].startswith(f"Left out: {root / 'one/a'}: this folder cannot be read: ")
    rewrite_target = root / "one/b"
    rewrite(rewrite_target, lambda content: content["figures"][SPEED].update(value=250.0))
    assert shown(root)["b"] == 250.0


def test_a_summary_holds_plain_copies(root: Path, reads: Reads) -> None:
    one: Summary = summaries([root])[0][0]
    one.case["model"] = "changed"
    one.figures.clear()
    assert summaries([root])[0][0].case["model"] == "bert" and summaries([root])[0][0].figures
