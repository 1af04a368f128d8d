"""Which earlier run `resume=true` finds: the index may shorten the search, and never decides it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml
from case_samples import make_case
from report_samples import failed, report

from runner.config.schema import Case, case_from_dict
from runner.core.lock import let_go
from runner.core.own import ROOT
from runner.core.owner import write_parent
from runner.launch.folder import claim, find_earlier
from runner.results.index import contents, file, identities
from runner.results.index.file import IndexFile
from runner.results.index.identities import case_kind

FILE = f"{file.NAME}{file.ENDING}"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of the cases that were read from a `run.yaml`; few runs get an index."""
    read: list[int] = []

    def count(values: dict[str, Any]) -> Case:
        read.append(values["seed"])
        return case_from_dict(values)

    monkeypatch.setattr(identities, "case_from_dict", count)
    monkeypatch.setattr(file, "LEAST", 1)
    monkeypatch.setattr(contents, "COARSE_NS", 0)
    return read


def made(
    root: Path, name: str, *, status: str | None = "done", at_s: int = 0, checkpoint: bool = False, **changes: Any
) -> Path:
    """A run of the sample case that has ended, `at_s` after all others."""
    case = make_case("converge", **changes)
    folder = claim(case, root / name)
    let_go(folder)
    (folder / "events").mkdir()
    if checkpoint:
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "last.ckpt").touch()
    if status is not None:
        (report() if status == "done" else failed()).save(folder / "report.json")
    os.utime(folder / "run.yaml", (1_700_000_000 + at_s,) * 2)
    return folder


def found(root: Path, **changes: Any) -> str | None:
    folder = find_earlier(make_case("converge", **changes), root)
    return None if folder is None else folder.name


def test_cases_are_read_once_and_equal_ones_once_for_all(tmp_path: Path, parsed: list[int]) -> None:
    for number, seed in enumerate((1, 2, 1, 1)):
        made(tmp_path / "day", f"run{number}", seed=seed, at_s=number)
    assert found(tmp_path, seed=1) == "run3"
    assert parsed == [1, 2], "the other files are equal"
    assert found(tmp_path, seed=2) == "run1" and found(tmp_path, seed=3) is None
    assert parsed == [1, 2]
    made(tmp_path / "day", "run4", seed=3)
    assert found(tmp_path, seed=3) == "run4" and parsed == [1, 2, 3]


def test_a_good_result_goes_before_a_newer_checkpoint_and_the_newest_before_others(
    tmp_path: Path, parsed: list[int]
) -> None:
    made(tmp_path, "old", at_s=0)
    made(tmp_path, "killed", status=None, checkpoint=True, at_s=5)
    made(tmp_path, "bad", status="failed", at_s=6)
    for _ in range(2):
        assert found(tmp_path) == "old"
    made(tmp_path, "new", at_s=1)
    assert found(tmp_path) == "new"
    shutil.rmtree(tmp_path / "old")
    shutil.rmtree(tmp_path / "new")
    assert found(tmp_path) == "killed"
    (tmp_path / "killed/checkpoints/last.ckpt").unlink()
    assert found(tmp_path) is None, "there is nothing to go on from"


def test_a_case_that_was_edited_or_exchanged_is_another(tmp_path: Path, parsed: list[int]) -> None:
    folder = made(tmp_path, "run", seed=1111)
    assert found(tmp_path, seed=1111) == "run"
    path = folder / "run.yaml"
    before = path.stat()
    path.write_text(path.read_text().replace("seed: 1111", "seed: 2222"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert found(tmp_path, seed=1111) is None and found(tmp_path, seed=2222) == "run"
    made(tmp_path, "other", seed=3333)
    found(tmp_path, seed=3333)
    (tmp_path / "run").rename(tmp_path / "x")
    (tmp_path / "other").rename(tmp_path / "run")
    (tmp_path / "x").rename(tmp_path / "other")
    assert (found(tmp_path, seed=3333), found(tmp_path, seed=2222)) == ("run", "other")


def test_an_index_that_lies_resumes_nothing(tmp_path: Path, parsed: list[int]) -> None:
    made(tmp_path, "run", seed=1)
    assert found(tmp_path, seed=1) == "run"
    kept = IndexFile(tmp_path)
    (row,) = kept.rows("run.yaml").values()
    lie = json.loads(row.value) | {"identity": make_case("converge", seed=2).identity}
    kept.keep("run.yaml", {b"run": row._replace(value=json.dumps(lie))})
    assert found(tmp_path, seed=2) is None


def test_identities_that_other_code_computed_are_not_believed(
    tmp_path: Path, parsed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a new key in a case, the identities of all earlier runs are others; the runs are found all the same."""
    made(tmp_path, "run")
    assert found(tmp_path) == "run"
    deciding = Case.deciding
    monkeypatch.setattr(Case, "deciding", lambda self: deciding(self) | {"new": "key"})
    assert found(tmp_path) is None, "the sources are the same: nobody can see that"
    monkeypatch.setattr(identities, "_maker", lambda: "with the new key")
    assert found(tmp_path) == "run"


def test_every_source_of_a_case_decides_what_is_believed() -> None:
    """A dataclass of a case that lies elsewhere would change identities unseen."""
    seen: set[type] = set()

    def look(kind: Any) -> None:
        for part in typing.get_args(kind):
            look(part)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind not in seen:
            seen.add(kind)
            for hint in typing.get_type_hints(kind, include_extras=True).values():
                look(hint)

    look(Case)
    assert len(seen) > 20
    for kind in seen:
        path = Path(str(sys.modules[kind.__module__].__file__)).relative_to(ROOT)
        whole = any(path.is_relative_to(place) for place in identities.SOURCES)
        assert whole or path.parent.as_posix() in identities.FOLDERS, path


def test_what_cannot_be_read_is_said_each_time(tmp_path: Path, parsed: list[int]) -> None:
    made(tmp_path, "good")
    for name, text in (("cut", "task: {"), ("invalid", "task: 3\n"), ("unknown", "task: {name: nothing}\nseed: 7\n")):
        (made(tmp_path, name) / "run.yaml").write_text(text)
    invalid = made(tmp_path, "minus")
    values = yaml.safe_load((invalid / "run.yaml").read_text())
    (invalid / "run.yaml").write_text(yaml.safe_dump(values | {"seed": -5}))
    (tmp_path / "without").mkdir()
    report().save(tmp_path / "without/report.json")
    said: list[list[str]] = [[], []]
    for lines in said:
        assert find_earlier(make_case("converge"), tmp_path, lines.append) == tmp_path / "good"
    assert said[0] == said[1] and len(said[0]) == 5
    for name in ("cut", "invalid", "minus", "unknown", "without"):
        (line,) = [line for line in said[0] if f"{tmp_path / name}: this folder cannot be read: " in line]
        assert line.startswith("resume=true passes over ")
    assert parsed.count(-5) == 1, "a value that is not valid stays so"
    rows = IndexFile(tmp_path).rows("run.yaml")
    assert set(rows) == {b"good", b"minus"}, "the package of an unknown task may be installed later"


def test_a_run_that_goes_on_is_not_resumed(tmp_path: Path, parsed: list[int]) -> None:
    folder = made(tmp_path, "run")
    assert found(tmp_path) == "run"
    write_parent(folder)
    assert found(tmp_path) is None
    let_go(folder)
    assert found(tmp_path) == "run"


def test_a_deeply_nested_case_does_not_end_the_process(tmp_path: Path, parsed: list[int]) -> None:
    """The parser in C overruns its stack on these."""
    made(tmp_path, "good")
    for number, text in enumerate(("[" * 100_000, "- " * 30_000 + "x", "{a: " * 20_000, "? " * 60_000)):
        (made(tmp_path, f"deep{number}") / "run.yaml").write_text(text)
    said: list[str] = []
    assert find_earlier(make_case("converge"), tmp_path, said.append) == tmp_path / "good"
    assert len(said) == 4


def test_a_root_that_is_not_there_has_no_earlier_run(tmp_path: Path) -> None:
    assert find_earlier(make_case("converge"), tmp_path / "nowhere") is None


def test_a_foreign_tasks_module_is_a_source_of_its_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "foreign_task.py"
    module.write_text("from runner.tasks.train import Train\n\n\nclass Foreign(Train):\n    name = 'foreign'\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = case_kind("foreign_task.Foreign").maker
    assert before != case_kind("train").maker == case_kind().maker
    module.write_text(module.read_text() + "    serves = True\n")
    contents.maker_of.cache_clear()
    assert case_kind("foreign_task.Foreign").maker != before
