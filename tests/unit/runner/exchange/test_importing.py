"""`python -m runner.import`: folders, errors, and that nothing is overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import report_samples

from runner.exchange.base.titles import TITLES
from runner.exchange.formats import FORMATS
from runner.record.report import load_report
from runner.results.find import find_runs
from runner.tools.importing import main
from runner.tools.report import main as show
from runner.tools.sync import main as sync
from runner.verify.folder import verify


def test_a_result_becomes_a_run_folder_with_its_source(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = data / "mllog" / "result_0.txt"
    assert main([str(source), "--to", str(tmp_path)]) == 0
    folder = tmp_path / "mllog" / "resnet_8xExample_result_0"
    assert (folder / "source" / "result_0.txt").read_bytes() == source.read_bytes()
    report = load_report(folder / "report.json")
    assert set(report.files) == {"source/result_0.txt"}
    assert report.imported["format"] == "mllog"
    out = capsys.readouterr().out
    assert "time/to_target_s" in out
    assert "tracked_stats" in out  # what was left out, and why
    assert "Imported: 1" in out


def test_the_same_again_is_there_and_other_content_gets_a_number(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(data / "mllog" / "result_0.txt"), "--to", str(tmp_path)]
    assert main(arguments) == 0
    first = (tmp_path / "mllog" / "resnet_8xExample_result_0" / "report.json").read_bytes()
    capsys.readouterr()
    assert main(arguments) == 0
    assert "Already there: 1" in capsys.readouterr().out
    assert main([*arguments, "--set", "devices=8"]) == 0
    assert main([*arguments, "--set", "devices=8"]) == 0
    assert sorted(one.name for one in (tmp_path / "mllog").iterdir()) == [
        *("resnet_8xExample_result_0", "resnet_8xExample_result_0-2")
    ]
    assert (tmp_path / "mllog" / "resnet_8xExample_result_0" / "report.json").read_bytes() == first


def test_every_fixture_can_be_imported_and_shown(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(data / name) for name in ("flagperf", "bytemlperf", "mlperf", "mllog", "inferencex")]
    assert main([*folders, "--to", str(tmp_path)]) == 0
    runs = find_runs(tmp_path)
    formats = {load_report(one / "report.json").imported["format"] for one in runs}
    assert formats == set(FORMATS) == set(TITLES)
    assert all(load_report(one / "report.json").figures["run/publishable"].value == 0.0 for one in runs)
    capsys.readouterr()
    for run in runs:
        assert show([str(run)]) == 0
    assert show([str(tmp_path)]) == 0


def test_of_a_file_with_many_results_each_keeps_its_part(data: Path, tmp_path: Path) -> None:
    assert main([str(data / "mlperf" / "summary_results.json"), "--to", str(tmp_path)]) == 0
    folder = tmp_path / "mlperf_summary" / "v5.1-0001_v5.1_Example_8xBox_llama2-70b-99_Offline"
    part = json.loads((folder / "source" / "summary_results.part.json").read_text())
    assert part["Performance_Result"] == 23514.8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "There is no nowhere to import."),
        (["{data}/mllog", "--set", "modle=bert"], "no such key. Did you mean model?"),
        (["{data}/mllog", "--set", "model=brt"], "there is no such model. Did you mean bert?"),
        (["{data}/mllog", "--set", "devices=0"], "it is a whole number above zero"),
        (["{data}/mllog", "--set", "emulated=false"], "no such key"),
        (["{data}/mllog", "--set", "model"], "write key=value"),
        (["{data}/mllog/result_0.txt", "--set", "model=bert"], "says model=resnet50, and --set says model=bert"),
        (
            ["{data}/inferencex", "{data}/bytemlperf/llm", "--set", "model=bert"],
            "would call 2 different models the same",
        ),
        (["{data}/mllog", "--format", "inferencex"], "nothing in it is of the format inferencex, which --format names"),
        (["{data}/nvidia_smi"], "nothing in it is of a format that is known here. Known are bytemlperf (ByteMLPerf)"),
    ],
)
def test_bad_input_is_one_clear_error_and_writes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    root = tmp_path / "to"
    assert main([*(one.format(data=data) for one in arguments), "--to", str(root)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not root.exists()


def test_one_bad_file_among_good_ones_writes_nothing(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_bytes((data / "mllog" / "result_0.txt").read_bytes())
    (folder / "b.txt").write_text(':::MLLOG {"key": 1}\n')
    assert main([str(folder), "--to", str(tmp_path / "to")]) == 2
    assert not (tmp_path / "to").exists()


def test_a_result_of_ours_is_not_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = report_samples.saved(tmp_path / "run", report_samples.report())
    assert main([str(folder), "--to", str(tmp_path / "to")]) == 2
    assert "is a result of this engine already" in capsys.readouterr().err


def test_names_from_a_file_do_not_leave_the_folder(data: Path, tmp_path: Path) -> None:
    content = json.loads((data / "inferencex" / "agg_gptoss_tp8_conc64.json").read_text()) | {"model": "../../../etc/x"}
    (tmp_path / "agg.json").write_text(json.dumps(content))
    assert main([str(tmp_path / "agg.json"), "--to", str(tmp_path / "to")]) == 0
    (run,) = find_runs(tmp_path / "to")
    assert run.parent == tmp_path / "to" / "inferencex"


def test_the_rules_first_reason_is_the_origin(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(data / "mllog" / "result_0.txt"), "--to", str(tmp_path)]) == 0
    capsys.readouterr()
    assert show([str(tmp_path)]) == 0
    assert "origin: measured by another tool (mllog)" in capsys.readouterr().out


def test_an_imported_result_is_intact_never_publishable_and_not_filed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(data / "mllog" / "result_0.txt"), "--to", str(tmp_path)]) == 0
    folder = tmp_path / "mllog" / "resnet_8xExample_result_0"
    found = verify(folder)
    assert (found.intact, found.publishable) == (True, False)
    assert any("measured by another tool (mllog)" in reason for reason in found.reasons)
    capsys.readouterr()
    assert sync([str(folder)]) == 0
    assert "measured by another tool" in capsys.readouterr().out
    path = folder / "source" / "result_0.txt"
    path.write_text(path.read_text() + "\n")
    assert not verify(folder).intact
