"""Plans a case: tells the layouts that fit, and computes the figures of its own layout from what was told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardware.chip_identity import KnownChip
from hardware.chips import find_chip
from runner.config.schema import Case
from runner.core.errors import ConfigurationError
from runner.core.events import EventWriter, Name
from runner.planning.division import refusal
from runner.planning.figures import NO_LINK, NO_NETWORK, memory_estimate, no_estimate, no_plan, plan_values
from runner.planning.own import cluster_of, costs_of, options_of, own_layout
from runner.planning.search import fitting_layouts
from runner.planning.step_time import step_time
from runner.planning.table import layout_rows, scaling_rows
from runner.record.run_record import RunRecord
from runner.record.values import Missing, Value, Values

UNCOUNTED = Missing("the version that counted the model did not count this")
NO_CHIP = "name a chip of the catalogue with vendor.chip=NAME, whose peak and memory a plan needs"


def tell_plan(case: Case, account: Mapping[str, Any], events: EventWriter) -> None:
    """Tell the layouts that fit, a POINT each, and what a chart of device counts needs.

    Raises:
        ConfigurationError: the model cannot be shared out as the case's own layout asks.
    """
    costs, layout, options = costs_of(case, account), own_layout(case), options_of(case)
    why = refusal(costs, layout)
    if why is not None:
        raise ConfigurationError(f"model={case.model.name}, {why}.")
    chip = find_chip(case.vendor.chip) if case.vendor.chip and not case.emulate else None
    cluster = cluster_of(case, chip)
    if cluster.peak_flops_per_second is None or cluster.memory_gib is None or cluster.devices == 1:
        return
    samples, parallel = layout.samples_per_step, options.sequence_parallel
    found = fitting_layouts(costs, cluster, samples=samples, overlap=options.overlap, sequence_parallel=parallel)
    for row in layout_rows(found, options.most_layouts):
        events.emit(Name.POINT, row)
    rows = scaling_rows(costs, cluster, samples=samples, overlap=options.overlap, sequence_parallel=parallel)
    memory = cluster.memory_gib
    events.emit(Name.PLAN, {"fitting": len(found), "samples": samples, "memory_gib": memory, "rows": rows})


def planned_values(run_record: RunRecord, chip: KnownChip) -> tuple[Values, list[str]]:
    """`estimate/*` and `plan/*` of the case's own layout, and what a reader must know of them."""
    case = run_record.case
    account: dict[str, Any] | None = run_record.last(Name.ACCOUNT)
    if account is None or "reason" in account:
        none = Missing((account or {}).get("reason", "the run ended before the model was counted"))
        return no_plan(none) | no_estimate(none), []
    if case.model.train is None:
        none = Missing("the model is served, not trained")
        return no_plan(none) | no_estimate(none), []
    try:
        costs = costs_of(case, account)
    except KeyError:
        return no_plan(UNCOUNTED) | no_estimate(UNCOUNTED), []
    layout, cluster = own_layout(case), cluster_of(case, chip.entry)
    if refusal(costs, layout) is not None:
        none = Missing("the model cannot be shared out so")
        return no_plan(none) | no_estimate(none), []
    values, notes = memory_estimate(case, costs, layout, chip, per_sample=account["saved_activation_bytes_per_sample"])
    time = step_time(costs, layout, cluster, overlap=options_of(case).overlap)
    samples = layout.samples_per_step * account["samples_per_pass"] / layout.micro_batch
    values |= plan_values(time, cluster, samples=samples, no_peak=_no_peak(case, chip))
    told = run_record.last(Name.PLAN)
    values["plan/layouts_that_fit"] = _fitting(told, chip)
    return values, [*notes, *_unknown_rates(told, case, chip)]


def _no_peak(case: Case, chip: KnownChip) -> str:
    if chip.entry is None:
        return chip.reason or NO_CHIP
    return f"the catalogue has no dense {case.precision.compute} peak of {chip.entry.name}"


def _fitting(told: dict[str, Any] | None, chip: KnownChip) -> Value:
    if told is not None:
        return float(told["fitting"])
    return Missing("layouts are planned for more than one device" if chip.entry else chip.reason or NO_CHIP)


def _unknown_rates(told: dict[str, Any] | None, case: Case, chip: KnownChip) -> list[str]:
    """What is left out of the step times of the table."""
    if told is None:
        return []
    cluster = cluster_of(case, chip.entry)
    missing = [NO_NETWORK] if cluster.network is None and cluster.nodes > 1 else []
    missing += [NO_LINK] if cluster.link is None and cluster.devices_per_node > 1 else []
    return [f"The step times of the layouts leave something out: {why}." for why in missing]
