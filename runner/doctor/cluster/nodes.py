"""The nodes of a job beside each other: asked by SLURM's `srun`, or read from what a run or other machines left."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hardware.child import python
from runner.cluster.agreement import disagreements
from runner.core.errors import ConfigurationError, HardwareError
from runner.doctor.cluster.asking import ask

FILE = "nodes.json"
"""In a run's folder: what its nodes told."""
MARK = "touchstone-node "
"""Before what a node tells, among whatever else its step prints."""
LIMIT_S = 120.0
"""How long the nodes of an allocation may take: a shared file system is slow when all of them import at once."""


@dataclass(kw_only=True, slots=True)
class NodesFinding:
    """The nodes, and in what they differ."""

    source: str
    """Where it was learned: `SLURM job 17`, or a file."""
    facts: list[dict[str, Any]] = field(default_factory=list)
    """As `runner.cluster.facts` finds them, with `clock_offset_s`."""
    refused: list[str] = field(default_factory=list)
    """Why a job over them would be refused."""
    warned: list[str] = field(default_factory=list)
    remark: str | None = None
    """What could not be seen."""


def nodes_of_allocation(vendor: str) -> NodesFinding:
    """Ask every node of the SLURM allocation around this process.

    Raises:
        ConfigurationError: there is no allocation.
        HardwareError: the nodes did not answer.
    """
    job, count = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_JOB_NUM_NODES")
    if job is None or count is None:
        raise ConfigurationError(
            "--nodes asks the nodes of a SLURM allocation, and this process runs in none. Write: "
            "salloc --nodes=2 python -m runner.doctor --nodes. Elsewhere, run `python -m runner.doctor --facts` on "
            "each node, and compare what they print: python -m runner.doctor --compare FILE FILE …; or name the folder "
            "of a run that they were in."
        )
    if shutil.which("srun") is None:
        raise HardwareError("There is no srun here, by which the nodes of the allocation could be asked.")
    step = ["srun", f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1", "--overlap", "--mem=0"]
    asked_s = time.time()
    answer = ask([*step, *python("runner.doctor.node", vendor)], limit_s=LIMIT_S)
    heard_s = time.time()
    facts = _read(answer.out)
    if len(facts) != int(count):
        raise HardwareError(
            f"{len(facts)} of {count} nodes of SLURM job {job} told what they are. srun said: {answer.words}"
        )
    found = compared(f"SLURM job {job}", [with_clock(one, asked_s, heard_s) for one in facts])
    found.remark = f"The nodes answered within {heard_s - asked_s:.1f} s: clocks that are off by less are not seen."
    return found


def with_clock(one: dict[str, Any], asked_s: float, heard_s: float) -> dict[str, Any]:
    """With the clock's offset as far as it is certain: the node looked at it between the question and the answer."""
    told_s = one["wall_time_s"]
    certain_s = max(0.0, told_s - heard_s) - max(0.0, asked_s - told_s)
    return {**one, "clock_offset_s": certain_s or None}


def nodes_of_files(places: Sequence[Path]) -> NodesFinding:
    """Read what a run's nodes told, or what `--facts` printed on several machines.

    Raises:
        ConfigurationError: a file cannot be read, or holds something else.
    """
    facts = [one for place in places for one in _facts_in(place)]
    return compared(", ".join(map(str, places)), facts)


def _facts_in(place: Path) -> list[dict[str, Any]]:
    file = place / FILE if place.is_dir() else place
    try:
        text = file.read_text()
        told = _read(text) or json.loads(text)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigurationError(f"{file} holds no facts of a node: {error}.") from error
    told = told if isinstance(told, list) else [told]
    if not all(isinstance(one, dict) and {"host", "packages", "devices"} <= one.keys() for one in told):
        raise ConfigurationError(f"{file} holds no facts of a node, as `python -m runner.doctor --facts` prints them.")
    return [{**one, "clock_offset_s": (one.get("clock") or {}).get("offset_s")} for one in told]


def _read(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix(MARK)) for line in text.splitlines() if line.startswith(MARK)]


def compared(source: str, facts: list[dict[str, Any]]) -> NodesFinding:
    """The nodes with what they differ in."""
    found = disagreements(facts)
    return NodesFinding(source=source, facts=facts, refused=found.refused, warned=found.warned)
