"""`python -m runner.launchers.ray_bridge`: the driver of a Ray job that keeps an agent on each of its nodes.

Reads one line of JSON, tells what becomes of it in further ones, and ends the agents when its input ends: whatever
becomes of the runner, nothing is left in the cluster. What runs on the nodes uses the standard library alone, for Ray
sends its code there.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from typing import Any

from hardware.child import ROOT
from runner.launchers.ray import MARK

LOOK_S = 1.0
STOP_S = 10.0
"""How long the agents may take to end once they are asked to."""


class AgentKeeper:
    """A Ray actor: starts the agent of one node, and waits for its end."""

    def __init__(self, arguments: list[str], key: str, root: str, threads: str | None) -> None:
        import os
        import subprocess
        import sys
        import tempfile
        from pathlib import Path

        values = {**os.environ, "TOUCHSTONE_CLUSTER_KEY": key}
        values.pop("OMP_NUM_THREADS", None)  # Ray's: as many as cores were asked for
        if threads is not None:
            values["OMP_NUM_THREADS"] = threads
        if Path(root, "runner", "__init__.py").is_file():  # a shared folder, and not installed
            values["PYTHONPATH"] = os.pathsep.join(filter(None, [root, values.get("PYTHONPATH")]))
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 -- open for as long as the agent runs
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runner.node", *arguments],
            env=values,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self) -> tuple[int, str]:
        """The agent's status and its last line, once it has ended."""
        status = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return status, lines[-1] if lines else ""

    def stop(self, grace_s: float) -> None:
        """End the agent, which ends its ranks."""
        import subprocess

        self._process.terminate()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main() -> int:
    """Connect, ask for room, keep the agents, give all back."""
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    over = threading.Event()
    threading.Thread(target=_await_end, args=(over,), daemon=True, name="input").start()
    import ray

    ray.init(address=asked["cluster"], log_to_driver=False, logging_level=logging.WARNING)
    _tell("connected")
    try:
        _with_room(ray, asked, over)
    finally:
        ray.shutdown()
    return 0


def _await_end(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


def _with_room(ray: Any, asked: dict[str, Any], over: threading.Event) -> None:
    """Ask for one bundle on each of so many nodes; nothing is left of the request when this ends."""
    from ray.util.placement_group import placement_group, remove_placement_group

    bundle = {"CPU": asked["cpus"], **asked["resources"]}
    nodes = len(asked["nodes"])
    if (message := unfit([one["Resources"] for one in ray.nodes() if one["Alive"]], bundle, nodes)) is not None:
        _tell("unfit", message=message)
        over.wait()
        return
    group = placement_group([bundle] * nodes, strategy="STRICT_SPREAD")
    try:
        deadline_s = time.monotonic() + asked["room_s"]
        while not group.wait(LOOK_S):
            if over.is_set():
                return
            if time.monotonic() > deadline_s:
                _tell("no room", message=no_room(bundle, nodes, asked["room_s"]))
                over.wait()
                return
        _tell("placed")
        _keep(ray, asked, group, over)
    finally:
        remove_placement_group(group)


def _keep(ray: Any, asked: dict[str, Any], group: Any, over: threading.Event) -> None:
    """Start the agents and wait until one ends, or all are to."""
    import os

    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    resources = dict(asked["resources"])
    options = {"num_cpus": asked["cpus"], "num_gpus": resources.pop("GPU", 0), "resources": resources}
    keeper = ray.remote(AgentKeeper)
    threads = os.environ.get("OMP_NUM_THREADS")
    keepers = [
        keeper.options(
            **options,
            max_concurrency=2,  # `stop` while `wait` waits
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=number),
        ).remote(arguments, asked["key"], str(ROOT), threads)
        for number, arguments in enumerate(asked["nodes"])
    ]
    waiting = {one.wait.remote(): number for number, one in enumerate(keepers)}
    while waiting and not over.is_set():
        ended, _ = ray.wait(list(waiting), timeout=LOOK_S)
        for reference in ended:
            _tell("ended", message=_ending(ray, reference, waiting.pop(reference)))
    over.wait()
    stopping = [one.stop.remote(STOP_S / 2) for one in keepers]
    ray.wait(stopping, num_returns=len(stopping), timeout=STOP_S)


def _ending(ray: Any, reference: Any, number: int) -> str:
    """How the agent of a node ended."""
    try:
        status, words = ray.get(reference)
    except ray.exceptions.RayError as error:
        text = " ".join(str(error).split())
        return f"Ray lost the agent of node {number}: {text[:300]}"
    return f"The agent of node {number} ended with status {status}. {words}".strip()


def unfit(nodes: list[dict[str, float]], bundle: dict[str, float], wanted: int) -> str | None:
    """Why a cluster can never have the room, by all that its nodes have; None when it can."""
    able = [one for one in nodes if all(one.get(name, 0) >= count for name, count in bundle.items())]
    if len(able) >= wanted:
        return None
    there = "; ".join(_words({name: count for name, count in one.items() if name in bundle}) for one in nodes)
    return (
        f"The Ray cluster has {len(able)} of the {wanted} nodes that topology.nodes asks for, each with "
        f"{_words(bundle)} (launcher.resources, launcher.cpus). Its nodes have: {there or 'nothing'}."
    )


def no_room(bundle: dict[str, float], nodes: int, room_s: float) -> str:
    """What is said when others have the cluster."""
    return (
        f"The Ray cluster had no room for {nodes} nodes with {_words(bundle)} each within {room_s:g} s: others use it "
        "(`ray status` tells who). Wait for them, or raise launcher.wait_s."
    )


def _words(resources: dict[str, float]) -> str:
    return ", ".join(f"{name} {count:g}" for name, count in resources.items()) or "nothing of it"


def _tell(state: str, **content: Any) -> None:
    sys.stdout.write(f"{MARK}{json.dumps({'state': state, **content})}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
