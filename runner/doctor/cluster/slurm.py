"""SLURM as this machine sees it: its partitions, whether ended jobs leave a record, and the job that this runs in."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field

from runner.doctor.cluster.asking import ToolAnswer, ask

PARTITION_FIELDS = ("partition", "availability", "nodes", "state", "time_limit", "devices")
"""What `sinfo` is asked for, in this order."""
_FORMAT = "%R|%a|%D|%t|%l|%G"
_NO_RECORD = re.compile(r"accounting storage is disabled", re.I)
RECORDED = "ended jobs leave a record (sacct): why a job of a sweep was lost can be told"
UNRECORDED = (
    "ended jobs leave no record: the queue (squeue) alone tells that a job is gone, and why it was killed is told by "
    "nobody. A sweep watches the queue and counts a job that left it without a result as lost"
)


@dataclass(kw_only=True, slots=True)
class SlurmFinding:
    """What is found of SLURM; what is not known is None."""

    found: bool
    """Whether its commands are here."""
    version: str | None = None
    cluster: str | None = None
    partitions: list[dict[str, str]] = field(default_factory=list)
    """With the keys of PARTITION_FIELDS: one entry for the nodes of a partition that are in one state."""
    accounting: bool | None = None
    """Whether `sacct` answers."""
    meaning: str | None = None
    """What that means for a sweep, or why it is not known."""
    kept_s: int | None = None
    """How long the controller itself remembers a job that has ended (MinJobAge)."""
    job: dict[str, str] | None = None
    """The allocation that this process runs in; None: it runs in none."""
    problem: str | None = None
    """Why it did not answer."""


def slurm() -> SlurmFinding:
    """Ask SLURM's commands, where they are; takes no longer than they may."""
    if shutil.which("sinfo") is None:
        return SlurmFinding(found=False, job=_job())
    answer = ask(["sinfo", "--noheader", f"--format={_FORMAT}"])
    if not answer.ok:
        return SlurmFinding(found=True, job=_job(), problem=answer.words)
    settings = _settings(ask(["scontrol", "show", "config"]))
    accounting, meaning = _accounting(ask(["sacct", "--noheader", "--allocations", "--format=JobID", "--user=root"]))
    kept = re.match(r"\d+", settings.get("MinJobAge", ""))
    return SlurmFinding(
        found=True,
        version=settings.get("SLURM_VERSION"),
        cluster=settings.get("ClusterName"),
        partitions=_partitions(answer.out),
        accounting=accounting,
        meaning=meaning,
        kept_s=int(kept[0]) if kept else None,
        job=_job(),
    )


def _partitions(text: str) -> list[dict[str, str]]:
    rows = (line.split("|") for line in text.splitlines())
    return [dict(zip(PARTITION_FIELDS, row, strict=True)) for row in rows if len(row) == len(PARTITION_FIELDS)]


def _settings(answer: ToolAnswer) -> dict[str, str]:
    """`name = value` lines."""
    pairs = (line.partition("=") for line in answer.out.splitlines())
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def _accounting(answer: ToolAnswer) -> tuple[bool | None, str]:
    if answer.ok:
        return True, RECORDED
    if _NO_RECORD.search(answer.error + answer.out):
        return False, UNRECORDED
    return None, f"whether ended jobs leave a record is not known: {answer.words}"


def _job() -> dict[str, str] | None:
    """Of the allocation around this process, by SLURM's own variables."""
    named = {
        "job": "SLURM_JOB_ID",
        "nodes": "SLURM_JOB_NUM_NODES",
        "node_list": "SLURM_JOB_NODELIST",
        "partition": "SLURM_JOB_PARTITION",
        "step": "SLURM_STEP_ID",
        "task": "SLURM_PROCID",
    }
    told = {name: os.environ[variable] for name, variable in named.items() if variable in os.environ}
    return told if "job" in told else None
