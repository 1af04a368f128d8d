"""Every figure that a run of training has, whatever it was trained for."""

from __future__ import annotations

from runner.core.events import Name
from runner.record.run_record import RunRecord
from runner.record.values import Missing, Values
from runner.results.clocks import clocks
from runner.results.compiling import compiling
from runner.results.compute import chip_of, compute
from runner.results.power import memory, power
from runner.results.speed import speed, steps, times


def training(run_record: RunRecord) -> tuple[Values, list[str]]:
    """Speed, times, FLOPs, energy and memory, and what a reader must know about them."""
    devices = run_record.case.topology.ranks
    values = speed(run_record, devices) | times(run_record) | steps(run_record)
    values |= compute(run_record, chip_of(run_record), values["throughput/steady"], devices)
    compiled, compile_notes = compiling(run_record)
    energy, notes = power(run_record)
    clock, clock_notes = clocks(run_record)
    values |= compiled | energy | clock | memory(run_record) | skipped(run_record)
    return values, [*compile_notes, *notes, *clock_notes]


def skipped(run_record: RunRecord) -> Values:
    """Examples that could not be read, over all ranks; a run that does not skip them would have ended."""
    parts = ("train", "evaluation")
    if run_record.case.data.on_error == "fail":
        return {f"data/skipped_{part}_examples": 0.0 for part in parts}
    ranks = run_record.ranks[:: run_record.case.topology.parallel.shared]  # the others of a group read the same
    told = [[event.value for event in rank if event.name == Name.SKIPPED] for rank in ranks]
    if not told or not all(told):
        return {f"data/skipped_{part}_examples": Missing("the run ended before it was counted") for part in parts}
    return {f"data/skipped_{part}_examples": float(sum(rank[-1][part] for rank in told)) for part in parts}
