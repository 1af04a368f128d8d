"""Whole runs through the command line, on a trainable that takes no time: what they leave, and that nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from command import SEARCH_PATH, Ended, environment, run

from runner.core.events import Event, Name, read_events
from runner.launch.processes import GRACE_S
from runner.record.report import content_hash
from runner.record.task import figures_for

SMOKE = ("measure=smoke", "vendor=cpu")


def events(folder: Path, rank: int = 0) -> list[Event]:
    return read_events(folder / "events" / f"rank{rank}.log")[0]


def figures(ended: Ended) -> dict[str, Any]:
    (report,) = ended.reports.values()
    return {name: figure["value"] for name, figure in report["figures"].items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return run(tmp_path_factory.mktemp("train"), "model=toy", *SMOKE)


@pytest.fixture(scope="module")
def converged(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return run(tmp_path_factory.mktemp("converge"), "task=converge", "model=toy", *SMOKE, tracking="mlflow")


def test_a_run_leaves_everything_design_names(trained: Ended) -> None:
    assert trained.code == 0, trained.out
    left = {path.name for path in trained.folder.iterdir()}
    assert left >= {"run.yaml", "report.json", "events", "power.csv", "steps.csv", "worker.log", "environment.json"}
    report = json.loads((trained.folder / "report.json").read_text())
    assert report["hash"] == content_hash(report)
    assert list(report["figures"]) == figures_for("train")


def test_every_null_has_a_reason_and_no_value_has_one(trained: Ended) -> None:
    (report,) = trained.reports.values()
    assert all((figure["value"] is None) == bool(figure["reason"]) for figure in report["figures"].values())


def test_throughput_is_that_of_the_steps_file(trained: Ended) -> None:
    rows = [line.split(",") for line in (trained.folder / "steps.csv").read_text().splitlines()[1:]]
    window = [row for row in rows if row[2] == "window"]
    by_hand = sum(int(row[5]) for row in window) / sum(float(row[3]) for row in window)
    assert figures(trained)["throughput/steady"] == pytest.approx(by_hand, rel=0.01)
    assert figures(trained)["throughput/core"] >= figures(trained)["throughput/train"]


def test_finished_carries_flagperfs_keys_and_the_reports_figures(converged: Ended) -> None:
    assert converged.code == 0, converged.out
    (finished,) = [event.value for event in events(converged.folder) if event.name == Name.FINISHED]
    values = figures(converged)
    assert finished["p_whole"] == values["throughput/whole"] and finished["p_core"] == values["throughput/core"]
    assert finished["e2e_time"] == values["time/e2e_s"]
    assert finished["converged"] is True and finished["final_error"] == values["quality/error"]


def test_converging_tells_time_samples_and_steps_to_target(converged: Ended) -> None:
    values = figures(converged)
    reached = [event.value for event in events(converged.folder) if event.name == Name.EVALUATE][-1]
    assert values["quality/reached"] == 1.0 and values["quality/error"] <= values["quality/target"]
    assert values["convergence/samples_to_target"] == 8 * values["convergence/steps_to_target"] == reached["samples"]
    assert 0 < values["time/to_target_s"] <= values["time/train_s"] <= values["time/e2e_s"]
    assert values["throughput/whole"] < values["throughput/train"]


def test_the_run_is_filed_in_mlflow_with_figures_parameters_and_tags(converged: Ended) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{converged.root}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'touchstone'")
    (filed,) = client.search_runs([experiment.experiment_id])
    values = {name: value for name, value in figures(converged).items() if value is not None}
    assert filed.info.status == "FINISHED"
    assert values.items() <= filed.data.metrics.items()
    assert filed.data.params["model.train.batch_size"] == "8"
    assert filed.data.tags["vendor"] == "cpu"
    assert {"report.json", "run.yaml", "events"} <= {item.path for item in client.list_artifacts(filed.info.run_id)}


def test_resume_skips_a_case_that_is_done_and_runs_one_that_is_not(converged: Ended) -> None:
    again = run(converged.root, "task=converge", "model=toy", *SMOKE, "resume=true")
    assert again.code == 0 and "done already" in again.out
    assert len(list(converged.root.glob("*/*/run.yaml"))) == 1


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "runner", *arguments, SEARCH_PATH, f"run.root={root}", "tracking=none"]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(root: Path, name: Name, count: int = 1, timeout_s: float = 120) -> Path:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for path in root.glob("**/events/rank0.log"):
            if sum(event.name == name for event in read_events(path)[0]) >= count:
                return path.parents[1]
        time.sleep(0.1)
    raise AssertionError(f"no {name} within {timeout_s} s")


PATIENT = ("task=converge", "model=patient", *SMOKE)


def test_a_killed_run_goes_on_from_its_last_evaluation_and_counts_both_parts(tmp_path: Path) -> None:
    process = start(tmp_path, *PATIENT)
    folder = wait_for(tmp_path, Name.CHECKPOINT, count=4)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive, "workers must end with their parent"
    before = events(folder)

    shown = subprocess.run(
        [sys.executable, "-m", "runner.report", str(folder)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert "KILLED" in shown.stdout.upper()

    ended = run(tmp_path, *PATIENT, "resume=true")
    assert ended.code == 0, ended.out
    assert ended.folder == folder and events(folder)[: len(before)] == before
    values = figures(ended)
    (resumed,) = [event.value for event in events(folder) if event.name == Name.RESUMED]
    assert resumed["step"] >= 40
    assert values["convergence/steps_to_target"] == 120
    assert values["convergence/samples_to_target"] == 8 * 120
    assert values["time/to_target_s"] >= 120 * 0.02
    assert "resumed" in ended.reports["patient"]["figures"]["convergence/energy_j_to_target"]["reason"]


def test_ctrl_c_ends_the_worker_soon_and_records_the_run_as_killed(tmp_path: Path) -> None:
    process = start(tmp_path, *PATIENT)
    folder = wait_for(tmp_path, Name.EVALUATE)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    assert GRACE_S + 0.2 < 5, "after that a worker which does not end is killed"
    assert process.wait(60) == 130
    report = json.loads((folder / "report.json").read_text())
    assert (report["status"], report["exit_code"]) == ("killed", 130)
    assert report["figures"]["quality/error"]["value"] == 1.0


def test_a_crashed_worker_is_started_again_where_retries_allow_it(tmp_path: Path) -> None:
    ended = run(tmp_path, "model=killed", *SMOKE, "run.retries=1")
    assert ended.code == 10
    assert sum(event.name == Name.INIT_START for event in events(ended.folder)) == 2
    assert any("started again" in warning for warning in ended.reports["killed"]["warnings"])


def test_two_ranks_report_the_sum_of_their_samples(tmp_path: Path, trained: Ended) -> None:
    ended = run(tmp_path, "model=toy", *SMOKE, "topology=node", "topology.devices=2")
    assert ended.code == 0, ended.out
    one, other = (
        [event.value for event in events(ended.folder, rank) if event.name == Name.SEGMENT_END] for rank in (0, 1)
    )
    assert [segment["samples"] for segment in one] == [2 * 8 * segment["steps"] for segment in other]
    assert [segment["seconds"] for segment in one] == [segment["seconds"] for segment in other]
    values = figures(ended)
    seconds = sum(segment["seconds"] for segment in one)
    assert values["throughput/steady"] == pytest.approx(sum(segment["samples"] for segment in one) / seconds)
    assert values["throughput/steady_per_device"] == pytest.approx(values["throughput/steady"] / 2)
    assert values["memory/host_peak_rss_gib"] > 1.5 * figures(trained)["memory/host_peak_rss_gib"], "of both processes"


def test_repeats_are_fresh_processes_and_give_an_interval(tmp_path: Path) -> None:
    ended = run(tmp_path, "model=toy", *SMOKE, "measure.repeats=2")
    assert ended.code == 0, ended.out
    report = json.loads((ended.folder / "report.json").read_text())
    steady = report["figures"]["throughput/steady"]
    singles = [json.loads(path.read_text()) for path in sorted(ended.folder.glob("repeats/*/report.json"))]
    values = [single["figures"]["throughput/steady"]["value"] for single in singles]
    assert len(values) == 2 and steady["value"] == pytest.approx(sum(values) / 2)
    assert steady["interval"][0] < min(values) and max(values) < steady["interval"][1]
    pids = {events(ended.folder / "repeats" / n)[0].value["pid"] for n in ("1", "2")}
    assert len(pids) == 2


def test_an_absent_chip_is_refused_at_once_and_says_what_to_do(tmp_path: Path) -> None:
    ended = run(tmp_path, "model=bert", "vendor=kunlunxin", "precision=fp16")
    assert ended.code == 3
    for needed in ("torch_xmlir", "/dev/xpu", "emulate=true scale=tiny"):
        assert needed in ended.out
    assert events(ended.folder) == [], "no model was built, no data read"
    assert ended.reports["bert"]["error"]["class"] == "HardwareError"


def test_an_emulated_run_is_marked_everywhere_and_claims_nothing_of_the_chip(tmp_path: Path) -> None:
    ended = run(tmp_path, "model=toy", "measure=smoke", "vendor=kunlunxin", "precision=fp16", "emulate=true")
    assert ended.code == 0, ended.out
    report = ended.reports["toy"]
    assert report["case"]["emulated"] is True and report["case"]["chip"] is None
    assert report["figures"]["run/emulated"]["value"] == 1.0 and report["figures"]["run/publishable"]["value"] == 0.0
    assert report["figures"]["compute/mfu"]["value"] is None
    assert report["precision"]["autocast"] == "float16"
    assert "EMULATED" in ended.out and "emulated" in ended.folder.name
    assert any("Emulated" in warning for warning in report["warnings"])


def test_nvidias_configuration_is_tried_out_on_the_host(tmp_path: Path) -> None:
    ended = run(tmp_path, "model=toy", "measure=smoke", "vendor=nvidia", "precision=bf16", "emulate=true")
    assert ended.code == 0, ended.out
    assert ended.reports["toy"]["case"]["emulated"] is True
    assert ended.reports["toy"]["precision"]["autocast"] == "bfloat16"


def test_a_dead_tracking_server_costs_no_result(tmp_path: Path) -> None:
    ended = run(tmp_path, "model=toy", *SMOKE, "tracking.uri=http://127.0.0.1:9", tracking="mlflow")
    assert ended.code == 0, ended.out
    assert any("python -m runner.sync" in warning for warning in ended.reports["toy"]["warnings"])
    filed = subprocess.run(
        [sys.executable, "-m", "runner.sync", str(ended.folder), "--uri", f"sqlite:///{tmp_path}/late.db"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert filed.returncode == 0, filed.stdout + filed.stderr
    assert (tmp_path / "late.db").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["--info", "defaults"], ["model=nope"]])
def test_what_needs_no_run_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = ("torch", "pytorch_lightning", "mlflow", "transformers", "altair", "vl_convert", "scipy")
    loaded = f"','.join(name for name in {heavy!r} if name in sys.modules)"
    script = f"import sys; from runner.cli import run; run({arguments!r}); sys.stderr.write('loaded:' + {loaded})"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment(), cwd=os.sep, capture_output=True, text=True, check=False)
    assert done.stderr.endswith("loaded:"), done.stderr


def test_ctrl_c_ends_a_whole_sweep_and_keeps_what_is_done(tmp_path: Path) -> None:
    process = start(tmp_path, "-m", "task=converge", "model=toy,patient,hopeless", *SMOKE)
    wait_for(tmp_path, Name.EVALUATE, count=3)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/*/*patient*/events/rank0.log")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    statuses = {
        path.parent.name[2:].split("_")[1]: json.loads(path.read_text())["status"]
        for path in tmp_path.glob("*/*/*/report.json")
    }
    assert statuses == {"toy": "done", "patient": "killed"}
