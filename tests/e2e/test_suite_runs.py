"""Suites, the largest batch size, and an acceptance, as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import SEARCH_PATH, environment, run

SMALL = ["scale=tiny", "measure=smoke", "vendor=cpu"]


@pytest.mark.heavy
def test_the_largest_batch_that_fits_is_found_and_its_attempts_are_no_results(tmp_path: Path) -> None:
    words = ["model=limited", *SMALL, "tuning.auto_batch=true", "tuning.memory_limit_gib=16", "tuning.batch_multiple=8"]
    ended = run(tmp_path, *words, timeout_s=600)
    assert ended.code == 0, ended.out
    found = json.loads((ended.folder / "auto_batch.json").read_text())
    assert found["found"] == 40, "the network of width 4 has room for 40 rows"
    assert [one["batch_size"] for one in found["attempts"]] == [8, 16, 32, 64, 48, 40]
    assert [one["exit_code"] for one in found["attempts"]] == [0, 0, 0, 6, 6, 0]
    report = json.loads((ended.folder / "report.json").read_text())
    assert report["case"]["batch_size"] == 40 and report["division"]["name"] == "closed"
    change = {"key": "model.train.batch_size", "reference": 8, "value": 40, "allowed": True}
    assert change in report["division"]["changed"]
    listed = subprocess.run(
        [sys.executable, "-m", "runner.report", str(tmp_path), "--format", "json"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(listed.stdout)["case"]["batch_size"] == 40, "one run alone is found"
    again = run(tmp_path, *words, "resume=true")
    assert again.code == 0 and "is done already" in again.out


@pytest.mark.heavy
def test_a_suite_that_was_interrupted_goes_on_with_resume(tmp_path: Path) -> None:
    own = tmp_path / "conf" / "suite" / "own.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("name: own\ntitle: Own\ncases: ['model=toy scale=tiny measure=smoke seed=1,2,3']\n")
    search = f"hydra.searchpath=[file://{own.parent.parent},{SEARCH_PATH.partition('[')[2]}"
    command = [sys.executable, "-m", "runner", "-m", "suite=own", "vendor=cpu", search, "tracking=none"]
    command += [f"run.root={tmp_path / 'out'}"]
    first = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert first.stdout is not None
    seen = []
    for line in first.stdout:
        seen.append(line)
        if line.startswith("Case 2 of 3"):
            break
    time.sleep(0.5)
    first.send_signal(signal.SIGINT)
    rest, _ = first.communicate(timeout=120)
    assert first.returncode == 130 and "were not run" in rest
    second = subprocess.run(
        [*command, "resume=true"], env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert second.returncode == 0, second.stdout + second.stderr
    assert second.stdout.count("is done already") == 1 and "Sweep: 3 of 3 cases done" in second.stdout


@pytest.mark.heavy
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two devices of a host are two cores")
def test_an_acceptance_of_two_cores(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runner.acceptance", "vendor=cpu", "topology.devices=2", "tracking=none"]
    command += ["--minutes", "0.1", "--slower", "0.9", f"run.root={tmp_path}"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=590, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "burn_in").iterdir()
    verdicts = json.loads((folder / "result.json").read_text())["verdicts"]
    assert sorted(one["subject"]["kind"] for one in verdicts) == ["device", "device", "link", "link", "node"]
    for one in verdicts[:2]:
        assert {"peak/memory_copy_gb_s", "throughput/steady"} <= {figure["name"] for figure in one["figures"]}
        assert all(figure["value"] > 0 for figure in one["figures"])
