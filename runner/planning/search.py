"""All layouts of a job that fit into the chips' memory, the best first, at one batch of all devices together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from runner.planning.division import fitting_pipelines, fitting_tensors
from runner.planning.layout import JobLayout, Recomputation
from runner.planning.memory import memory
from runner.planning.model_costs import ModelCosts
from runner.planning.network import JobDevices
from runner.planning.step_time import Overlap, StepTime, step_time

LARGEST_MICRO_BATCH = 64
RECOMPUTATION: tuple[Recomputation, ...] = ("none", "full")
"""In the order of their least times; what fits with the first needs no other."""


@dataclass(kw_only=True, slots=True, frozen=True)
class PlannedLayout:
    """A layout with what it takes."""

    layout: JobLayout
    parts: dict[str, float]
    """Bytes of the fullest device, by `runner.planning.memory.NAMES`."""
    time: StepTime

    @property
    def bytes(self) -> float:
        """Of the fullest device."""
        return sum(self.parts.values())

    @property
    def rank(self) -> tuple[float, float]:
        """What comes first: the least step time as far as rates are known, then the least memory."""
        return float("inf") if self.time.known is None else self.time.known, self.bytes


def fitting_layouts(
    costs: ModelCosts, cluster: JobDevices, *, samples: int, overlap: Overlap, sequence_parallel: bool = False
) -> list[PlannedLayout]:
    """Of each way to factor the devices, the best cut of the batch that fits, the best first.

    A tensor group stays inside a node, where its sums can be fast.

    Args:
        costs: of the model.
        cluster: whose memory and peak are known.
        samples: examples of one optimizer step of the whole job.
        overlap: of computing and communication.
        sequence_parallel: see `JobLayout`.
    """
    assert cluster.memory_gib is not None, "nothing fits into an unknown memory"
    limit = cluster.memory_gib * 2**30
    best: dict[tuple[int, int, int, int], PlannedLayout] = {}
    for layout in layouts(costs, cluster, samples):
        for recomputation in RECOMPUTATION:
            chosen = replace(layout, recomputation=recomputation, sequence_parallel=sequence_parallel)
            parts = memory(costs, chosen)
            if sum(parts.values()) > limit:
                continue
            time = step_time(costs, chosen, cluster, overlap=overlap)
            planned = PlannedLayout(layout=chosen, parts=parts, time=time)
            axes = (chosen.pipeline, chosen.data, chosen.fsdp, chosen.tensor)
            if axes not in best or planned.rank < best[axes].rank:
                best[axes] = planned
            break
    return sorted(best.values(), key=lambda one: one.rank)


def layouts(costs: ModelCosts, cluster: JobDevices, samples: int) -> Iterator[JobLayout]:
    """Every layout of the devices that the model allows, with every cut of the batch."""
    devices = cluster.devices
    for tensor in (1, *fitting_tensors(costs)):
        if devices % tensor or cluster.devices_per_node % tensor:
            continue
        for pipeline in (1, *fitting_pipelines(costs)):
            replicas, rest = divmod(devices, tensor * pipeline)
            if rest or samples % replicas:
                continue
            for fsdp in divisors(replicas):
                for micro_batch in _micro_batches(samples // replicas):
                    yield JobLayout(
                        pipeline=pipeline,
                        data=replicas // fsdp,
                        fsdp=fsdp,
                        tensor=tensor,
                        micro_batch=micro_batch,
                        micro_batches=samples // replicas // micro_batch,
                    )


def _micro_batches(samples: int) -> list[int]:
    """Powers of two that divide the samples of one group of ranks."""
    return [size for power in range(7) if samples % (size := 2**power) == 0 and size <= LARGEST_MICRO_BATCH]


def divisors(number: int) -> list[int]:
    """All divisors, the smallest first."""
    return [one for one in range(1, number + 1) if number % one == 0]


def device_counts(cluster: JobDevices) -> list[JobDevices]:
    """The cluster and smaller ones of its nodes, each half of the one before, down to one device."""
    found = [cluster]
    while True:
        nodes, devices = found[-1].nodes, found[-1].devices_per_node
        if nodes > 1:
            found.append(replace(found[-1], nodes=max(1, nodes // 2)))
        elif devices > 1:
            found.append(replace(found[-1], devices_per_node=max(1, devices // 2)))
        else:
            return found
