"""Every figure that a run of training has, whatever it was trained for."""

from __future__ import annotations

from runner.record.run_record import Story
from runner.record.values import Values
from runner.results.compute import chip_of, compute
from runner.results.power import memory, power
from runner.results.speed import speed, steps, times


def training(story: Story) -> tuple[Values, list[str]]:
    """Speed, times, FLOPs, energy and memory, and what a reader must know about them."""
    devices = story.case.topology.devices
    assert isinstance(devices, int)
    values = speed(story, devices) | times(story) | steps(story)
    values |= compute(story, chip_of(story), values["throughput/steady"], devices)
    energy, notes = power(story)
    return values | energy | memory(story), notes
