"""A result is intact only as it was written: whatever is tampered with is found. What is too little is said."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_module
from verified_folders import PROBED, STEPS, Maker, compose_case, make, rewrite

from hardware.sampling.trace_file import SAMPLER, TraceRow, TraceWriter
from runner.config import resolvers
from runner.config.fairness import division_of
from runner.core.events import Name
from runner.record.report import load_report
from runner.record.run_record import PARENT_LOG
from runner.results.build import build
from runner.verify.__main__ import main
from runner.verify.folder import verify
from runner.verify.integrity import _as_stated, same
from runner.verify.verdict import Verdict


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    resolvers.register()
    with initialize_config_module("conf", version_base="1.3"):
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("good") / "run")


@pytest.fixture
def good(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "run"))


def outcome(verdict: Verdict, name: str) -> str:
    (check,) = (check for check in verdict.checks if check.name == name)
    return check.outcome


def text(verdict: Verdict, name: str) -> str:
    (check,) = (check for check in verdict.checks if check.name == name)
    return check.text


def edit(path: Path, before: str, after: str) -> None:
    content = path.read_text()
    assert before in content
    path.write_text(content.replace(before, after, 1))


def file_in(folder: Path) -> None:
    folder.mkdir()
    (folder / "more.txt").write_text("more\n")


def test_a_good_run_is_intact_and_publishable(good: Path) -> None:
    before = {path: path.read_bytes() for path in good.rglob("*") if path.is_file()}
    verdict = verify(good)
    assert verdict.reasons == [] and verdict.exit_code == 0 and verdict.words == "publishable"
    names = {"schema", "hash", "files", "environment", "rebuilt", "division", "precision", "steadiness", "window"}
    assert names <= {check.name for check in verdict.checks}
    others = {check.name for check in verdict.checks if check.outcome != "ok"}
    assert others == {"throttling", "accuracy"}, "it serves nothing, and no meter of the host CPU tells of it"
    assert "36.0 s and 60 steps" in text(verdict, "window") and "3600 J" in text(verdict, "energy")
    assert before == {path: path.read_bytes() for path in good.rglob("*") if path.is_file()}, "it only reads"


def test_the_report_covers_its_files(good: Path) -> None:
    stated = load_report(good / "report.json").files
    assert set(stated) == {
        *("run.yaml", "steps.csv", "power.csv", "power.csv.meters.json", "environment.json"),
        *("events/parent.log", "events/rank0.log"),
    }


TAMPERED: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "a figure in the report": (lambda run: edit(run / "report.json", '"value": 53.3333', '"value": 93.3333'), {"hash"}),
    "the seed in run.yaml": (lambda run: edit(run / "run.yaml", "seed: 1234", "seed: 1235"), {"files", "division"}),
    "the learning rate in run.yaml": (
        lambda run: edit(run / "run.yaml", "lr: 0.1", "lr: 0.2"),
        {"files", "rebuilt", "division"},
    ),
    "run.yaml cut": (lambda run: (run / "run.yaml").write_text("task: {"), {"files", "case"}),
    "run.yaml gone": (lambda run: (run / "run.yaml").unlink(), {"files", "case"}),
    "a step": (lambda run: edit(run / "steps.csv", "0.6,0.6", "0.5,0.5"), {"files", "rebuilt"}),
    "steps gone": (lambda run: (run / "steps.csv").unlink(), {"files", "rebuilt", "consistent"}),
    "power": (lambda run: edit(run / "power.csv", "100.0", "99.0"), {"files"}),
    "power gone": (lambda run: (run / "power.csv").unlink(), {"files", "rebuilt"}),
    "a power trace of another kind": (
        lambda run: (run / "power.csv").write_text("a,b\n"),
        {"files", "rebuilt", "events"},
    ),
    "how meters were read": (lambda run: edit(run / "power.csv.meters.json", "0.1", "0.3"), {"files"}),
    "another rank's events": (
        lambda run: shutil.copy(run / "events/rank0.log", run / "events/rank1.log"),
        {"files"},
    ),
    "what the worker printed": (lambda run: (run / "worker.log").write_text("Nothing to see.\n"), {"files"}),
    "a file in a folder of its own": (lambda run: file_in(run / "notes"), {"files"}),
    "a trace beside it": (lambda run: (run / "more.csv").write_text("a\n"), {"files"}),
    "environment.json": (lambda run: edit(run / "environment.json", "Some CPU", "Other CPU"), {"environment"}),
    "the window in the events": (
        lambda run: edit(run / "events/rank0.log", '"seconds": 36.0', '"seconds": 31.0'),
        {"files", "rebuilt", "consistent"},
    ),
    "the end in the events": (
        lambda run: edit(run / "events" / PARENT_LOG, '"exit_code": 0', '"exit_code": 7'),
        {"rebuilt"},
    ),
    "events gone": (lambda run: shutil.rmtree(run / "events"), {"rebuilt"}),
    "an event of another form": (
        lambda run: edit(run / "events/rank0.log", '"begin_s"', '"start_s"'),
        {"rebuilt", "events"},
    ),
    "a report that is none": (lambda run: (run / "report.json").write_text("{}"), {"schema"}),
    "a report cut short": (lambda run: edit(run / "report.json", '"hash"', ""), {"schema"}),
    "no report": (lambda run: (run / "report.json").unlink(), {"schema"}),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_whatever_is_changed_is_found(good: Path, what: str) -> None:
    tamper, found = TAMPERED[what]
    tamper(good)
    verdict = verify(good)
    assert verdict.exit_code == 2 and not verdict.intact
    assert found <= {check.name for check in verdict.checks if check.outcome == "failed"}


def test_a_new_hash_does_not_make_a_figure_true(good: Path) -> None:
    rewrite(good, lambda content: content["figures"]["throughput/steady"].update(value=99.0))
    verdict = verify(good)
    assert outcome(verdict, "hash") == "ok" and verdict.exit_code == 2
    assert "throughput/steady is stated as 99 and comes to 53.3333" in text(verdict, "rebuilt")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda content: content["warnings"].clear() or content.update(status="killed"), "status"),
        (lambda content: content["case"].update(chip="H200"), "case.chip"),
        (lambda content: content["precision"].update(autocast="bfloat16"), "precision.autocast"),
        (lambda content: content["environment"].update(python="4"), "environment.python"),
        (lambda content: content["figures"].pop("step/cv"), "step/cv is missing"),
        (lambda content: content["figures"].update({"x/y": content["figures"]["step/cv"]}), "x/y is not known"),
        (lambda content: content["figures"]["step/cv"].update(unit="s"), "step/cv (its unit"),
    ],
)
def test_nothing_else_of_the_report_can_be_changed_either(good: Path, change: Any, name: str) -> None:
    rewrite(good, change)
    verdict = verify(good)
    assert verdict.exit_code == 2 and name in text(verdict, "rebuilt")


def test_a_division_that_does_not_follow_from_run_yaml_is_found(tmp_path: Path) -> None:
    run = make(tmp_path / "run", "model.train.optimizer.lr=9", changes={"name": "closed", "changed": []})
    verdict = verify(run)
    assert verdict.exit_code == 2 and outcome(verdict, "rebuilt") == "ok"
    assert text(verdict, "division") == "stated as closed, and run.yaml comes to open: model.train.optimizer.lr"


def test_an_open_run_that_says_so_is_intact(tmp_path: Path) -> None:
    verdict = verify(make(tmp_path / "run", "model.train.optimizer.lr=9", "model.train.batch_size=16"))
    assert verdict.exit_code == 0 and text(verdict, "division") == "open: model.train.optimizer.lr"


def test_a_report_without_digests_is_not_publishable(good: Path) -> None:
    rewrite(good, lambda content: content.pop("files"))
    verdict = verify(good)
    assert load_report(good / "report.json").files == {}
    assert verdict.intact and verdict.exit_code == 1
    assert outcome(verdict, "hash") == "ok" and outcome(verdict, "files") == "failed"


def test_another_versions_figures_are_no_proof_of_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(tmp_path / "run")
    rewrite(run, lambda content: content["figures"]["step/mean_ms"].update(value=1.0))
    assert verify(run).exit_code == 2
    monkeypatch.setattr("runner.verify.integrity.version", lambda package: "99")
    assert verify(run).exit_code == 1


def test_a_warning_that_does_not_follow_from_the_folder_is_found(good: Path) -> None:
    rewrite(good, lambda content: content["warnings"].append("Verified by the vendor."))
    assert "warnings" in text(verify(good), "rebuilt")


def test_what_is_written_after_the_report_is_not_covered(good: Path) -> None:
    for name in ("tracking.json", "tracking.lock", "parent.pid", "checkpoints/last.ckpt"):
        (good / name).parent.mkdir(exist_ok=True)
        (good / name).write_text("x")
    assert verify(good).exit_code == 0


DOCTORED = {
    "a shorter window": ('"seconds": 36.0', '"seconds": 18.0', "told as 18 s, its edges lie 36 s apart"),
    "later edges": ('"begin_s": 5.0', '"begin_s": 23.0', "told as 36 s, its edges lie 18 s apart"),
    "more samples": ('"samples": 1920', '"samples": 3840', "3,840 samples were told, steps.csv has 1,920"),
    "more steps": ('"steps": 60', '"steps": 90', "90 steps were told, steps.csv has 60"),
}


@pytest.mark.parametrize("what", DOCTORED)
def test_a_report_made_anew_from_doctored_events_is_found(good: Path, what: str) -> None:
    before, after, told = DOCTORED[what]
    edit(good / "events/rank0.log", before, after)
    build(good, by_run=True).save(good / "report.json")
    verdict = verify(good)
    assert outcome(verdict, "hash") == outcome(verdict, "files") == outcome(verdict, "rebuilt") == "ok"
    assert verdict.exit_code == 2 and told in text(verdict, "consistent")


def test_a_window_moved_away_from_its_marks_is_found(tmp_path: Path) -> None:
    maker = Maker(tmp_path / "run", compose_case())
    maker.begin({"name": "closed", "changed": []})
    maker.measure()
    trace = TraceWriter(maker.folder / "power.csv")
    for at_s, mark in ((4.9, "segment_begin:0"), (41.1, "segment_end:0")):
        trace.write(TraceRow(monotonic_s=at_s, unix_s=at_s, mark=mark, meter=SAMPLER))
    trace.close()
    maker.end()
    run = maker.save()
    assert outcome(verify(run), "consistent") == "ok"
    edit(run / "events/rank0.log", '"begin_s": 5.0, "end_s": 41.0', '"begin_s": 15.0, "end_s": 51.0')
    build(run, by_run=True).save(run / "report.json")
    assert "does not lie between its marks" in text(verify(run), "consistent")


def test_a_report_that_the_run_did_not_make_is_not_publishable(good: Path) -> None:
    build(good).save(good / "report.json")
    verdict = verify(good)
    assert verdict.intact and verdict.exit_code == 1 and "afterwards" in text(verdict, "origin")


def test_a_report_of_an_earlier_version_is_not_publishable_and_no_forgery(good: Path) -> None:
    def as_before(content: dict[str, Any]) -> None:
        del content["publication"]
        content["files"] = {name: content["files"][name] for name in ("run.yaml", "steps.csv", "power.csv")}

    rewrite(good, as_before)
    verdict = verify(good)
    assert "earlier version" in text(verdict, "files") and outcome(verdict, "window") == "failed"
    assert outcome(verdict, "stated") == "failed", "its run/publishable=1 follows from nothing"


def test_a_warning_that_was_left_out_is_found(tmp_path: Path) -> None:
    run = make(tmp_path / "run", "measure=strict", "measure.repeats=1")
    assert load_report(run / "report.json").warnings
    rewrite(run, lambda content: content["warnings"].clear())
    assert "warnings" in text(verify(run), "rebuilt")


UNPUBLISHABLE: dict[str, tuple[tuple[str, ...], dict[str, Any], str, str]] = {
    "scale": (("scale=tiny",), {}, "scale", "tiny"),
    "measure": (("measure=smoke",), {}, "measure", "not for publication"),
    "emulated": (("vendor=kunlunxin", "emulate=true"), {}, "emulated", "Kunlunxin"),
    "window": ((), {"steps": 49}, "window", "29.4 s and 49 steps, where 30 s and 50 steps"),
    "repeats": (("measure=strict", "measure.repeats=1"), {"steps": 200}, "repeats", "1, where measure=strict has 3"),
    "precision": ((), {"probed": PROBED | {"matmul_mantissa_bits": 10}}, "precision", "expected 23, found 10"),
    "no probe": ((), {"probed": {}}, "precision", "the probe told nothing"),
    "host": ((), {"others": 0.3}, "host", "others took 30.0% of its processors, where less than 5% is asked for"),
    "energy": ((), {"power_from_s": 15.0}, "energy", "the meters saw 72% of a segment"),
}


@pytest.mark.parametrize("what", UNPUBLISHABLE)
def test_what_should_not_be_published_is_said(tmp_path: Path, what: str) -> None:
    overrides, measured, name, told = UNPUBLISHABLE[what]
    verdict = verify(make(tmp_path / "run", *overrides, **measured))
    assert verdict.intact and verdict.exit_code == 1
    assert outcome(verdict, name) == "failed" and told in text(verdict, name)


def test_no_energy_is_said_and_no_fault(tmp_path: Path) -> None:
    verdict = verify(make(tmp_path / "run", power_from_s=49.0))
    assert outcome(verdict, "energy") == "not applicable" and "none was measured" in text(verdict, "energy")
    assert verdict.exit_code == 0


@pytest.mark.parametrize("vendor", ["cpu", "nvidia"])
def test_others_on_the_host_are_a_fault_whatever_the_device_and_so_is_not_to_know(tmp_path: Path, vendor: str) -> None:
    unknown = verify(make(tmp_path / "unknown", f"vendor={vendor}", others=None))
    assert outcome(unknown, "host") == "failed" and "were not read" in text(unknown, "host")
    assert unknown.intact and unknown.exit_code == 1
    disturbed = verify(make(tmp_path / "disturbed", f"vendor={vendor}", others=0.3))
    assert outcome(disturbed, "host") == "failed" and "30.0%" in text(disturbed, "host")


def test_a_run_that_was_not_steady(tmp_path: Path) -> None:
    case = compose_case()
    maker = Maker(tmp_path / "run", case)
    maker.begin({"name": "closed", "changed": []})
    maker.measure()
    maker.tell(55.0, Name.WARMUP_END, {"steady": False, "steps": 9, "seconds": 2.0, "reason": "the cap was reached"})
    maker.end()
    verdict = verify(maker.save())
    assert verdict.exit_code == 1 and "the cap was reached" in text(verdict, "steadiness")


def test_a_resumed_run_whose_killed_part_was_not_steady(tmp_path: Path) -> None:
    maker = Maker(tmp_path / "run", compose_case())
    maker.begin({"name": "closed", "changed": []})
    maker.tell(1.0, Name.WARMUP_END, {"steady": False, "steps": 9, "seconds": 2.0, "reason": "the cap was reached"})
    maker.tell(1.5, Name.CHECKPOINT, {"step": 9, "samples": 9, "file": "checkpoints/last.ckpt"})
    maker.measure(from_step=9)
    maker.end()
    folder = maker.save()
    verdict = verify(folder)
    assert verdict.exit_code == 1 and "the cap was reached" in text(verdict, "steadiness")
    figures = build(folder).figures
    assert figures["run/steady"].value == figures["run/publishable"].value == 0
    assert "Not steady: the cap was reached." in build(folder).warnings


def test_a_failed_run_is_intact(tmp_path: Path) -> None:
    maker = Maker(tmp_path / "run", compose_case())
    maker.begin({"name": "closed", "changed": []})
    maker.tell(9.0, Name.LAUNCH_END, {"exit_code": 7, "class": "DivergedError", "message": "x"})
    verdict = verify(maker.save())
    assert verdict.exit_code == 1 and text(verdict, "status") == "failed (exit 7, DivergedError)"
    assert text(verdict, "precision") == "the probe did not say what really ran"
    assert load_report(tmp_path / "run/report.json").figures["run/publishable"].value == 0.0


def test_inspecting_is_no_measurement(tmp_path: Path) -> None:
    maker = Maker(tmp_path / "run", compose_case("task=inspect"))
    maker.begin({"name": "closed", "changed": []})
    maker.end()
    verdict = verify(maker.save())
    assert verdict.exit_code == 1 and verdict.reasons == [f"task: {text(verdict, 'task')}"]


@pytest.fixture(scope="module")
def thrice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outer = compose_case("measure.repeats=3")
    changes = division_of(outer)
    told = {"name": changes.name, "changed": changes.changed}
    whole = Maker(tmp_path_factory.mktemp("thrice") / "run", outer)
    whole.begin(told)
    for number in "123":
        one = Maker(whole.folder / "repeats" / number, compose_case("measure.repeats=1"))
        one.begin(told)
        one.measure(steps=STEPS + int(number))
        one.end()
        one.save()
    whole.end()
    return whole.save()


def test_repeats_are_covered_and_joined(thrice: Path, tmp_path: Path) -> None:
    verdict = verify(thrice)
    assert verdict.exit_code == 0, verdict.reasons
    assert text(verdict, "repeats") == "3" and "36.6 s and 61 steps" in text(verdict, "window")
    assert verify(thrice / "repeats" / "2").intact, "also when it is named by itself"
    copy = Path(shutil.copytree(thrice, tmp_path / "run"))
    edit(copy / "repeats/2/steps.csv", "0.6,0.6", "0.5,0.5")
    assert "repeats/2/steps.csv was changed" in text(verify(copy), "files")
    shutil.rmtree(copy / "repeats/3")
    fewer = verify(copy)
    assert fewer.exit_code == 2 and "repeats/3/" in text(fewer, "files")
    build(copy, by_run=True).save(copy / "report.json")
    assert text(verify(copy), "repeats") == "2 of 3 are there"


def test_a_model_of_ones_own_needs_its_place(tmp_path: Path) -> None:
    (tmp_path / "conf/model").mkdir(parents=True)
    shipped = Path("conf/model/resnet50.yaml").read_text()
    (tmp_path / "conf/model/own.yaml").write_text(shipped.replace("name: resnet50", "name: own", 1))
    place = f"file://{tmp_path / 'conf'}"
    maker = Maker(tmp_path / "run", compose_case("model=own", f"hydra.searchpath=[{place}]"))
    maker.begin({"name": "closed", "changed": []})
    maker.measure()
    maker.end()
    run = maker.save()
    assert verify(run, [place]).exit_code == 0
    without = verify(run)
    assert without.exit_code == 1 and "--searchpath" in text(without, "division")


def test_the_command_says_it_in_words(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(good)]) == 0
    told = capsys.readouterr().out
    assert "publishable" in told.splitlines()[-1] and "\x1b" not in told
    assert all(line == line.rstrip() for line in told.splitlines())
    edit(good / "run.yaml", "seed: 1234", "seed: 1235")
    assert main([str(good)]) == 2
    told = capsys.readouterr().out
    assert "broken or changed" in told and "• files: run.yaml was changed" in told


def test_a_folder_of_runs_gets_a_line_each(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "smoke", "measure=smoke")
    assert main([str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert re.search(r"^run +publishable", told, re.M) and re.search(r"^smoke +not publishable", told, re.M)
    assert "2 runs: 1 publishable, 1 not publishable" in told
    (good / "report.json").write_text("{}")
    assert main([str(good), str(tmp_path / "smoke")]) == 2
    assert "1 broken" in capsys.readouterr().out


def test_json_has_every_check(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(good), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema_version"], told["exit_code"]) == (1, 0)
    (run,) = told["runs"]
    assert {"folder", "exit_code", "intact", "publishable", "reasons", "checks"} == set(run)
    assert {tuple(sorted(check)) for check in run["checks"]} == {("about", "name", "outcome", "text")}


def test_what_is_no_result_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "There is no folder" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 2
    assert "No result lies in" in capsys.readouterr().err


def test_nothing_heavy_is_imported() -> None:
    import ast

    heavy = {"torch", "mlflow", "pytorch_lightning", "transformers"}
    for path in Path("runner/verify").glob("*.py"):
        tree = ast.parse(path.read_text())
        names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {name.partition(".")[0] for name in names} & heavy


def test_a_report_without_what_each_repeat_measured_is_of_an_earlier_schema() -> None:
    made, stated = {"value": 2.0, "repeats": [1.0, 3.0]}, {"value": 2.0, "repeats": None}
    assert same(_as_stated(made, stated), stated)
    assert not same(_as_stated(made, {"value": 2.0, "repeats": [2.0, 2.0]}), {"value": 2.0, "repeats": [2.0, 2.0]})
