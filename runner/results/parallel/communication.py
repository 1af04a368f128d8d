"""`communication/*`: what a rank hands to collectives in one optimizer step, counted in a step of warm-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.config.schema import Topology
from runner.core.events import Name
from runner.measure.step_profile import group_of
from runner.record.names import COLLECTIVES
from runner.record.run_record import RunRecord
from runner.record.values import Missing, Value, Values
from runner.results.parallel.ranks import SINGLE

KINDS = tuple(COLLECTIVES)
"""Kinds of collectives that have a figure of their own; what else there was is in the total."""
NAMES = (
    "communication/bytes_per_step",
    *(f"communication/{kind}_bytes_per_step" for kind in KINDS),
    "communication/ring_bytes_per_step",
)


def communication(run_record: RunRecord) -> Values:
    """Payload bytes of a step on the first rank, by kind, and what a ring would send for them."""
    told = run_record.last(Name.COMMUNICATION)
    if (reason := _reason(run_record, told)) is not None:
        return dict.fromkeys(NAMES, Missing(reason))
    assert told is not None
    by_kind: dict[str, int] = told["bytes"]
    values: Values = {"communication/bytes_per_step": float(sum(by_kind.values()))}
    values |= {f"communication/{kind}_bytes_per_step": float(by_kind.get(kind, 0)) for kind in KINDS}
    return values | {"communication/ring_bytes_per_step": _on_a_ring(by_kind, run_record.case.topology)}


def _reason(run_record: RunRecord, told: Mapping[str, Any] | None) -> str | None:
    if run_record.case.topology.ranks == 1:
        return SINGLE
    if told is None:
        return "no step of warm-up was profiled: it ended before its third step, or the framework tells no steps"
    if "reason" in told:
        return str(told["reason"])
    return None if told["bytes"] else "the profiled step shows no collective of torch.distributed"


def _on_a_ring(by_kind: Mapping[str, int], topology: Topology) -> Value:
    """Bytes that one of n ranks sends, were every collective carried out on a ring of all of them.

    All-reduce of S bytes sends 2(n-1)/n S, all-gather, reduce-scatter and all-to-all (n-1)/n S, broadcast and reduce,
    passed on from rank to rank, S at most, point to point S.
    """
    ranks = group_of(topology)
    if ranks is None:
        return Missing(f"the collectives of this layout ({topology.layout}) have groups of several sizes")
    share = (ranks - 1) / ranks
    factors = {"all_reduce": 2 * share, "all_gather": share, "reduce_scatter": share, "all_to_all": share}
    factors |= {"gather": share, "scatter": share}
    return sum(factors.get(kind, 1.0) * size for kind, size in by_kind.items())
