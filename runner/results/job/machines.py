"""Nodes of a job that are one machine: each of them reads the meters of all of it."""

from __future__ import annotations

import json

from runner.record.run_record import NODES_FILE, RunRecord
from runner.record.values import Missing, Values

OF_MACHINE = ("energy/node_j", "power/node_mean_w", "host/")
"""How the names of figures of a whole machine begin; another node's ranks on it are others to a node's own."""
OF_PACKAGES = (
    *("energy/device_j", "energy/per_sample_j", "energy/samples_per_j", "power/device_mean_w"),
    *("power/device_idle_w", "convergence/energy_j_to_target"),
)
"""Of the host's processor, where that is the device."""


def counted_once(run_record: RunRecord, values: Values) -> Values:
    """The values of a job, without sums in which a machine stands once for each node on it."""
    nodes = _on_one_machine(run_record)
    if not nodes:
        return values
    told = f"nodes {', '.join(map(str, nodes))} are one machine, whose meters would be counted once for each of them"
    names = (*OF_MACHINE, *(OF_PACKAGES if run_record.case.vendor.on_host else ()))
    sums = {name for name, value in values.items() if name.startswith(names) and not isinstance(value, Missing)}
    return values | dict.fromkeys(sums, Missing(told))


def _on_one_machine(run_record: RunRecord) -> list[int]:
    """Numbers of the nodes that share their machine with another one; none where that is not told."""
    path = run_record.folder / NODES_FILE
    if run_record.case.topology.nodes == 1 or not path.is_file():
        return []
    boots = [node.get("boot_id") for node in json.loads(path.read_text())]
    return [number for number, boot in enumerate(boots) if boot is not None and boots.count(boot) > 1]
