"""What a machine is part of, as blocks of the doctor's page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.doctor.cluster.fabric import FabricFinding
from runner.doctor.cluster.nodes import NodesFinding
from runner.doctor.cluster.ray_cluster import RayFinding
from runner.doctor.cluster.slurm import PARTITION_FIELDS, SlurmFinding
from runner.views.page import NULL, Grid, Page


def slurm_page(made: Page, found: SlurmFinding) -> None:
    """SLURM: in one line where it is not here."""
    made.note("SLURM", "heading")
    if not found.found:
        made.note("Not on this machine: no sinfo in PATH.")
    elif found.problem is not None:
        made.note(f"Its commands are here, and it does not answer: {found.problem}", "mark")
    else:
        made.note(f"Version {found.version or 'unknown'}, cluster {found.cluster or 'unknown'}.")
        header = ["Partition", "Up", "Nodes", "State", "Time limit", "Devices"]
        rows = [[one[name] for name in PARTITION_FIELDS] for one in found.partitions]
        made.blocks.append(Grid(header=header, rows=rows, right=frozenset({2})))
        made.note(f"Accounting: {found.meaning}.", "plain" if found.accounting else "mark")
        if not found.accounting and found.kept_s is not None:
            made.note(f"The controller remembers an ended job for {found.kept_s} s.")
    if found.job is not None:
        told = ", ".join(f"{name} {value}" for name, value in found.job.items())
        made.note(f"This runs inside an allocation: {told}.")
    elif found.found:
        made.note("This runs in no allocation: launcher=slurm submits a job.")


def ray_page(made: Page, found: RayFinding) -> None:
    """Ray: installed, and what its cluster has."""
    made.note("Ray", "heading")
    if found.version is None:
        made.note("Not installed: pip install 'touchstone[ray]' brings it.")
        return
    if found.address is None:
        made.note(f"Version {found.version}. No cluster: RAY_ADDRESS is not set, and none was started on this machine.")
        return
    if found.problem is not None:
        made.note(f"Version {found.version}. The cluster at {found.address} does not answer: {found.problem}", "mark")
        return
    made.note(f"Version {found.version}. Cluster at {found.address}:")
    rows = [
        [one["host"], one["address"], "yes" if one["alive"] else "no", _resources(one["resources"])]
        for one in found.nodes
    ]
    made.blocks.append(Grid(header=["Node", "Address", "Alive", "Resources"], rows=rows))


def _resources(told: Mapping[str, float]) -> str:
    """Counts as they are, amounts of memory in GiB (Ray counts bytes)."""
    words = [
        f"{name} {count / 2**30:.1f} GiB" if "memory" in name else f"{name} {count:g}"
        for name, count in sorted(told.items())
    ]
    return ", ".join(words) or NULL


def fabric_page(made: Page, found: FabricFinding) -> None:
    """InfiniBand and RoCE."""
    made.note("InfiniBand and RoCE", "heading")
    if not found.ports:
        made.note("The kernel shows no such device (/sys/class/infiniband); inside a container it may hide them.")
        return
    header = ["Port", "State", "Link", "Rate", "Interface", "NUMA", "Firmware"]
    rows = [
        [
            f"{one.device}/{one.port}",
            one.state or NULL,
            one.link or NULL,
            one.rate or NULL,
            one.interface or NULL,
            NULL if one.numa_node is None else str(one.numa_node),
            one.firmware or NULL,
        ]
        for one in found.ports
    ]
    made.blocks.append(Grid(header=header, rows=rows, sticky=1))
    for words in found.direct:
        made.note(words, "item")
    for words in found.problems:
        made.note(words, "mark")


def nodes_page(made: Page, found: NodesFinding) -> None:
    """The nodes of a job, and in what they differ."""
    made.note(f"Nodes of {found.source}", "title")
    header = ["#", "Host", "torch", "Driver", "Chips", "Processor", "Memory", "Room", "Clock"]
    rows = [_row(number, one) for number, one in enumerate(found.facts)]
    made.blocks.append(Grid(header=header, rows=rows, right=frozenset({0, 6, 7, 8}), sticky=2))
    for words in found.refused:
        made.note(f"A job over them is refused: {words}", "error")
    for words in found.warned:
        made.note(words, "warning")
    if found.remark is not None:
        made.note(found.remark)
    if not found.refused and not found.warned:
        made.note("They agree on versions, drivers, devices and clocks, as far as these are known.", "good")


def _row(number: int, one: Mapping[str, Any]) -> list[str]:
    chips = one["devices"]["chips"]
    offset_s = one.get("clock_offset_s")
    free_gib = one["free_gib"]
    return [
        str(number),
        one["host"],
        one["packages"].get("torch", NULL),
        one["driver"] or NULL,
        NULL if chips is None else ", ".join(f"{count} x {name}" for name, count in chips.items()) or "none",
        one["cpu"],
        f"{one['memory_gib']:.0f} GiB",
        NULL if free_gib is None else f"{free_gib:.0f} GiB",
        NULL if offset_s is None else f"{offset_s:+z.2f} s",
    ]
