"""`launcher=ray`: an existing Ray cluster has room for the nodes, and an agent is started on each.

Ray is imported by a process of its own (`ray_bridge`), beside the runner and never in a measured one: it takes a second
of a core, and dozens of threads.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from hardware.child import environment_of_child, python
from models.ranges import Count, Positive, Seconds
from runner.config.schema import STRICT, Case, LauncherSpec
from runner.config.task import demands_of
from runner.core.errors import ConfigurationError, DependencyError, HardwareError, TimedOutError
from runner.launchers.base import Invitation, Launcher, agent_arguments
from runner.launchers.ray_cluster import address_towards, cluster_address

LOG = "ray.log"
"""In the run's folder: what Ray says."""
MARK = "touchstone-ray "
"""Before what the bridge tells, among whatever Ray prints."""
END_S = 20.0
"""How long the bridge may take to end the agents and give the room back."""
EARLIER_S = 5.0
"""So long before the nodes are given up, the cluster's answer is: it says why they did not come."""
INSTALL = "launcher=ray needs the Python package ray, which is not installed: pip install 'touchstone[ray]'."
START = (
    "Start one: `ray start --head` on the first machine, `ray start --address=HOST:6379` on the others. One that is "
    "there is named by RAY_ADDRESS, or by launcher.cluster=HOST:6379."
)


@dataclass(kw_only=True, slots=True, config=STRICT)
class RayOptions(LauncherSpec):
    """`conf/launcher/ray.yaml`."""

    cluster: str | None = None
    """Address of the Ray cluster; None: RAY_ADDRESS, else the one that was started on this machine."""
    resources: dict[str, Positive] | None = None
    """What Ray sets aside of each node; None: the devices, as Ray calls the vendor's."""
    cpus: Count = 1
    """Cores that Ray sets aside of each node."""
    answer_s: Seconds = 30.0
    """How long the cluster may take to answer."""


class Ray(Launcher):
    """One agent on each of so many nodes of the cluster, started and ended through the bridge."""

    options: ClassVar[type[LauncherSpec]] = RayOptions
    here = False

    def __init__(self, case: Case, say: Callable[[str], None]) -> None:
        super().__init__(case, say)
        self._bridge: subprocess.Popen[str] | None = None
        self._told: list[dict[str, Any]] = []
        self._heard = threading.Condition()
        self._log: Path | None = None

    @staticmethod
    def unavailable_reason() -> str | None:
        """Whether Ray is installed."""
        return None if find_spec("ray") else INSTALL

    def instead(self, arguments: Sequence[str], wanted: Path, *, vendor_named: bool) -> Callable[[], int] | None:
        """Nothing: the case runs from here. Refuses what cannot be, before anything is written."""
        if not demands_of(self.case).on_device:
            return None
        if not vendor_named:
            raise ConfigurationError(
                "launcher=ray runs on the cluster's nodes, and the vendor was looked for on this machine. Name it: "
                "vendor=NAME, for instance vendor=nvidia."
            )
        self._cluster()
        return None

    def listens_at(self) -> str | None:
        """The address by which the cluster's network reaches this machine."""
        return self.case.launcher.address or address_towards(self._cluster())

    def start(self, invitation: Invitation) -> None:
        """Connect to the cluster and ask for the nodes.

        Raises:
            HardwareError: the cluster does not answer.
        """
        cluster, options = self._cluster(), self._options
        self._log = invitation.folder / LOG
        asked = {
            "cluster": cluster,
            "cpus": options.cpus,
            "resources": resources_per_node(self.case),
            "nodes": [agent_arguments(self.case, invitation.address, number) for number in range(invitation.nodes)],
            "key": invitation.key,
            "room_s": max(1.0, options.wait_s - EARLIER_S),
        }
        with self._log.open("ab") as log:
            self._bridge = subprocess.Popen(
                python("runner.launchers.ray_bridge"),
                env=environment_of_child({}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the runner, which ends the agents in good order
            )
        threading.Thread(target=self._listen, args=(self._bridge,), daemon=True, name="ray-bridge").start()
        assert self._bridge.stdin is not None
        self._bridge.stdin.write(json.dumps(asked) + "\n")
        self._bridge.stdin.flush()
        self._await_answer(cluster, options.answer_s)
        self.say(f"The Ray cluster at {cluster} answers. Asking it for {invitation.nodes} nodes.")

    def problem(self) -> str | None:
        """What the bridge tells, or that it is gone.

        Raises:
            HardwareError: the cluster has not what is asked for.
            TimedOutError: it had no room in time.
        """
        with self._heard:
            told = list(self._told)
        for one in told:
            if one["state"] == "unfit":
                raise HardwareError(one["message"])
            if one["state"] == "no room":
                raise TimedOutError(one["message"])
            if one["state"] == "ended":
                return str(one["message"])
        if self._bridge is not None and self._bridge.poll() is not None:
            return f"The connection to the Ray cluster ended. {self._last_words()}"
        return None

    def stop(self) -> None:
        """Have the agents ended and the room in the cluster given back."""
        if self._bridge is None:
            return
        assert self._bridge.stdin is not None
        with contextlib.suppress(OSError):  # it is gone
            self._bridge.stdin.close()
        try:
            self._bridge.wait(END_S)
        except subprocess.TimeoutExpired:
            self._bridge.kill()
            self._bridge.wait()

    @property
    def _options(self) -> RayOptions:
        assert isinstance(self.case.launcher, RayOptions)
        return self.case.launcher

    def _cluster(self) -> str:
        """The cluster's address, once it is sure that there is something to be asked."""
        if (reason := self.unavailable_reason()) is not None:
            raise DependencyError(reason)
        if self.case.topology.name != "cluster":
            raise ConfigurationError(
                f"launcher=ray brings a case to the nodes of a cluster, and topology={self.case.topology.name} is this "
                "machine. Add topology=cluster; topology.nodes=1 is one node."
            )
        resources_per_node(self.case)
        address = cluster_address(self._options.cluster)
        if address is None:
            raise HardwareError(f"launcher=ray: no Ray cluster is known on this machine. {START}")
        return address

    def _listen(self, bridge: subprocess.Popen[str]) -> None:
        assert bridge.stdout is not None
        for line in bridge.stdout:
            if line.startswith(MARK):
                with self._heard:
                    self._told.append(json.loads(line.removeprefix(MARK)))
                    self._heard.notify_all()

    def _await_answer(self, cluster: str, answer_s: float) -> None:
        assert self._bridge is not None
        deadline_s = time.monotonic() + answer_s
        with self._heard:
            while not self._told and self._bridge.poll() is None and time.monotonic() < deadline_s:
                self._heard.wait(0.2)
            if self._told:
                return
        self._bridge.kill()  # it waits inside Ray, and has nothing yet to be given back
        self._bridge.wait()
        problem = f"The Ray cluster at {cluster} did not answer within {answer_s:g} s. {START} {self._last_words()}"
        raise HardwareError(problem.strip())

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log and self._log.exists() else []
        return f"The end of {self._log}: {lines[-1][:300]}" if lines else ""


def resources_per_node(case: Case) -> dict[str, float]:
    """What Ray sets aside of each node besides its cores.

    Raises:
        ConfigurationError: Ray knows no name for the vendor's devices, and nobody gave one.
    """
    options, vendor = case.launcher, case.vendor
    assert isinstance(options, RayOptions)
    assert isinstance(case.topology.devices, int)
    if options.resources is not None:
        return dict(options.resources)
    if vendor.on_host or case.emulate:
        return {}
    if vendor.ray_resource is None:
        raise ConfigurationError(
            f"Ray has no name of its own for {vendor.title}. Start its nodes with --resources='{{\"NAME\": 8}}', and "
            f"ask for it by launcher.resources={{NAME: {case.topology.devices}}}."
        )
    return {vendor.ray_resource: float(case.topology.devices)}
