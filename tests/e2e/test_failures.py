"""Every way a case can fail: its exit code, its paragraph, its recorded result."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Ended, run

FAILURES = {
    "oom_build": (6, "OutOfMemoryError", "batch_size"),
    "oom_step": (6, "OutOfMemoryError", "batch_size"),
    "nan_loss": (7, "DivergedError", "step 1"),
    "killed": (10, "WorkerCrashedError", "SIGKILL"),
    "stuck": (9, "TimedOutError", "run.timeout_s=40"),
    "no_data": (5, "DataMissingError", "train/*.hdf5"),
    "unforeseen": (10, "WorkerCrashedError", "something nobody thought of"),
    "needs_package": (4, "DependencyError", "package_that_does_not_exist"),
    "wrong_architecture": (2, "ConfigurationError", "architecture.width is missing"),
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    models = ",".join([*FAILURES, "uncountable", "toy"])
    root = tmp_path_factory.mktemp("failures")
    return run(root, "-m", f"model={models}", "measure=smoke", "vendor=cpu", "run.timeout_s=40")


@pytest.mark.parametrize("model", FAILURES)
def test_a_failure_is_classified_and_recorded(sweep: Ended, model: str) -> None:
    code, kind, text = FAILURES[model]
    report = sweep.reports[model]
    assert (report["exit_code"], report["error"]["class"], report["status"]) == (code, kind, "failed")
    assert text in report["error"]["message"]
    assert report["figures"]["throughput/steady"]["value"] is None
    assert report["figures"]["throughput/steady"]["reason"]


def test_one_failed_case_does_not_stop_the_others_and_the_sweep_says_so(sweep: Ended) -> None:
    assert sweep.reports["toy"]["status"] == "done"
    assert sweep.code == max(code for code, _, _ in FAILURES.values())
    assert "2 of 11 cases done" in sweep.out


def test_a_model_that_cannot_be_counted_is_still_measured(sweep: Ended) -> None:
    report = sweep.reports["uncountable"]
    assert report["status"] == "done" and report["figures"]["throughput/steady"]["value"] > 0
    assert "no formula for this operator" in report["figures"]["compute/mfu"]["reason"]


def test_nobody_sees_a_traceback_but_the_log_keeps_it(sweep: Ended) -> None:
    assert "Traceback" not in sweep.out
    (log,) = sweep.root.glob("*/*/*unforeseen*/worker.log")
    assert "RuntimeError: something nobody thought of" in log.read_text()


def test_a_missed_target_is_exit_8_and_keeps_every_figure(tmp_path: Path) -> None:
    ended = run(tmp_path, "task=converge", "model=hopeless", "measure=smoke", "vendor=cpu")
    report = ended.reports["hopeless"]
    assert ended.code == report["exit_code"] == 8
    assert report["figures"]["throughput/whole"]["value"] > 0
    assert report["figures"]["quality/error"]["value"] == 1.0
    assert report["figures"]["time/to_target_s"] == {
        "value": None,
        "unit": "s",
        "reason": "the target was not reached",
        "interval": None,
        "repeats": None,
    }
