"""The doctor sees schedulers, fast networks and the other nodes of a job, and none of them can hang it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from runner.doctor import __main__ as command
from runner.doctor.cluster.asking import NO_ANSWER, ask
from runner.doctor.cluster.fabric import NO_HINT, fabric
from runner.doctor.cluster.nodes import MARK, nodes_of_allocation, nodes_of_files, with_clock
from runner.doctor.cluster.page import fabric_page, nodes_page, ray_page, slurm_page
from runner.doctor.cluster.ray_cluster import RayFinding, ray_cluster
from runner.doctor.cluster.slurm import RECORDED, UNRECORDED, slurm
from runner.views.page import Page, to_text

SLURM_VARIABLES = ("SLURM_JOB_ID", "SLURM_JOB_NUM_NODES", "SLURM_JOB_NODELIST", "SLURM_JOB_PARTITION", "SLURM_PROCID")
CONFIG = """Configuration data as of 2026-11-26T14:00:00
ClusterName             = lab
MinJobAge               = 300 sec
SLURM_VERSION           = 22.05.8
"""
SINFO = "gpu|up|2|idle|1-00:00:00|gpu:h100:8\\ngpu|up|1|down*|1-00:00:00|gpu:h100:8\\ncpu|up|4|mix|infinite|(null)"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes tools of SLURM that answer as told; there are no others in PATH."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    for name in SLURM_VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def make(**scripts: str) -> None:
        for name, script in scripts.items():
            (place / name).write_text(f"#!/bin/sh\n{script}\n")
            (place / name).chmod(0o755)

    return make


def words(show: Any, found: Any) -> str:
    made = Page()
    show(made, found)
    return " ".join(to_text(made, width=200).split())


# --- SLURM ----------------------------------------------------------------------------------------------------------


def scontrol() -> str:
    return f"cat <<'END'\n{CONFIG}END"


def test_slurm_with_accounting(tools: Any) -> None:
    tools(sinfo=f"printf '{SINFO}\\n'", scontrol=scontrol(), sacct="exit 0")
    found = slurm()
    assert (found.version, found.cluster, found.kept_s, found.problem) == ("22.05.8", "lab", 300, None)
    assert [(one["partition"], one["nodes"], one["state"]) for one in found.partitions] == [
        ("gpu", "2", "idle"),
        ("gpu", "1", "down*"),
        ("cpu", "4", "mix"),
    ]
    assert (found.accounting, found.meaning, found.job) == (True, RECORDED, None)
    assert "remembers an ended job" not in words(slurm_page, found)


def test_slurm_without_accounting_says_what_that_means(tools: Any) -> None:
    disabled = "echo 'Slurm accounting storage is disabled' >&2; exit 1"
    tools(sinfo=f"printf '{SINFO}\\n'", scontrol=scontrol(), sacct=disabled)
    found = slurm()
    assert (found.accounting, found.meaning) == (False, UNRECORDED)
    shown = words(slurm_page, found)
    assert "A sweep watches the queue" in shown and "remembers an ended job for 300 s" in shown


def test_whether_there_is_accounting_is_not_guessed(tools: Any) -> None:
    refused = "echo 'sacct: error: Problem talking to the database: Connection refused' >&2; exit 1"
    tools(sinfo=f"printf '{SINFO}\\n'", scontrol=scontrol(), sacct=refused)
    found = slurm()
    assert found.accounting is None
    assert found.meaning is not None and found.meaning.endswith("Connection refused")


def test_slurm_that_does_not_answer_is_a_problem_and_not_a_hang(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.doctor.cluster.slurm.ask", lambda words: ask(words, limit_s=0.5))
    tools(sinfo="sleep 60")
    began_s = time.monotonic()
    found = slurm()
    assert time.monotonic() - began_s < 5
    assert found.found and found.problem == "sinfo did not answer within 0.5 s"
    assert "does not answer" in words(slurm_page, found)


def test_no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = slurm()
    assert not found.found and found.problem is None
    assert "Not on this machine" in words(slurm_page, found)


def test_the_allocation_around_is_told(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tools(sinfo="exit 1")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    found = slurm()
    assert found.job == {"job": "17", "nodes": "2"}
    assert "inside an allocation: job 17, nodes 2" in words(slurm_page, found)


def test_a_tool_is_ended_with_all_that_it_started() -> None:
    began_s = time.monotonic()
    answer = ask(["sh", "-c", "sleep 60 & echo $!; wait"], limit_s=0.5)
    assert answer.code == NO_ANSWER and time.monotonic() - began_s < 5


def test_a_tool_that_is_not_there() -> None:
    answer = ask(["no-such-tool"])
    assert not answer.ok and answer.words == "no-such-tool: No such file or directory"


# --- Ray ------------------------------------------------------------------------------------------------------------


def test_without_an_address_ray_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("runner.doctor.cluster.ray_cluster.ask", lambda *_, **__: pytest.fail("it was started"))
    found = ray_cluster(temporary=tmp_path)
    assert found.address is None and found.problem is None
    assert "No cluster" in words(ray_page, found) or found.version is None


def test_a_cluster_that_is_gone_does_not_hang_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    began_s = time.monotonic()
    found = ray_cluster(limit_s=3.0)
    assert time.monotonic() - began_s < 15
    assert found.problem is not None and found.nodes == []
    assert "does not answer" in words(ray_page, found)


def test_what_rays_nodes_have_is_shown_in_units() -> None:
    node = {"host": "a", "address": "10.0.0.1", "alive": True, "resources": {"GPU": 8.0, "memory": 2.0**34}}
    assert "GPU 8, memory 16.0 GiB" in words(ray_page, RayFinding(version="2", address="auto", nodes=[node]))


# --- InfiniBand and RoCE --------------------------------------------------------------------------------------------


def written(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def port(root: Path, device: str, number: int, *, state: str, link: str, rate: str) -> None:
    place = f"sys__class__infiniband__{device}__ports__{number}__"
    written(root, **{f"{place}state": f"{state}\n", f"{place}link_layer": f"{link}\n", f"{place}rate": f"{rate}\n"})


def test_ports_are_told_with_their_links_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    port(tmp_path, "mlx5_0", 1, state="4: ACTIVE", link="InfiniBand", rate="400 Gb/sec (4X NDR)")
    port(tmp_path, "mlx5_1", 1, state="4: ACTIVE", link="InfiniBand", rate="200 Gb/sec (4X HDR)")
    port(tmp_path, "mlx5_2", 1, state="1: DOWN", link="Ethernet", rate="10 Gb/sec (1X QDR)")
    written(
        tmp_path,
        **{
            "sys__class__infiniband__mlx5_0__fw_ver": "28.39\n",
            "sys__class__infiniband__mlx5_0__device__numa_node": "1\n",
            "sys__class__infiniband__mlx5_1__device__numa_node": "-1\n",
            "sys__class__infiniband__mlx5_0__ports__1__gid_attrs__ndevs__0": "ib0\n",
            "sys__module__nvidia_peermem__refcnt": "0",
        },
    )
    found = fabric(tmp_path)
    first, second, third = found.ports
    assert (first.device, first.port, first.state, first.link) == ("mlx5_0", 1, "ACTIVE", "InfiniBand")
    assert (first.rate, first.interface, first.numa_node, first.firmware) == ("400 Gb/sec (4X NDR)", "ib0", 1, "28.39")
    assert (second.numa_node, second.interface, third.state) == (None, None, "DOWN")
    assert found.problems == [
        "not active: mlx5_2/1",
        "active InfiniBand ports have different rates: 200 Gb/sec (4X HDR), 400 Gb/sec (4X NDR)",
    ]
    assert [line for line in found.direct if "nvidia_peermem" in line] == found.direct
    assert "mlx5_0/1 ACTIVE InfiniBand 400 Gb/sec (4X NDR) ib0 1 28.39" in words(fabric_page, found)


def test_no_port_and_no_hint(tmp_path: Path) -> None:
    assert fabric(tmp_path).ports == fabric(tmp_path).direct == []
    assert "shows no such device" in words(fabric_page, fabric(tmp_path))
    port(tmp_path, "mlx5_0", 1, state="4: ACTIVE", link="InfiniBand", rate="400 Gb/sec (4X NDR)")
    assert fabric(tmp_path).direct == [NO_HINT]


# --- nodes ----------------------------------------------------------------------------------------------------------


def facts(capsys: pytest.CaptureFixture[str], file: Path, **changes: Any) -> Path:
    assert command.main(["cpu", "--facts"]) == 0
    told = json.loads(capsys.readouterr().out.removeprefix(MARK))
    file.write_text(f"noise\n{MARK}{json.dumps(told | changes)}\n")
    return file


def test_nodes_that_agree_and_nodes_that_do_not(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one, same = facts(capsys, tmp_path / "one"), facts(capsys, tmp_path / "same", host="b")
    other = facts(capsys, tmp_path / "other", host="c", driver="535.1")
    assert command.main(["--compare", str(one), str(same)]) == 0
    assert "They agree" in capsys.readouterr().out
    assert command.main(["--compare", str(one), str(same), str(other), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    host = told["facts"][0]["host"]
    assert told["refused"] == [f"The nodes differ in driver: none on nodes 0, 1 ({host}, b); 535.1 on node 2 (c)."]


def test_a_runs_folder_tells_its_nodes_and_their_clocks(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = [
        json.loads(facts(capsys, tmp_path / "one", host=host).read_text().splitlines()[1].removeprefix(MARK))
        | {"node": node, "clock": {"offset_s": offset_s, "uncertainty_s": 0.001}}
        for node, (host, offset_s) in enumerate((("a", 0.0), ("b", 61.5)))
    ]
    (tmp_path / "nodes.json").write_text(json.dumps(told))
    found = nodes_of_files([tmp_path])
    assert found.refused == []
    assert [line for line in found.warned if "clock" in line] == [
        "The clock of node 1 (b) is 61.5 s ahead of the runner's: times in its own logs are off by as much. "
        "Let the nodes keep time by NTP or chrony."
    ]
    assert "+61.50 s" in words(nodes_page, found)


@pytest.mark.parametrize("text", ["", "{", "[]x", '{"host": "a"}', "[1]"])
def test_what_holds_no_facts_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    assert command.main(["--compare", str(tmp_path / "file")]) == 2
    assert "holds no facts of a node" in " ".join(capsys.readouterr().err.split())
    assert command.main(["--compare", str(tmp_path / "none")]) == 2


def test_without_an_allocation_the_ways_to_compare_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert command.main(["--nodes"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "salloc --nodes=2" in told and "--compare" in told


def test_every_node_of_an_allocation_is_asked_and_one_that_is_silent_is_missed(
    tools: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    after_options = 'while [ "${1#--}" != "$1" ]; do shift; done'
    tools(srun=f'echo "$@" > {tmp_path}/asked\n{after_options}\n"$@"; "$@"')
    found = nodes_of_allocation("cpu")
    assert (tmp_path / "asked").read_text().startswith("--nodes=2 --ntasks=2 --ntasks-per-node=1 ")
    assert [one["host"] for one in found.facts] == [os.uname().nodename] * 2
    assert found.refused == found.warned == [] and found.source == "SLURM job 17"
    tools(srun=f'{after_options}\n"$@"; echo "srun: error: node b: down" >&2; exit 1')
    with pytest.raises(Exception, match=r"1 of 2 nodes of SLURM job 17 .* srun: error: node b: down"):
        nodes_of_allocation("cpu")


@pytest.mark.parametrize(
    ("told_s", "certain_s"),
    [(105.0, None), (100.0, None), (110.0, None), (170.0, 60.0), (40.0, -60.0)],
)
def test_a_clock_is_off_as_far_as_it_is_certain(told_s: float, certain_s: float | None) -> None:
    assert with_clock({"wall_time_s": told_s}, 100.0, 110.0)["clock_offset_s"] == certain_s


def test_the_page_and_the_document_tell_what_the_machine_is_part_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["cpu"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{heading}\n" in shown for heading in ("SLURM", "Ray", "InfiniBand and RoCE"))
    assert command.main(["cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["cluster"]
    assert set(told) == {"slurm", "ray", "fabric"}
    assert set(told["ray"]) == {"version", "address", "nodes", "problem"}
