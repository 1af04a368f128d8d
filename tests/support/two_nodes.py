"""Two nodes on one machine: a runner, and an agent by the command that the runner printed, as people start them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PRINTED = re.compile(r"^ *(TOUCHSTONE_CLUSTER_KEY=\S+) python (-m runner\.node \S+ 1 .*)$", re.MULTILINE)
FIXED = ("tracking=none", "scale=tiny", "topology=cluster", "topology.nodes=2", "topology.devices=1")


class TwoNodes:
    """A run over two nodes; `agent` is node 1's, started where and as a test wants it."""

    def __init__(self, root: Path, *arguments: str, address: str = "127.0.0.1") -> None:
        self.root = root
        self.output = root.parent / f"{root.name}.head"
        command = [
            sys.executable,
            "-m",
            "runner",
            *FIXED,
            f"run.root={root}",
            f"launcher.address={address}",
            *arguments,
        ]
        with self.output.open("w") as file:
            self.head = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=_environment())
        self.agent: subprocess.Popen[str] | None = None

    def printed(self, timeout_s: float = 60.0) -> tuple[str, list[str]]:
        """The key and the arguments of node 1's command, as the runner printed them."""
        deadline_s = time.monotonic() + timeout_s
        while (found := PRINTED.search(self.output.read_text())) is None:
            assert self.head.poll() is None and time.monotonic() < deadline_s, self.output.read_text()
            time.sleep(0.1)
        return found[1], shlex.split(found[2])

    def join(self, *before: str, key: str | None = None) -> subprocess.Popen[str]:
        """Give node 1's command, behind further words such as `ip netns exec node1`."""
        told, arguments = self.printed()
        variable = told if key is None else f"TOUCHSTONE_CLUSTER_KEY={key}"
        self.agent = subprocess.Popen(
            [*before, "env", variable, sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_environment(),
        )
        return self.agent

    def end(self, timeout_s: float = 240.0) -> int:
        """Wait for the runner, then for the agent; the runner's status."""
        try:
            code = self.head.wait(timeout_s)
            if self.agent is not None:
                self.agent.wait(60.0)
            return code
        finally:
            self.kill()

    def kill(self) -> None:
        """End what is left."""
        for process in (self.head, self.agent):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    @property
    def folder(self) -> Path:
        """The run's."""
        (found,) = (path.parent for path in self.root.glob("*/*/run.yaml"))
        return found

    def wait_for(self, text: str, timeout_s: float = 120.0) -> None:
        """Wait until the first rank's events hold a text."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            logs = list(self.root.glob("*/*/events/rank0.log"))
            if logs and text in logs[0].read_text():
                return
            assert self.head.poll() is None and time.monotonic() < deadline_s, self.output.read_text()
            time.sleep(0.1)


def namespaces_missing() -> str | None:
    """Why no second network can be made here; None where one can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not (shutil.which("ip") and shutil.which("unshare")):
        return "ip and unshare (iproute2, util-linux) are missing"
    tried = _call("ip", "netns", "add", "touchstone-try")
    _call("ip", "netns", "del", "touchstone-try")
    return tried or None


class OtherNetwork:
    """A network of its own for node 1, joined to this machine's by a virtual cable."""

    NAME, HERE, THERE = "touchstone1", "10.213.7.1", "10.213.7.2"

    def __enter__(self) -> OtherNetwork:
        """Lay the cable; what a killed test has left is taken away first."""
        self.__exit__()
        name = self.NAME
        for command in (
            f"ip netns add {name}",
            "ip link add touchstone-a type veth peer name touchstone-b",
            f"ip link set touchstone-b netns {name}",
            f"ip addr add {self.HERE}/24 dev touchstone-a",
            "ip link set touchstone-a up",
            f"ip netns exec {name} ip addr add {self.THERE}/24 dev touchstone-b",
            f"ip netns exec {name} ip link set touchstone-b up",
            f"ip netns exec {name} ip link set lo up",
        ):
            problem = _call(*command.split())
            assert not problem, problem
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        _call("ip", "link", "del", "touchstone-a")
        _call("ip", "netns", "del", self.NAME)

    def inside(self, hidden: Path | None = None, size: str = "64m") -> Sequence[str]:
        """Words before a command that then runs in it; `hidden` is an empty file system of its own there."""
        enter = ["ip", "netns", "exec", self.NAME]
        if hidden is None:
            return enter
        script = f'mount -t tmpfs -o size={size} none {shlex.quote(str(hidden))} && exec "$@"'
        return [*enter, "unshare", "-m", "sh", "-c", script, "sh"]


def _call(*command: str) -> str:
    """What a command says against it; empty when it works."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or f"{command[0]} failed"


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "TOUCHSTONE_LANG": "en"}
