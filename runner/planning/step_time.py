"""The least time of an optimizer step, by layout: a bound, which no measurement can be below.

Products run at the chip's dense peak, without what lies above the diagonal of causal attention; links and network at
their full rates; latency, the optimizer and the loader cost nothing. With `overlap=full` a step takes as long as the
slowest of computing, the links and the network; with `overlap=none` as long as the three one after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runner.planning.layout import JobLayout
from runner.planning.model_costs import ModelCosts, Part
from runner.planning.network import JobDevices
from runner.planning.stages import PipelineStage, stages_of
from runner.planning.traffic import Traffic, traffic

Overlap = Literal["full", "none"]


@dataclass(kw_only=True, slots=True, frozen=True)
class StepTime:
    """Seconds of one optimizer step; what needs a rate that is not known is None."""

    compute: float | None
    """Of the busiest stage, for all of its micro-batches."""
    bubble: float | None
    """What the pipeline adds to that, at its beginning and its end."""
    link: float | None
    network: float | None
    total: float | None
    known: float | None
    """As `total`, of what is known alone: a bound, too, but a lower one."""
    traffic: Traffic
    """Of the stage that sends most."""


def step_time(costs: ModelCosts, layout: JobLayout, cluster: JobDevices, *, overlap: Overlap) -> StepTime:
    """The least time of one step."""
    stages = stages_of(costs, layout.pipeline)
    computing, bubble = _compute(costs, layout, stages, cluster)
    sent = [traffic(costs, layout, stage, cluster) for stage in stages]
    link = _longest([one.total.link for one in sent], cluster.link)
    network = _longest([one.total.network for one in sent], cluster.network)
    busy = None if computing is None or bubble is None else computing + bubble
    parts = (busy, link, network)
    joined = max if overlap == "full" else sum
    known = [part for part in parts if part is not None]
    return StepTime(
        compute=computing,
        bubble=bubble,
        link=link,
        network=network,
        total=joined(known) if len(known) == len(parts) else None,
        known=joined(known) if busy is not None else None,
        traffic=max(sent, key=lambda one: (one.total.network, one.total.link)),
    )


def _longest(sizes: list[float], rate: float | None) -> float | None:
    most = max(sizes)
    if not most:
        return 0.0
    return None if rate is None else most / rate


def _compute(
    costs: ModelCosts, layout: JobLayout, stages: list[PipelineStage], cluster: JobDevices
) -> tuple[float | None, float | None]:
    """Of the busiest stage over all micro-batches, and the rest of the way of one micro-batch through the others.

    For stages that take as long as each other the second is (p - 1) / m of the first.
    """
    if cluster.peak_flops_per_second is None:
        return None, None
    each = [(one.count, pass_flops(costs, layout, one) / cluster.peak_flops_per_second) for one in stages]
    slowest = max(time for _, time in each)
    computing = layout.micro_batches * slowest
    as_counted = (layout.micro_batch, layout.micro_batches) == costs.counted
    if cluster.memory_bandwidth is not None and as_counted:
        samples = layout.micro_batch * layout.micro_batches
        shared = layout.fsdp * layout.tensor * layout.pipeline
        computing = max(computing, costs.minimum_bytes_per_sample * samples / shared / cluster.memory_bandwidth)
    return computing, sum(count * time for count, time in each) - slowest


def pass_flops(costs: ModelCosts, layout: JobLayout, stage: PipelineStage) -> float:
    """FLOPs of one micro-batch on one device of a stage, forward and backward, what is computed twice included."""
    forward = sum(count * _needed(part) for count, part in stage.parts)
    total = forward * (1 + costs.backward_per_forward)
    if layout.recomputation == "full":
        total += sum(count * _needed(part) for count, part in stage.blocks)
    return layout.micro_batch * total / layout.tensor


def _needed(part: Part) -> float:
    return part.forward_flops_per_sample - part.skipped_flops_per_sample
