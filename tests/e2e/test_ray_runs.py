"""`launcher=ray` on a real Ray cluster of two nodes: the case runs, and nothing is left in the cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_machine import ray_machine

pytest.importorskip("ray")
pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[2]
CASE = ("task=train", "model=bert", "scale=tiny", "vendor=cpu", "measure=smoke", "tracking=none", "topology=cluster")
FREE = """
import logging, sys, ray
from ray.util import placement_group_table
ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
groups = [one["state"] for one in placement_group_table().values()]
print(ray.available_resources().get("CPU", 0), sorted(set(groups)))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with ray_machine(2) as address:
        yield address


def command(cluster: str, root: Path, *words: str) -> list[str]:
    more = (f"launcher.cluster={cluster}", f"run.root={root}", "launcher=ray")
    return [sys.executable, "-m", "runner", *CASE, *more, *words]


def run(cluster: str, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    whole = command(cluster, root, *words)
    return subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)


def is_free(cluster: str, cores: float) -> bool:
    """Whether all cores are anybody's again; the cluster learns of an actor's end a little later."""
    for _ in range(5):
        told = subprocess.run(
            [sys.executable, "-c", FREE, cluster], capture_output=True, text=True, timeout=60, check=True
        ).stdout.strip()
        if told.startswith(f"{cores} ") and "CREATED" not in told:
            return True
        time.sleep(1)
    return False


def report_in(root: Path) -> tuple[Path, dict[str, Any]]:
    (file,) = root.rglob("report.json")
    return file.parent, json.loads(file.read_text())


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_case_runs_on_nodes_of_the_cluster_and_gives_them_back(cluster: str, tmp_path: Path, nodes: int) -> None:
    done = run(cluster, tmp_path, f"topology.nodes={nodes}", "topology.devices=1")
    assert done.returncode == 0, done.stdout + done.stderr
    folder, report = report_in(tmp_path)
    assert (report["case"]["nodes"], report["case"]["devices"]) == (nodes, nodes)
    assert report["figures"]["throughput/whole"]["value"] > 0
    told = json.loads((folder / "nodes.json").read_text())
    assert [one["node"] for one in told] == list(range(nodes))
    assert all(one["niceness"] == 0 for one in told)
    threads = report["environment"]["threads_per_rank"]
    assert nodes > 1 or threads > 1, "Ray's OMP_NUM_THREADS, as many as cores were asked for, is not the case's"
    assert is_free(cluster, 2.0)


def test_more_nodes_than_the_cluster_has_is_said_at_once(cluster: str, tmp_path: Path) -> None:
    began_s = time.monotonic()
    done = run(cluster, tmp_path, "topology.nodes=3", "topology.devices=1")
    assert time.monotonic() - began_s < 60
    assert done.returncode == 3, done.stdout + done.stderr
    _, report = report_in(tmp_path)
    assert "The Ray cluster has 2 of the 3 nodes" in report["error"]["message"]
    assert is_free(cluster, 2.0)


def test_ctrl_c_ends_the_ranks_and_gives_the_nodes_back(cluster: str, tmp_path: Path) -> None:
    words = ("topology.nodes=2", "topology.devices=1", "measure.window.min_s=300", "measure.window.max_s=300")
    with (tmp_path / "out").open("wb") as out:
        started = subprocess.Popen(command(cluster, tmp_path, *words), cwd=ROOT, stdout=out, stderr=out)
    deadline_s = time.monotonic() + 120
    while not list(tmp_path.rglob("events/rank1.log")) and time.monotonic() < deadline_s:
        assert started.poll() is None, (tmp_path / "out").read_text()
        time.sleep(0.5)
    os.kill(started.pid, signal.SIGINT)
    assert started.wait(60) == 130, (tmp_path / "out").read_text()
    assert is_free(cluster, 2.0)


def test_a_cluster_that_is_gone_is_hardware_that_is_not_there(tmp_path: Path) -> None:
    done = run("127.0.0.1:1", tmp_path, "topology.nodes=2", "topology.devices=1", "launcher.answer_s=8")
    assert done.returncode == 3, done.stdout + done.stderr
    _, report = report_in(tmp_path)
    assert "did not answer" in report["error"]["message"] and "ray start --head" in report["error"]["message"]


def test_workers_of_low_priority_are_told(tmp_path: Path) -> None:
    with ray_machine(1, niceness=None) as address:
        done = run(address, tmp_path, "topology.nodes=1", "topology.devices=1")
    assert done.returncode == 0, done.stdout + done.stderr
    _, report = report_in(tmp_path)
    assert any("run at niceness 15" in one for one in report["warnings"])
