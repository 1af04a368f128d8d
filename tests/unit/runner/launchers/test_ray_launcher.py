"""`launcher=ray` asks for what the case needs, refuses what cannot be, and ends with the bridge that it started."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.config.compose import compose_with_engine, composing, to_case
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, DependencyError, HardwareError, TimedOutError
from runner.launchers import ray as launcher
from runner.launchers.base import Invitation
from runner.launchers.ray import MARK, Ray, RayOptions, resources_per_node
from runner.launchers.ray_bridge import no_room, unfit
from runner.launchers.ray_cluster import address_towards, cluster_address

ROOT = Path(__file__).parents[4]


def case_of(*words: str) -> Case:
    given = ("model=bert", "topology=cluster", "topology.nodes=2", "topology.devices=8", "launcher=ray", *words)
    with composing():
        return to_case(compose_with_engine(given))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))


# --- which cluster --------------------------------------------------------------------------------------------------


def test_the_named_cluster_goes_before_the_variables_and_that_before_this_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cluster_address() is None and cluster_address("auto") is None
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray/ray_current_cluster").write_text("10.0.0.1:6379\n")
    assert cluster_address() == cluster_address("auto") == "10.0.0.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    assert cluster_address() == "10.0.0.2:6379"
    assert cluster_address("10.0.0.3:6379") == "10.0.0.3:6379"


@pytest.mark.parametrize("cluster", ["127.0.0.1:6379", "ray://127.0.0.1:10001", "localhost:6379"])
def test_nodes_find_this_machine_in_the_clusters_network(cluster: str) -> None:
    assert address_towards(cluster) in ("127.0.0.1", "::1")


def test_a_cluster_that_no_name_leads_to_has_no_network() -> None:
    assert address_towards("no-such-host.invalid:6379") is None


# --- what is asked for ----------------------------------------------------------------------------------------------


def test_devices_are_asked_for_by_rays_name_of_them() -> None:
    assert resources_per_node(case_of("vendor=nvidia")) == {"GPU": 8.0}
    assert resources_per_node(case_of("vendor=ascend")) == {"NPU": 8.0}
    assert resources_per_node(case_of("vendor=habana")) == {"HPU": 8.0}
    assert resources_per_node(case_of("vendor=cpu")) == {}
    assert resources_per_node(case_of("vendor=nvidia", "emulate=true")) == {}
    assert resources_per_node(case_of("vendor=cambricon", "+launcher.resources.MLU=8")) == {"MLU": 8.0}


def test_a_vendor_that_ray_does_not_know_needs_a_name() -> None:
    with pytest.raises(ConfigurationError, match=r"launcher\.resources=\{NAME: 8\}"):
        resources_per_node(case_of("vendor=cambricon"))


# --- what is refused ------------------------------------------------------------------------------------------------


def refusal(case: Case, *, vendor_named: bool = True) -> str:
    with pytest.raises((ConfigurationError, DependencyError, HardwareError)) as error:
        Ray(case, lambda text: None).instead([], Path("outputs"), vendor_named=vendor_named)
    return f"{error.value.exit_code}: {error.value}"


def test_refusals_come_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(case_of("vendor=cpu"), vendor_named=False).startswith("2: launcher=ray runs on the cluster's nodes")
    alone = case_of("vendor=cpu", "topology=single", "topology.nodes=1", "topology.devices=1")
    assert "Add topology=cluster; topology.nodes=1 is one node" in refusal(alone)
    planned = Ray(case_of("vendor=cpu", "task=inspect"), lambda text: None)
    assert planned.instead([], Path("outputs"), vendor_named=True) is None, "a plan runs nothing on any node"
    none = refusal(case_of("vendor=cpu"))
    assert none.startswith("3: ") and "ray start --head" in none and "launcher.cluster=" in none
    monkeypatch.setattr(launcher, "find_spec", lambda name: None)
    assert refusal(case_of("vendor=cpu")).startswith("4: launcher=ray needs the Python package ray")


def test_a_cluster_of_too_few_or_too_small_nodes_can_never_have_the_room() -> None:
    nodes = [{"CPU": 64.0, "GPU": 8.0, "memory": 1e12}, {"CPU": 64.0, "GPU": 4.0}]
    assert unfit(nodes, {"CPU": 1, "GPU": 4.0}, 2) is None
    assert unfit(nodes, {"CPU": 1}, 3) is not None
    told = unfit(nodes, {"CPU": 1, "GPU": 8.0}, 2)
    assert told == (
        "The Ray cluster has 1 of the 2 nodes that topology.nodes asks for, each with CPU 1, GPU 8 "
        "(launcher.resources, launcher.cpus). Its nodes have: CPU 64, GPU 8; CPU 64, GPU 4."
    )
    assert "within 10 s" in no_room({"CPU": 1}, 2, 10.0)


# --- the bridge -----------------------------------------------------------------------------------------------------


class Played:
    """A bridge that tells what it is given, and ends when its input does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
        monkeypatch.setattr(launcher, "END_S", 5.0)
        monkeypatch.setattr(Ray, "_cluster", lambda self: "10.0.0.1:6379")
        monkeypatch.setattr(launcher, "python", lambda module: [sys.executable, "-c", script])
        self.folder = tmp_path

    def start(self, case: Case, said: list[str]) -> Ray:
        made = Ray(case, said.append)
        made.start(Invitation(address="10.0.0.9:4000", key="ab", nodes=2, folder=self.folder))
        return made


PLAY = """
import json, sys, time
asked = json.loads(sys.stdin.readline())
open({file!r}, "w").write(json.dumps(asked))
for state in {states!r}:
    print("noise")
    print({mark!r} + json.dumps(state), flush=True)
sys.stdin.read()
"""


def play(tmp_path: Path, *states: dict[str, Any]) -> str:
    return PLAY.format(file=str(tmp_path / "asked"), states=list(states), mark=MARK)


def wait_for(made: Ray, states: int) -> None:
    with made._heard:
        assert made._heard.wait_for(lambda: len(made._told) >= states, timeout=10)


def test_the_bridge_learns_what_to_ask_for_and_ends_with_its_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]
) -> None:
    played = Played(monkeypatch, tmp_path, play(tmp_path, {"state": "connected"}, {"state": "placed"}))
    made = played.start(case_of("vendor=nvidia", "launcher.cpus=4", "launcher.wait_s=65"), said)
    wait_for(made, 2)
    asked = json.loads((tmp_path / "asked").read_text())
    assert (asked["cluster"], asked["cpus"], asked["resources"]) == ("10.0.0.1:6379", 4, {"GPU": 8.0})
    assert (asked["key"], asked["room_s"]) == ("ab", 60.0)
    assert [one[:2] for one in asked["nodes"]] == [["10.0.0.9:4000", "0"], ["10.0.0.9:4000", "1"]]
    assert made.problem() is None
    assert said == ["The Ray cluster at 10.0.0.1:6379 answers. Asking it for 2 nodes."]
    made.stop()
    assert made._bridge is not None and made._bridge.returncode == 0
    assert "The connection to the Ray cluster ended" in (made.problem() or "")


@pytest.mark.parametrize(("state", "error"), [("unfit", HardwareError), ("no room", TimedOutError)])
def test_a_cluster_without_the_room_is_the_cause(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str], state: str, error: type[Exception]
) -> None:
    script = play(tmp_path, {"state": "connected"}, {"state": state, "message": "too small"})
    made = Played(monkeypatch, tmp_path, script).start(case_of("vendor=nvidia"), said)
    wait_for(made, 2)
    with pytest.raises(error, match="too small"):
        made.problem()
    made.stop()


def test_an_agent_that_ends_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]) -> None:
    ended = {"state": "ended", "message": "The agent of node 1 ended with status 9. No runner."}
    made = Played(monkeypatch, tmp_path, play(tmp_path, {"state": "connected"}, ended)).start(
        case_of("vendor=nvidia"), said
    )
    wait_for(made, 2)
    assert made.problem() == ended["message"]
    made.stop()


@pytest.mark.parametrize("script", ["import sys; sys.exit('no such host')", "import time; time.sleep(60)"])
def test_a_cluster_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str], script: str
) -> None:
    played = Played(monkeypatch, tmp_path, script)
    monkeypatch.setattr(launcher, "END_S", 0.2)
    case = case_of("vendor=nvidia")
    assert isinstance(case.launcher, RayOptions)
    with pytest.raises(HardwareError, match=r"10\.0\.0\.1:6379 did not answer within 1 s\. Start one: `ray start"):
        played.start(replace(case, launcher=replace(case.launcher, answer_s=1.0)), said)


def test_ray_is_imported_by_the_bridge_alone() -> None:
    code = (
        "import sys; import runner.launchers.ray, runner.launchers.ray_bridge, runner.core.registries as one; "
        "one.LAUNCHERS.find('ray'); print([name for name in ('ray', 'torch', 'grpc') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
