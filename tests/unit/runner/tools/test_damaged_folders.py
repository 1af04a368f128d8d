"""Whatever is wrong with one run folder, commands over a whole tree say it and go on with the rest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_module
from report_samples import report, saved
from tracking_samples import fresh_database
from verified_folders import Maker, compose_case, make, rewrite

from runner.config import resolvers
from runner.core.events import Name
from runner.launch.folder import find_earlier
from runner.record.reading import UnreadableFolderError, reading
from runner.record.report import load_report
from runner.tools import report as report_command
from runner.tools import sync
from runner.tracking import store, write_parent
from runner.tracking.cursor import load_cursor
from runner.verify import __main__ as verify_command

os.environ.update(store.QUIET)
DEEP = "[" * 100_000 + "]" * 100_000
Damage = Callable[[Path], Any]


def text(name: str, content: str) -> Damage:
    return lambda run: (run / name).write_text(content)


def raw(name: str, content: bytes) -> Damage:
    return lambda run: (run / name).write_bytes(content)


def folder_instead(name: str) -> Damage:
    def damage(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return damage


def figure(**changes: Any) -> Damage:
    return lambda run: rewrite(run, lambda content: content["figures"]["throughput/steady"].update(changes))


def content(**changes: Any) -> Damage:
    return lambda run: rewrite(run, lambda whole: whole.update(changes))


def inside(part: str, **changes: Any) -> Damage:
    return lambda run: rewrite(run, lambda whole: whole[part].update(changes))


NO_REPORT: dict[str, Damage] = {
    "not JSON": text("report.json", "{"),
    "empty": text("report.json", ""),
    "a list": text("report.json", "[]"),
    "null": text("report.json", "null"),
    "deep JSON": text("report.json", DEEP),
    "deep inside": lambda run: (run / "report.json").write_text(
        (run / "report.json").read_text().replace('"case": {', f'"case": {{"deep": {DEEP[:500] + DEEP[-500:]},', 1)
    ),
    "no UTF-8": raw("report.json", b"\xff\xfe\x00{"),
    "text as a value": figure(value="fast"),
    "a list as a value": figure(value=[1.0]),
    "yes as a value": figure(value=True),
    "NaN as a value": figure(value=float("nan")),
    "infinity as a value": figure(value=float("inf")),
    "a value beyond numbers": figure(value=10**400),
    "null without a reason": figure(value=None),
    "a number as a unit": figure(unit=3),
    "a number as a reason": figure(value=None, reason=3),
    "half an interval": figure(interval=[1.0]),
    "text in an interval": figure(interval=["a", "b"]),
    "a further key of a figure": figure(colour="red"),
    "figures as a list": content(figures=[]),
    "a figure as a number": lambda run: rewrite(run, lambda whole: whole["figures"].update({"step/cv": 3})),
    "another schema": content(schema_version=99),
    "a further key": content(more=1),
    "an unknown status": content(status="fine"),
    "text as an exit code": content(exit_code="0"),
    "an error without a message": content(error={"class": "X"}),
    "warnings as text": content(warnings="none"),
    "a number among warnings": content(warnings=[3]),
    "the case as text": content(case="bert"),
    "a list inside the case": inside("case", task=["train"]),
    "text as a target": inside("case", quality_targets={"top1": "high"}),
    "an unknown division": inside("division", name="ajar"),
    "a change without a key": inside("division", changed=[{"value": 3}]),
    "changes as text": inside("division", changed="none"),
    "files as numbers": content(files={"run.yaml": 3}),
    "publication without parts": content(publication={"asked": {}}),
    "rules as numbers": inside("publication", rules=[3]),
    "published as text": content(published=["600"]),
}
"""Damages after which there is no report."""
LESS: dict[str, Damage] = {
    "run.yaml is no YAML": text("run.yaml", "task: {"),
    "run.yaml is empty": text("run.yaml", ""),
    "run.yaml is text": text("run.yaml", "hello"),
    "run.yaml is deep": text("run.yaml", DEEP),
    "run.yaml is binary": raw("run.yaml", b"\x00\xff"),
    "run.yaml has a tab": text("run.yaml", "task:\n\tname: train\n"),
    "run.yaml has an object": text("run.yaml", "!!python/object:os.system {}\n"),
    "run.yaml is a folder": folder_instead("run.yaml"),
    "parent.pid is text": text("parent.pid", "nobody"),
    "parent.pid is empty": text("parent.pid", ""),
    "parent.pid is binary": raw("parent.pid", b"\xff\xfe"),
    "parent.pid is huge": text("parent.pid", f"{10**30} 1.0\n"),
    "tracking.json is cut": text("tracking.json", "{"),
    "tracking.json is a list": text("tracking.json", "[]"),
    "tracking.json is deep": text("tracking.json", DEEP),
    "tracking.json has text as offsets": text("tracking.json", '{"offsets": "none"}'),
    "tracking.json has a number as a run": text("tracking.json", '{"run_id": 3}'),
    "tracking.json has a further key": text("tracking.json", '{"more": 3}'),
    "events are missing": lambda run: shutil.rmtree(run / "events"),
    "events of no rank": text("events/rankX.log", ""),
    "an event is a list": lambda run: append(run, '[PerfLog] {"event": "SEGMENT_END", "value": [1], "metadata": {}}'),
    "an event is deep": lambda run: append(run, f"[PerfLog] {DEEP}"),
    "a step is text": lambda run: append(run, "0,1,window,fast,fast,32,,1.0", name="steps.csv"),
    "steps.csv is binary": raw("steps.csv", b"\x00\xff\x00"),
    "power.csv is something else": text("power.csv", "a,b\n1,2\n"),
    "power.csv is binary": raw("power.csv", b"\xff\x00"),
    "its meters are a list": text("power.csv.meters.json", "[]"),
    "environment.json is cut": text("environment.json", "{"),
}
"""Damages beside a report that is whole."""
ALL = NO_REPORT | LESS


def append(run: Path, line: str, *, name: str = "events/rank0.log") -> None:
    with (run / name).open("a") as file:
        file.write(line + "\n")


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    resolvers.register()
    with initialize_config_module("conf", version_base="1.3"):
        yield


@pytest.fixture(scope="module")
def ruins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for each damage, and between them a good one; and each without its report beside it."""
    root = tmp_path_factory.mktemp("ruins") / "outputs"
    good = make(root / "day" / "m_good", "tracking=mlflow")
    for number, damage in enumerate(ALL.values()):
        damage(Path(shutil.copytree(good, root / "day" / f"{number:03}")))
    return root


@pytest.fixture
def outputs(ruins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(ruins, tmp_path / "outputs"))


def folder_of(outputs: Path, what: str) -> Path:
    return outputs / "day" / f"{list(ALL).index(what):03}"


def test_there_are_enough_of_them() -> None:
    assert len(ALL) >= 40


def test_the_report_leaves_out_what_cannot_be_read(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report_command.main([str(outputs), "--format", "json"]) == 0
    told = capsys.readouterr()
    assert "throughput/steady" in told.out
    for what in NO_REPORT:
        assert f"Left out: {folder_of(outputs, what)}: this folder cannot be read: " in told.err, what
    assert report_command.main([str(outputs)]) == 0


@pytest.mark.parametrize("what", LESS)
def test_a_killed_runs_report_is_made_or_its_folder_is_said(
    outputs: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    folder = folder_of(outputs, what)
    (folder / "report.json").unlink()
    code = report_command.main([str(folder)])
    told = capsys.readouterr()
    if code == 2:
        said = ("this folder cannot be read: ", "has no report and belongs to another machine")
        assert any(f"{folder}{between}{text}" in told.err for between in (": ", " ") for text in said) or (
            "No result lies in" in told.err
        )
    else:
        assert code == 0 and load_report(folder / "report.json").status == "done"


def test_verify_looks_at_all(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify_command.main([str(outputs), "--json"]) == 2
    runs = {run["folder"]: run for run in json.loads(capsys.readouterr().out)["runs"]}
    assert len(runs) == len(ALL) + 1
    assert runs[str(outputs / "day" / "m_good")]["exit_code"] == 0
    later = ("parent.pid", "tracking.json")  # written after the report: nothing of the result
    whole = [what for what in ALL if runs[str(folder_of(outputs, what))]["exit_code"] != 2]
    assert [what for what in whole if not what.startswith(later)] == []
    assert verify_command.main([str(outputs)]) == 2


def test_resuming_passes_over_them(outputs: Path) -> None:
    said: list[str] = []
    for folder in (outputs / "day").iterdir():
        (folder / "tracking.json").touch()
    found = find_earlier(compose_case("tracking=mlflow"), outputs, said.append)
    assert found is not None and load_report(found / "report.json").status == "done"
    for what in LESS:
        if what.startswith(("run.yaml", "parent.pid")) and "folder" not in what and "huge" not in what:
            assert any(f"{folder_of(outputs, what)}: this folder cannot be read" in text for text in said), what


def test_sync_files_the_rest(
    outputs: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(fresh_database(tmp_path_factory.getbasetemp()), outputs / "mlflow.db")
    kept = ("m_good", *(folder_of(outputs, what).name for what in ("not JSON", "NaN as a value", *LESS)))
    for folder in (outputs / "day").iterdir():
        if folder.name not in kept:
            shutil.rmtree(folder)
    assert sync.main([]) == 2
    told = capsys.readouterr().out
    assert "uploaded  outputs/day/m_good: done" in told
    broken = [what for what in LESS if what.startswith(("run.yaml", "tracking.json"))]
    for what in ("not JSON", "NaN as a value", *broken):
        folder = folder_of(outputs, what).relative_to(outputs.parent)
        assert f"bad folder  {folder}: this folder cannot be read: " in told, what


def test_a_damaged_sweep_does_not_end_the_filing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "outputs" / "sweep" / "0_case", "tracking=mlflow")
    shutil.copy(fresh_database(tmp_path_factory.getbasetemp()), tmp_path / "outputs" / "mlflow.db")
    (tmp_path / "outputs" / "sweep" / "tracking.json").write_text(DEEP)
    assert sync.main([]) in (1, 2)


def test_a_report_that_was_changed_is_said_and_never_filed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(tmp_path / "outputs" / "run", "tracking=mlflow")
    shutil.copy(fresh_database(tmp_path_factory.getbasetemp()), tmp_path / "outputs" / "mlflow.db")
    whole = json.loads((run / "report.json").read_text())
    whole["figures"]["throughput/steady"]["value"] = 99.0
    (run / "report.json").write_text(json.dumps(whole))
    assert sync.main([str(run)]) == 2
    assert "was changed after it was written" in capsys.readouterr().out
    assert load_cursor(run) is None, "nothing was begun to be filed"
    assert report_command.main([str(run)]) == 0
    assert "was changed after it was written" in " ".join(capsys.readouterr().err.split())


def test_a_run_that_goes_on_is_no_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker = Maker(tmp_path / "run", compose_case())
    maker.tell(0.0, Name.LAUNCH_TRAINING)
    write_parent(maker.folder)
    saved(tmp_path / "other", report())
    assert report_command.main([str(tmp_path)]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "still going on" in told and "cannot be read" not in told


@pytest.mark.parametrize("name", ["run.lock", "steps.csv", "events/rank0.log"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "run.lock").symlink_to("nowhere")  # said by whoever reads it
    with reading(tmp_path):
        pass
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(UnreadableFolderError, match=f"{name} is neither a file nor a folder"), reading(tmp_path):
        raise AssertionError("nothing may be opened")
