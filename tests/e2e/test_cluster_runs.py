"""Real runs over two nodes: on this machine, in a network and a file system of their own, and what happens to them."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from two_nodes import OtherNetwork, TwoNodes, namespaces_missing

from runner.record.report import Report, load_report
from runner.record.step_rows import read_rows

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(400)]
SMOKE = ("model=bert", "measure=smoke")
LONG = ("model=bert", "measure=standard")


@pytest.fixture
def two_nodes(tmp_path: Path) -> Iterator[Callable[..., TwoNodes]]:
    started: list[TwoNodes] = []

    def start(*arguments: str, **options: Any) -> TwoNodes:
        started.append(TwoNodes(tmp_path / "runs", *arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def _report(run: TwoNodes) -> Report:
    return load_report(run.folder / "report.json")


def test_two_nodes_measure_one_job(two_nodes: Callable[..., TwoNodes]) -> None:
    run = two_nodes(*SMOKE)
    run.join()
    assert run.end() == 0, run.output.read_text()
    report, folder = _report(run), run.folder
    assert (report.case["topology"], report.case["nodes"], report.case["devices"]) == ("cluster", 2, 2)
    rows = [row for row in read_rows(folder / "steps.csv") if row["phase"] == "window"]
    assert {row["rank"] for row in rows} == {"0", "1"}
    samples, window_s = sum(int(row["samples"]) for row in rows), report.figures["run/window_s"].value
    assert window_s is not None
    assert report.figures["throughput/steady"].value == pytest.approx(samples / window_s)
    told = json.loads((folder / "nodes.json").read_text())
    assert [one["ranks"] for one in told] == [[0], [1]]
    assert (folder / "nodes/1/power.csv").stat().st_size > 0, "each node reads its own meters"


def test_repeats_use_the_nodes_that_have_come(two_nodes: Callable[..., TwoNodes]) -> None:
    run = two_nodes(*SMOKE, "measure.repeats=2")
    run.join()
    assert run.end() == 0, run.output.read_text()
    repeats = _report(run).figures["throughput/steady"].repeats
    assert repeats is not None and len(repeats) == 2


def test_a_node_of_another_network_without_a_common_file_system(two_nodes: Callable[..., TwoNodes]) -> None:
    if (reason := namespaces_missing()) is not None:
        pytest.skip(reason)
    with OtherNetwork() as network:
        run = two_nodes(*SMOKE, address=network.HERE)
        run.join(*network.inside(hidden=run.root))
        assert run.end() == 0, run.output.read_text()
    folder = run.folder
    assert {row["rank"] for row in read_rows(folder / "steps.csv")} == {"0", "1"}
    assert (folder / "nodes/1/power.csv").stat().st_size > 0, "its files were sent over"
    assert not (folder / "nodes/1/run.lock").exists(), "the agent did not write here itself"


def test_a_full_disk_of_one_node_is_named(two_nodes: Callable[..., TwoNodes]) -> None:
    if (reason := namespaces_missing()) is not None:
        pytest.skip(reason)
    with OtherNetwork() as network:
        run = two_nodes(*LONG, "measure.window.min_s=20", address=network.HERE)
        agent = run.join(*network.inside(hidden=run.root, size="1m"))
        run.wait_for('"STEP_END"')
        there = Path(f"/proc/{agent.pid}/root{run.root}")  # its file system, as it sees it
        with contextlib.suppress(OSError), (there / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(512)):
                pass
        assert run.end() == 10, run.output.read_text()
    error = _report(run).error
    assert error is not None and error["class"] == "StorageError"
    assert "node 1" in error["message"] and "full" in error["message"]


def test_a_disk_that_is_full_already_refuses_the_run(two_nodes: Callable[..., TwoNodes]) -> None:
    if (reason := namespaces_missing()) is not None:
        pytest.skip(reason)
    with OtherNetwork() as network:
        run = two_nodes(*SMOKE, address=network.HERE)
        run.join(*network.inside(hidden=run.root, size="40k"))
        assert run.end() == 3, run.output.read_text()
    error = _report(run).error
    assert error is not None and "is full on node 1" in error["message"]


def test_a_node_that_does_not_come_is_named_when_the_wait_ends(two_nodes: Callable[..., TwoNodes]) -> None:
    run = two_nodes(*SMOKE, "launcher.wait_s=3")
    assert run.end() == 9, run.output.read_text()
    error = _report(run).error
    assert error is not None and error["class"] == "TimedOutError"
    assert error["message"].startswith("Node 1 of 2 did not come within launcher.wait_s=3 seconds")


def test_an_agent_with_another_key_is_turned_away(two_nodes: Callable[..., TwoNodes]) -> None:
    run = two_nodes(*SMOKE, "launcher.wait_s=8")
    agent = run.join(key="ab" * 32)
    said, _ = agent.communicate(timeout=60)
    assert agent.returncode == 2 and "knows another key" in said
    assert run.end() == 9


def test_a_node_that_dies_in_the_middle_ends_the_run_and_is_named(two_nodes: Callable[..., TwoNodes]) -> None:
    run = two_nodes(*LONG, "measure.window.min_s=120")
    agent = run.join()
    run.wait_for('"STEP_END"')
    died = psutil.Process(agent.pid)
    for process in [*died.children(recursive=True), died]:  # a machine without power
        process.kill()
    began = time.monotonic()
    assert run.end() == 10, run.output.read_text()
    assert time.monotonic() - began < 60
    error = _report(run).error
    assert error is not None and "The connection to the agent of node 1" in error["message"]
    assert not _ranks_of(run), "the other node's ranks were ended"


def test_a_rank_that_dies_without_a_word_is_named_by_its_node(two_nodes: Callable[..., TwoNodes]) -> None:
    run = two_nodes(*LONG, "measure.window.min_s=120")
    run.join()
    run.wait_for('"STEP_END"')
    (rank,) = [one for one in _ranks_of(run) if one.cmdline()[-1].endswith("/nodes/1")]
    rank.kill()
    assert run.end() == 10, run.output.read_text()
    error = _report(run).error
    assert error is not None and error["message"].startswith("On node 1")


def test_ctrl_c_ends_both_nodes(two_nodes: Callable[..., TwoNodes]) -> None:
    run = two_nodes(*LONG, "measure.window.min_s=120")
    run.join()
    run.wait_for('"STEP_END"')
    run.head.send_signal(signal.SIGINT)
    assert run.end() == 130, run.output.read_text()
    assert run.agent is not None and run.agent.returncode == 0
    assert _report(run).status == "killed" and not _ranks_of(run)


def test_converging_goes_on_over_two_nodes(two_nodes: Callable[..., TwoNodes]) -> None:
    run = two_nodes("model=bert", "task=converge", "model.train.max_train_samples=40000")
    run.join()
    run.wait_for('"CHECKPOINT"', timeout_s=200)
    run.head.send_signal(signal.SIGTERM)
    assert run.end() == 130, run.output.read_text()
    again = two_nodes("model=bert", "task=converge", "model.train.max_train_samples=40000", "resume=true")
    again.join()
    assert again.end(390) in (0, 8), again.output.read_text()
    events = (again.folder / "events/rank1.log").read_text()
    assert '"RESUMED"' in events, "both ranks know from where they go on"


def _ranks_of(run: TwoNodes) -> list[psutil.Process]:
    """The worker processes of a run, whose last argument is their folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if (
            "runner.worker.main" in words
            and words[-1].startswith(str(run.root))
            and "torch.distributed.run" not in words
        ):
            found.append(process)
    return found
