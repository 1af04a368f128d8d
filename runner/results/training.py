"""Every figure that a run of training has, whatever it was trained for."""

from __future__ import annotations

from runner.record.run_record import RunRecord
from runner.record.values import Values
from runner.results.compute import chip_of, compute
from runner.results.power import memory, power
from runner.results.speed import speed, steps, times


def training(run_record: RunRecord) -> tuple[Values, list[str]]:
    """Speed, times, FLOPs, energy and memory, and what a reader must know about them."""
    devices = run_record.case.topology.devices
    assert isinstance(devices, int)
    values = speed(run_record, devices) | times(run_record) | steps(run_record)
    values |= compute(run_record, chip_of(run_record), values["throughput/steady"], devices)
    energy, notes = power(run_record)
    return values | energy | memory(run_record), notes
