"""Ray as this machine sees it: installed, and a cluster that answers. A process of its own imports Ray."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hardware.child import environment_of_child, python
from hardware.packages import installed_version
from runner.doctor.cluster.asking import ask
from runner.launchers.ray_cluster import cluster_address

LIMIT_S = 30.0
"""How long a cluster may take to answer: a driver's connection takes seconds."""
MARK = "touchstone-ray "
"""Before the answer of `runner.doctor.cluster.ray_told`, among whatever Ray prints."""


@dataclass(kw_only=True, slots=True)
class RayFinding:
    """What is found of Ray; what is not known is None."""

    version: str | None
    """None: it is not installed."""
    address: str | None = None
    """Where a cluster is looked for; None: none was named, and none was started on this machine."""
    nodes: list[dict[str, Any]] = field(default_factory=list)
    """`host`, `address`, `alive`, and `resources` as Ray counts them."""
    problem: str | None = None
    """Why the cluster did not answer."""


def ray_cluster(*, limit_s: float = LIMIT_S, temporary: Path | None = None) -> RayFinding:
    """Ask the cluster that `launcher=ray` would use.

    Args:
        limit_s: how long it may take to answer, in seconds.
        temporary: the folder that Ray's temporary files are in; None: as Ray chooses it.
    """
    version = installed_version("ray")
    if version is None:
        return RayFinding(version=None)
    address = cluster_address(temporary=temporary)
    if address is None:
        return RayFinding(version=version)
    answer = ask(python("runner.doctor.cluster.ray_told", address), limit_s=limit_s, env=environment_of_child({}))
    told = next((line.removeprefix(MARK) for line in answer.out.splitlines() if line.startswith(MARK)), None)
    if told is None:
        return RayFinding(version=version, address=address, problem=_last(answer.error) or answer.words)
    return RayFinding(version=version, address=address, nodes=json.loads(told))


def _last(text: str) -> str:
    """Ray's reason stands in its last line, below a traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
