"""Which rank is the slowest: by its own work before the ranks meet, for afterwards all took as long as the slowest."""

from __future__ import annotations

import statistics

from runner.config.schema import Topology
from runner.core.events import Name
from runner.record.run_record import RunRecord
from runner.record.step_rows import read_rows
from runner.record.values import Missing, Value, Values
from runner.results.speed import NO_EVENTS

SLOW = 1.1
"""The slowest rank's own work over the median rank's, from which a reader must know."""
SINGLE = "a single rank has none beside it"
FIGURES = ("ranks/slowest", "ranks/slowest_to_median", "communication/wait_fraction")


def ranks(run_record: RunRecord) -> tuple[Values, list[str]]:
    """`ranks/*` and the share of a step that waits for the other ranks, with a sentence where one rank is slow.

    The median rank's is that of a rank: of an even number, the lower of the two middle ones.
    """
    topology = run_record.case.topology
    own = _own_work(run_record)
    if isinstance(own, Missing):
        return dict.fromkeys(FIGURES, own), []
    medians = [statistics.median(seconds) for seconds in own]
    middle = statistics.median_low(medians)
    if middle == 0:
        return dict.fromkeys(FIGURES, Missing("the ranks' own work took no time that can be told")), []
    slowest = max(range(topology.ranks), key=lambda rank: medians[rank])
    ratio = medians[slowest] / middle
    values: Values = {"ranks/slowest": float(slowest), "ranks/slowest_to_median": ratio}
    values["communication/wait_fraction"] = _waiting(run_record)
    return values, [_sentence(slowest, ratio, topology)] if ratio >= SLOW else []


def _own_work(run_record: RunRecord) -> list[list[float]] | Missing:
    """Seconds of own work in each step of the window, by rank."""
    topology = run_record.case.topology
    if topology.ranks == 1:
        return Missing(SINGLE)
    if topology.layout != "data":
        return Missing(f"ranks that share a copy of the model ({topology.layout}) wait for each other on the way")
    told = run_record.last(Name.COMMUNICATION) or {}
    if told.get("calls_in_forward"):
        return Missing(
            f"ranks wait for each other inside the forward pass: it has {told['calls_in_forward']} collectives"
        )
    return _columns(run_record, "own_seconds")


def _columns(run_record: RunRecord, column: str) -> list[list[float]] | Missing:
    """A column of `steps.csv`, by rank, over the steps of the window."""
    rows = [row for row in read_rows(run_record.folder / "steps.csv") if row["phase"] == "window"]
    if not rows:
        return Missing("no window was completed")
    by_rank: list[list[float]] = [[] for _ in range(run_record.case.topology.ranks)]
    for row in rows:
        if not row["seconds"]:
            return Missing(NO_EVENTS)
        if not row.get(column):
            return Missing(f"framework={run_record.case.framework.name} does not mark where its ranks meet")
        if (rank := int(row["rank"])) < len(by_rank):
            by_rank[rank].append(float(row[column]))
    silent = [rank for rank, seconds in enumerate(by_rank) if not seconds]
    if silent:
        return Missing(f"steps.csv has no steps of rank {', '.join(map(str, silent))}")
    return by_rank


def _waiting(run_record: RunRecord) -> Value:
    """Time between the ranks' own work over the time of their steps; mean over ranks."""
    waited, whole = _columns(run_record, "wait_seconds"), _columns(run_record, "seconds")
    if isinstance(waited, Missing):
        return waited
    if isinstance(whole, Missing):
        return whole
    return statistics.fmean(sum(wait) / sum(seconds) for wait, seconds in zip(waited, whole, strict=True))


def _sentence(rank: int, ratio: float, topology: Topology) -> str:
    assert isinstance(topology.devices, int)
    node, device = divmod(rank, topology.devices)
    place = f"node {node}, device {device}" if topology.nodes > 1 else f"device {device}"
    return (
        f"Rank {rank} ({place}) is the slowest: {ratio:.2f}x the median rank's own work in a step. "
        "The others wait for it."
    )
