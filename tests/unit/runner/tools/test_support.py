"""The support tables follow from conf/ and the index of results and emulated runs; README and docs hold them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.commandline.suite import load_suite
from runner.core import packages
from runner.core.errors import ConfigurationError
from runner.core.events import EventWriter, Name
from runner.record.names import FIGURES
from runner.record.report import SCHEMA_VERSION, content_hash
from runner.tools import support
from runner.tools.support import fill, main
from runner.tools.supported import evidence
from runner.tools.supported.cells import cell_rows
from runner.tools.supported.coverage import ListedCell, cells, coverage_rows
from runner.tools.supported.evidence import EmulatedRun, Index, Measured, measured, read_index, renew_index, status
from runner.tools.supported.frameworks import device_rows, framework_rows, names

ROOT = Path(__file__).parents[4]
WRITTEN = ("README.md", "docs/flagperf_cells.md", "docs/results.md", "docs/support.md")


def results(root: Path, content: Any, name: str = "speed_2026-03-04.json") -> list[Measured]:
    folder = root / "benchmarks" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return measured(root)


def report(**changes: Any) -> dict[str, Any]:
    case = {"vendor": "nvidia", "chip": "H200 SXM 141GB", "model": "bert", "scale": "reference", "emulated": False}
    return {"status": "done", "case": {**case, **changes}, "published": [{"chip": "A100", "figure": "x", "value": 1}]}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_up_to_date(name: str) -> None:
    text = (ROOT / name).read_text()
    assert fill(text) == text, f"run: python -m runner.support --write {' '.join(WRITTEN)}"


def test_a_planted_change_is_found_and_mended(tmp_path: Path) -> None:
    right = (ROOT / "docs" / "support.md").read_text()
    planted = right.replace("| `bert` | sequences |", "| `bert` | words |")
    assert planted != right
    file = tmp_path / "support.md"
    file.write_text(planted)
    assert fill(planted) == right
    assert main(["--write", str(file)]) == 0
    assert file.read_text() == right


def test_exported_reports_count_with_the_date_of_their_file(tmp_path: Path) -> None:
    (one,) = results(tmp_path, [report()])
    expected = Measured(vendor="nvidia", chip="H200 SXM 141GB", model="bert", scale="reference", date="2026-03-04")
    assert one == expected


@pytest.mark.parametrize("change", [{"emulated": True}, {"chip": None}, {"vendor": None}])
def test_an_emulated_run_and_one_without_its_chip_count_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    assert results(tmp_path, [report(**change)]) == []


def test_a_failed_run_counts_nothing(tmp_path: Path) -> None:
    assert results(tmp_path, [report() | {"status": "failed"}]) == []


def test_a_benchmark_of_the_engine_counts_for_the_cpu_it_ran_on(tmp_path: Path) -> None:
    content = {
        "date": "2026-05-06",
        "host": {"cpu": "Some CPU"},
        "asked": {"vendor": "cpu"},
        "models": {"bert": {"scale": "tiny"}},
    }
    found = results(tmp_path, content)
    assert {(one.vendor, one.chip, one.model, one.scale, one.date) for one in found} == {
        ("cpu", "Some CPU", None, None, "2026-05-06"),
        ("cpu", "Some CPU", "bert", "tiny", "2026-05-06"),
    }
    content["asked"] = {"vendor": "nvidia"}  # the host's processor is not the chip that was measured
    assert results(tmp_path, content) == []


def test_a_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    results(tmp_path, [])
    (tmp_path / "benchmarks" / "results" / "cut.json").write_text("[{")
    with pytest.raises(ConfigurationError, match=r"cut\.json"):
        measured(tmp_path)


def run_folder(folder: Path, *, day: int, status: str = "done", **changes: Any) -> str:
    """A run folder that began on a day of January 2026; returns its report's hash."""
    case = {"task": "train", "compiler": "eager", "precision": "fp32", "emulated": True, "scale": "tiny"}
    case |= {"vendor": "acme", "model": "toy", "chip": None} | changes
    content: dict[str, Any] = {name: {} for name in ("figures", "precision", "environment", "files")}
    content |= {"schema_version": SCHEMA_VERSION, "status": status, "exit_code": 0, "error": None, "case": case}
    content |= {"division": {"name": "closed", "changed": []}, "warnings": [], "published": [], "publication": None}
    stated = content_hash(content)
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(content | {"hash": stated}))
    events = EventWriter(folder / "events" / "parent.log", rank=-1)
    events.emit(Name.SUBMIT_INFO, {})
    log = folder / "events" / "parent.log"
    prefix, line = log.read_text().split("{", 1)
    told = json.loads("{" + line)
    told["metadata"]["time_ms"] = (FIRST_OF_JANUARY + 86400 * (day - 1)) * 1000
    log.write_text(prefix + json.dumps(told) + "\n")
    return stated


FIRST_OF_JANUARY = 1767225600
"""2026-01-01, 00:00 UTC: 56 years of 365 days and 14 leap days since 1970, times 86400."""


def test_the_committed_index_is_what_the_committed_results_say() -> None:
    found = read_index()
    assert found == renew_index([]), "run: python -m runner.support --index"
    assert len(found.measured) > 5
    assert len({run.report for run in found.emulated}) == len(found.emulated)
    assert all(len(run.report) == 64 for run in found.emulated)
    vendors = {case.vendor.name for case in support.cases("vendor") if "train" in case.vendor.tasks}
    assert {run.vendor for run in found.emulated} == vendors - {"cpu"}


def test_emulated_runs_are_taken_from_their_folders(tmp_path: Path) -> None:
    (tmp_path / evidence.RESULTS).mkdir(parents=True)
    runs = tmp_path / "outputs"
    run_folder(runs / "a", day=2)
    later = run_folder(runs / "b", day=5, seed=2)
    other = run_folder(runs / "c", day=3, precision="bf16")
    run_folder(runs / "d", day=4, vendor="real", emulated=False)
    run_folder(runs / "e", day=4, vendor="broken", status="failed")
    row = {"vendor": "acme", "model": "toy", "task": "train", "compiler": "eager", "scale": "tiny"}
    expected = (
        EmulatedRun(**row, precision="bf16", date="2026-01-03", report=other),
        EmulatedRun(**row, precision="fp32", date="2026-01-05", report=later),
    )
    found = renew_index([runs], tmp_path)
    assert found == Index(emulated=expected)
    found.save(tmp_path)
    assert read_index(tmp_path) == found == renew_index([], tmp_path), "what is known stays"
    assert renew_index([runs / "a"], tmp_path) == found, "an older run of the same case changes nothing"


def test_a_changed_report_is_refused(tmp_path: Path) -> None:
    run_folder(tmp_path / "a", day=2)
    report = tmp_path / "a" / "report.json"
    report.write_text(report.read_text().replace('"acme"', '"best"'))
    with pytest.raises(ConfigurationError, match="was changed after its run"):
        renew_index([tmp_path], tmp_path)


@pytest.mark.parametrize("content", [None, "[{", "{}", '{"measured": [{"vendor": "x"}], "emulated": []}'])
def test_an_index_that_cannot_be_read_says_how_to_make_it(tmp_path: Path, content: str | None) -> None:
    (tmp_path / evidence.RESULTS).mkdir(parents=True)
    if content is not None:
        (tmp_path / evidence.INDEX).write_text(content)
    with pytest.raises(ConfigurationError, match=r"index\.json cannot be read.*runner\.support --index"):
        read_index(tmp_path)


def test_the_index_is_no_result_itself(tmp_path: Path) -> None:
    results(tmp_path, [report()])
    renew_index([], tmp_path).save(tmp_path)
    assert len(measured(tmp_path)) == 1
    assert read_index(tmp_path).measured == tuple(measured(tmp_path))


def test_status_prefers_the_stronger_evidence() -> None:
    one = Measured(vendor="acme", chip="A1", model="bert", scale="tiny", date="2026-01-01")
    later = Measured(vendor="acme", chip="A1", model="bert", scale="tiny", date="2026-02-02")
    assert status([later, one], emulated=True, with_scale=False) == "measured: A1, 2026-02-02"
    assert status([one], emulated=False, with_scale=True) == "measured: tiny on A1, 2026-01-01"
    assert status([], emulated=True, with_scale=False) == "emulated"
    assert status([], emulated=False, with_scale=False) == "not verified"


@pytest.mark.parametrize("group", ["vendor", "model"])
def test_every_choice_has_its_row(group: str) -> None:
    table = {"vendor": support.vendor_table, "model": support.model_table}[group](Index())
    rows = [line.split("|")[1].strip(" `") for line in table.splitlines()[2:]]
    assert rows == support.choices(group) and len(rows) > 2


def test_a_row_holds_what_conf_says() -> None:
    rows = {line.split("|")[1].strip(): line for line in support.model_table(Index()).splitlines()}
    assert "mlm_accuracy ≥ 0.71" in rows["`bert`"]
    assert "600 sequences/s on 8 x A100-SXM4-40GB, fp16" in rows["`bert`"]
    assert "perplexity ≤ 170.7" in rows["`llama2_7b`"]
    vendors = support.vendor_table(Index())
    assert "`/dev/xpu[0-9]*`, torch.cuda (torch_xmlir)" in vendors


def test_every_figure_is_listed_once() -> None:
    names = [line.split("|")[1].strip(" `") for line in support.figure_table().splitlines()[3:]]
    assert names == list(FIGURES)


def test_a_file_without_markers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "notes.md"
    file.write_text("nothing here\n")
    assert main(["--write", str(file)]) == 2
    assert "vendors:begin" in capsys.readouterr().err
    assert file.read_text() == "nothing here\n"


def test_flagperfs_list_says_what_is_verified_where() -> None:
    emulated = EmulatedRun(
        **{"vendor": "kunlunxin", "model": "bert", "task": "train", "precision": "fp16", "compiler": "eager"},
        **{"scale": "tiny", "date": "2026-01-01", "report": "0"},
    )
    in_paddle = replace(emulated, framework="paddle", vendor="iluvatar")
    chip = Measured(vendor="metax", chip="C500", model="resnet50", scale="reference", date="2026-01-02")
    head, rows = coverage_rows(Index(measured=(chip,), emulated=(emulated, in_paddle)))
    found = {
        (row[0].strip("`"), row[1], head[place].strip("`")): row[place] for row in rows for place in range(2, len(row))
    }
    assert found["bert", "pytorch", "kunlunxin"] == "emulated"
    assert found["resnet50", "pytorch", "metax"] == "measured"
    assert found["resnet50", "pytorch", "nvidia"] == "not verified"
    assert found["bert", "paddle", "kunlunxin"] == "not verified", "what ran in PyTorch says nothing of Paddle"
    assert found["bert", "paddle", "iluvatar"] == "emulated"
    assert found["bert", "pytorch", "iluvatar"] == "not verified"
    assert found["bert", "pytorch", "metax"] == "", "FlagPerf does not list it"


def test_flagperfs_list_is_whole_and_of_known_names() -> None:
    listed = cells()
    assert len(listed) == len({one.overrides for one in listed}) == 106
    assert Counter(one.vendor == "nvidia" for one in listed) == {True: 33, False: 73}
    assert Counter(one.theirs for one in listed) == {
        **{"pytorch": 88, "paddle": 10, "deepspeed": 2, "megatron-deepspeed": 2, "flagscale": 2},
        **{"tensorflow2": 1, "mindspore": 1},
    }
    assert len({one.model for one in listed}) == 30
    assert {one.model for one in listed} == {
        line.split()[0].removeprefix("model=") for line in load_suite("flagperf_training").lines
    }
    assert {one.vendor for one in listed} <= set(packages.choices("vendor"))
    assert {one.framework for one in listed} <= set(packages.choices("framework"))
    assert all(one.why for one in listed if one.theirs != one.framework)


def test_every_cell_composes_from_its_command_line() -> None:
    rows = [line.split(" | ") for line in (ROOT / "docs/flagperf_cells.md").read_text().splitlines() if "` |" in line]
    assert len(rows) == 1 + 106, "which the table is made from: another test makes it anew"
    assert {row[4] for row in rows[1:]} == {"yes"}


def one_cell(monkeypatch: pytest.MonkeyPatch, *lines: ListedCell) -> None:
    monkeypatch.setattr("runner.tools.supported.cells.cells", lambda: lines)


PADDLE = ListedCell(model="bert", theirs="paddle", framework="paddle", vendor="kunlunxin")
ON_METAX = ListedCell(model="resnet50", theirs="tensorflow2", framework="tensorflow", vendor="metax", why="Keras")


def test_a_cell_tells_its_run_and_whether_it_composes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_cell(monkeypatch, PADDLE, ON_METAX)
    first, second = cell_rows(tmp_path)
    assert first == ("`bert`", "paddle", "`paddle`", "`kunlunxin`", "yes", "not run")
    assert second[2] == "`tensorflow`: Keras"
    assert second[4].startswith("no: framework=tensorflow knows no devices of vendor=metax")
    folder = tmp_path / evidence.RESULTS
    folder.mkdir(parents=True)
    row = {"model": "bert", "framework": "paddle", "vendor": "kunlunxin", "status": "done"}
    (folder / "flagperf_cells_2026-01-01.json").write_text(json.dumps({"rows": [row]}))
    assert next(cell_rows(tmp_path))[5] == "yes"
    worse = row | {"status": "failed", "reason": f"it broke:\n{'x' * 200}"}
    (folder / "flagperf_cells_2026-01-02.json").write_text(json.dumps({"rows": [worse]}))
    assert next(cell_rows(tmp_path))[5] == f"no: it broke: {'x' * 150}…"
    (folder / "flagperf_cells_2026-01-03.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"cells_2026-01-03.json cannot be read.*benchmarks.flagperf_cells"):
        list(cell_rows(tmp_path))


def test_a_run_in_the_hosts_place_that_the_framework_refuses_is_said_with_why(monkeypatch: pytest.MonkeyPatch) -> None:
    one_cell(monkeypatch, ListedCell(model="aquila2_7b", theirs="flagscale", framework="megatron", vendor="metax"))
    (row,) = cell_rows(Path("/nowhere"))
    assert row[4] == "yes" and row[5].startswith("no: framework=megatron")


def test_runs_of_cells_are_no_results_on_hardware(tmp_path: Path) -> None:
    row = {"model": "bert", "framework": "paddle", "vendor": "kunlunxin", "status": "done", "emulated": True}
    assert results(tmp_path, {"host": {"cpu": "Some CPU"}, "rows": [row]}, "flagperf_cells_2026-01-01.json") == []


def test_models_by_framework_name_only_what_ran_there() -> None:
    one = Measured(vendor="nvidia", chip="A100", model="bert", scale="tiny", date="2026-01-01", framework="jax")
    run = EmulatedRun(
        **{"vendor": "kunlunxin", "model": "bert", "task": "train", "precision": "fp16", "compiler": "eager"},
        **{"scale": "tiny", "date": "2026-01-01", "report": "0", "framework": "paddle"},
    )
    rows = {row[0]: row[1:] for row in framework_rows(Index(measured=(one,), emulated=(run,)), support.cases)}
    bert = dict(zip(names(), rows["`bert`"], strict=True))
    assert bert == {
        **{"pytorch": "not verified", "deepspeed": "not verified", "jax": "measured: nvidia"},
        **{"paddle": "emulated: kunlunxin", "megatron": "", "mindspore": "", "tensorflow": ""},
    }
    assert "`bert_base`" not in rows, "it is served alone"


def test_vendors_by_framework_say_what_it_calls_their_devices() -> None:
    rows = {row[0]: dict(zip(names(), row[1:], strict=True)) for row in device_rows(support.cases)}
    assert rows["`kunlunxin`"]["paddle"] == "xpu" and rows["`iluvatar`"]["paddle"] == "iluvatar_gpu"
    assert rows["`nvidia`"] | {"deepspeed": ""} == {
        **{"pytorch": "torch", "deepspeed": "", "megatron": "torch", "jax": "cuda", "paddle": "gpu"},
        **{"tensorflow": "GPU", "mindspore": ""},
    }
    assert rows["`cpu`"]["jax"] == "host" and rows["`mthreads`"]["deepspeed"] == ""
    assert "`graphcore`" not in rows, "it does not train"
