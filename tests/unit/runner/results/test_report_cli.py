import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from case_samples import make_case
from report_samples import NO_SENSOR, failed, report, saved

from runner.core.events import EventWriter, Name
from runner.core.owner import write_parent
from runner.record.report import load_report
from runner.results.find import find_runs
from runner.tools.report import main

HEAVY = ("torch", "mlflow", "altair", "vl_convert", "pytorch_lightning", "transformers")


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """A root with a sweep of two comparable runs, and a single run of another scale."""
    root = tmp_path / "outputs"
    saved(root / "2025-01-01" / "10-00-00_sweep" / "0_fp32", report(values={"throughput/steady": 500.0}))
    fast = report(values={"throughput/steady": 750.0}, precision="bf16")
    saved(root / "2025-01-01" / "10-00-00_sweep" / "1_bf16", fast)
    saved(root / "2025-01-02" / "11-00-00_tiny", report(values={"throughput/steady": 9000.0}, scale="tiny"))
    return root


@pytest.fixture
def sweep(outputs: Path) -> Path:
    return outputs / "2025-01-01" / "10-00-00_sweep"


@pytest.fixture
def abandoned(tmp_path: Path) -> Path:
    """A run whose parent process was killed: a case and events, no report."""
    folder = tmp_path / "killed" / "run"
    folder.mkdir(parents=True)
    make_case().save(folder / "run.yaml")
    EventWriter(folder / "events" / "parent.log", rank=-1).emit(Name.LAUNCH_TRAINING)
    EventWriter(folder / "events" / "rank0.log", rank=0).emit(Name.INIT_START, {"pid": 1})
    return folder


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_one_run_shows_all_its_figures(sweep, capsys):
    assert main([str(sweep / "0_fp32")]) == 0
    shown = squeezed(capsys.readouterr().out)
    assert "train · bert · reference · fp32" in shown
    assert "Throughput, steady 500.0 sequences/s" in shown
    assert "memory/device_peak_allocated_gib 11.52 GiB" in shown


def test_report_json_itself_is_a_path(sweep, capsys):
    assert main([str(sweep / "0_fp32" / "report.json")]) == 0
    assert "Throughput, steady" in capsys.readouterr().out


def test_a_set_is_a_row_for_each_run(sweep, capsys):
    assert main([str(sweep)]) == 0
    shown = squeezed(capsys.readouterr().out)
    assert "2 runs · bert · nvidia · 2 precisions" in shown
    assert "done train bert nvidia (A100-SXM4-40GB) fp32 500.0 sequences/s yes 0…" in shown
    assert "done train bert nvidia (A100-SXM4-40GB) bf16 750.0 sequences/s yes 1…" in shown
    assert "failed" not in shown


def test_runs_of_several_groups_are_not_compared_and_the_tiny_one_says_so(outputs, capsys):
    assert main([str(outputs)]) == 0
    shown = squeezed(capsys.readouterr().out)
    assert "Some of these runs: TINY" in shown
    assert "train bert tiny nvidia (A100-SXM4-40GB) fp32 9,000 sequences/s" in shown
    assert "train bert reference nvidia (A100-SXM4-40GB) bf16 750.0 sequences/s" in shown
    assert "x)" not in shown and "★" not in shown


def test_failures_are_one_line_at_the_end(sweep, capsys):
    saved(sweep / "2_fp16", failed(precision="fp16"))
    saved(sweep / "3_int8", failed(precision="int8", message="Another."))
    assert main([str(sweep)]) == 0
    shown = capsys.readouterr().out
    assert "2 of 4 runs failed: 2 x DivergedError (exit 7)" in shown
    assert shown.count("DivergedError") == 1 and "fp16" not in shown


def test_detail_compares_a_sweep(sweep, capsys):
    assert main([str(sweep), "--detail"]) == 0
    shown = squeezed(capsys.readouterr().out)
    assert "2 runs: train · bert" in shown
    assert "500.0 750.0 (1.50x)" in shown


def test_detail_shows_a_root_by_comparable_groups(outputs, capsys):
    assert main([str(outputs), "--detail"]) == 0
    shown = squeezed(capsys.readouterr().out)
    assert "2 runs: train · bert" in shown
    assert "train · bert · tiny · fp32" in shown
    assert "9,000 sequences/s" in shown
    assert "9,000 (" not in shown


def test_named_runs_that_must_not_be_compared_are_refused(outputs, sweep, capsys):
    paths = [str(sweep / "0_fp32"), str(outputs / "2025-01-02" / "11-00-00_tiny"), "--detail"]
    assert main(paths) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "scale" in told.err
    assert main([*paths, "--force"]) == 0
    forced = squeezed(capsys.readouterr().out)
    assert "NOT RANKED" in forced
    assert "500.0 9,000" in forced


def test_sort_puts_the_best_run_first(sweep, capsys):
    assert main([str(sweep), "--sort", "throughput/steady"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("750.0") < shown.index("500.0")
    assert main([str(sweep), "--sort", "throughput/stedy"]) == 2
    assert "Nearest: throughput/steady" in squeezed(capsys.readouterr().err)


def test_sort_does_not_rank_what_must_not_be_ranked(outputs, capsys):
    assert main([str(outputs), "--detail", "--force", "--sort", "throughput/steady"]) == 0
    told = capsys.readouterr()
    assert "--sort has no effect" in squeezed(told.err)


def test_wrong_path_suggests_the_nearest(outputs, capsys):
    assert main([str(outputs / "2025-01-01" / "10-00-00_swep")]) == 2
    assert f"Did you mean {outputs / '2025-01-01' / '10-00-00_sweep'}?" in capsys.readouterr().err
    assert main([str(outputs / "zzzzzzzz" / "x")]) == 2
    assert f"The nearest folder there is: {outputs}." in capsys.readouterr().err


def test_relative_wrong_path_suggests_a_relative_one(outputs, capsys, monkeypatch):
    monkeypatch.chdir(outputs.parent)
    assert main(["output"]) == 2
    assert "Did you mean outputs?" in capsys.readouterr().err


def test_folder_without_results_is_an_error(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "No result lies in" in capsys.readouterr().err


def test_json_of_one_run_is_its_report(sweep, capsys):
    assert main([str(sweep / "0_fp32"), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((sweep / "0_fp32" / "report.json").read_text())


def test_json_of_several_names_the_runs(sweep, capsys):
    assert main([str(sweep), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [Path(item["run"]).name for item in told] == ["0_fp32", "1_bf16"]
    assert told[1]["report"]["figures"]["throughput/steady"]["value"] == 750.0


def test_csv_has_every_figure_unrounded_and_reasons_for_nulls(tmp_path, capsys):
    made = report(values={"throughput/steady": 512.3456789}, intervals={"throughput/steady": (500.5, 520.25)})
    saved(tmp_path / "run", made)
    assert main([str(tmp_path / "run"), "--format", "csv"]) == 0
    rows = {row["figure"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert set(rows) == set(made.figures)
    steady, energy = rows["throughput/steady"], rows["energy/per_sample_j"]
    assert (steady["value"], steady["unit"]) == ("512.3456789", "sequences/s")
    assert (steady["interval_low"], steady["interval_high"], steady["reason"]) == ("500.5", "520.25", "")
    assert (energy["value"], energy["reason"]) == ("", NO_SENSOR)
    assert (energy["vendor"], energy["scale"], energy["emulated"]) == ("nvidia", "reference", "False")


def test_markdown_to_a_file_by_its_ending(sweep, tmp_path, capsys):
    target = tmp_path / "result.md"
    assert main([str(sweep), "--out", str(target)]) == 0
    assert capsys.readouterr().out == ""
    row = "| done | train bert | nvidia (A100-SXM4-40GB) | bf16 | 750.0 sequences/s | yes | 1… |"
    assert row in target.read_text()


def test_table_to_a_file_is_plain_text(sweep, tmp_path):
    target = tmp_path / "result.txt"
    assert main([str(sweep / "0_fp32"), "--out", str(target)]) == 0
    assert "\x1b" not in target.read_text()
    assert "Throughput, steady 500.0 sequences/s" in squeezed(target.read_text())


@pytest.mark.parametrize("name", ["r.pdf", "r", "r.xlsx", "r.html.gz"])
def test_an_unknown_ending_is_refused_with_the_known_ones(sweep, tmp_path, capsys, name):
    target = tmp_path / name
    assert main([str(sweep), "--out", str(target)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"--out {target}: " in told and ".txt, .md, .markdown, .json, .csv, .html, .htm" in told
    assert not target.exists()
    assert main([str(sweep), "--out", str(target), "--format", "markdown"]) == 0
    assert target.read_text().startswith("## ")


@pytest.mark.parametrize(
    ("name", "kind"), [("r.MD", "markdown"), ("r.json", "json"), ("r.csv", "csv"), ("r.htm", "html")]
)
def test_what_was_written_is_said(sweep, tmp_path, capsys, name, kind):
    assert main([str(sweep), "--out", str(tmp_path / name)]) == 0
    told = capsys.readouterr()
    assert told.out == "" and f"Wrote {tmp_path / name}: 2 runs as {kind}." in " ".join(told.err.split())


def test_unwritable_file_is_an_error(sweep, tmp_path, capsys):
    assert main([str(sweep), "--out", str(tmp_path / "nowhere" / "result.md")]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_run_whose_parent_was_killed_is_built_and_kept(abandoned, capsys):
    assert main([str(abandoned)]) == 0
    assert "KILLED (exit 130" in capsys.readouterr().out
    assert load_report(abandoned / "report.json").status == "killed"


def test_run_that_still_goes_on_is_not_built(abandoned, capsys):
    write_parent(abandoned)
    assert main([str(abandoned)]) == 2
    assert "still going on" in capsys.readouterr().err
    assert not (abandoned / "report.json").exists()


def test_run_of_another_machine_is_not_built(abandoned, capsys):
    (abandoned / "parent.pid").write_text("1 1.0 some-other-host\n")
    assert main([str(abandoned)]) == 2
    assert "another machine" in capsys.readouterr().err
    assert not (abandoned / "report.json").exists()


def test_unreadable_result_among_others_is_left_out_and_said(outputs, sweep, capsys):
    (sweep / "0_fp32" / "report.json").write_text("{}")
    assert main([str(outputs)]) == 0
    told = capsys.readouterr()
    assert f"Left out: {sweep / '0_fp32'}: this folder cannot be read: " in told.err
    assert "750.0" in told.out
    assert main([str(sweep / "0_fp32")]) == 2
    assert "is not a report" in capsys.readouterr().err


def test_events_of_another_version_are_an_error_with_a_reason(abandoned, capsys):
    EventWriter(abandoned / "events" / "rank0.log", rank=0).emit(Name.SEGMENT_END, {"unknown": 1})
    assert main([str(abandoned)]) == 2
    assert "this folder cannot be read: KeyError: " in capsys.readouterr().err
    assert not (abandoned / "report.json").exists()


def test_copies_that_mlflow_keeps_are_not_runs(outputs, sweep):
    saved(outputs / "mlartifacts" / "1" / "artifacts", load_report(sweep / "0_fp32" / "report.json"))
    assert len(find_runs(outputs)) == 3


def test_the_same_run_named_twice_is_one_run(sweep, capsys):
    assert main([str(sweep / "0_fp32"), str(sweep / "0_fp32")]) == 0
    assert "runs:" not in capsys.readouterr().out


def test_repeats_inside_a_run_are_not_runs_of_their_own(outputs, sweep):
    saved(sweep / "0_fp32" / "repeats" / "1", report())
    assert len(find_runs(outputs)) == 3


def test_failed_run_is_shown(tmp_path, capsys):
    assert main([str(saved(tmp_path / "run", failed()))]) == 0
    shown = squeezed(capsys.readouterr().out)
    assert "FAILED (exit 7, DivergedError) The loss became NaN at step 12." in shown


def test_help_and_a_table_import_nothing_heavy(sweep):
    program = (
        "import sys; from runner.tools.report import main\n"
        "try:\n    code = main(sys.argv[1:])\nexcept SystemExit as end:\n    code = end.code\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.stderr.write(f'code={code} heavy={heavy}')\n"
    )
    for arguments in (["--help"], [str(sweep)]):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stderr.endswith("code=0 heavy=[]"), done.stderr
        assert done.stdout


def test_a_terminal_that_cannot_write_the_characters_gets_the_table(sweep):
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "runner.report", str(sweep)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
    assert "Throughput, steady" in done.stdout


def test_reader_that_goes_away_is_no_failure(sweep):
    command = f'"{sys.executable}" -m runner.report "{sweep}" | true; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
