"""Every model through the command line: it reaches its tiny target, and FlagPerf's list runs as one suite."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import run
from zoo import MODELS

from runner.commandline.suite import load_suite

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize("model", MODELS)
def test_the_tiny_case_reaches_its_target(tmp_path: Path, model: str) -> None:
    ended = run(tmp_path, "task=converge", f"model={model}", "scale=tiny", "vendor=cpu", timeout_s=580)
    assert ended.code == 0, ended.out


@pytest.mark.timeout(4000)
def test_flagperfs_list_leaves_a_result_for_each_case_and_resumes(tmp_path: Path) -> None:
    words = ("-m", "suite=flagperf_training", "scale=tiny", "measure=smoke", "vendor=cpu", "resume=true")
    ended = run(tmp_path, *words, timeout_s=3000)
    assert ended.code == 0, ended.out
    listed = {line.split()[0].removeprefix("model=") for line in load_suite("flagperf_training").lines}
    assert listed <= ended.reports.keys()
    assert {report["status"] for report in ended.found} == {"done"}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("report.json")}
    assert run(tmp_path, *words, timeout_s=600).code == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("report.json")} == before, "nothing is repeated"
