"""The plan of a case: its own layout, its cluster, its model's costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from hardware.chips import Chip, peak_flops
from models.ranges import Count, Positive
from runner.config.schema import STRICT, Case, TaskOptions
from runner.planning.layout import JobLayout
from runner.planning.model_costs import ModelCosts, model_costs
from runner.planning.network import GIGABIT, GIGABYTE, JobDevices

NARROW = ("bfloat16", "float16")


@dataclass(kw_only=True, slots=True, config=STRICT)
class InspectOptions(TaskOptions):
    """`conf/task/inspect.yaml`."""

    network_gbit_s_per_device: Positive | None = None
    """10^9 bits per second that a device can send to other nodes, in one direction; None: not known."""
    link_gb_s: Positive | None = None
    """10^9 bytes per second that a device can send inside its node, in one direction; None: the catalogue's."""
    overlap: Literal["full", "none"] = "full"
    recomputation: Literal["none", "selective", "full"] = "none"
    sequence_parallel: bool = False
    most_layouts: Count = 20


def options_of(case: Case) -> InspectOptions:
    """The task's options; of a case that another task runs, as they are by default."""
    return case.task if isinstance(case.task, InspectOptions) else InspectOptions(name="inspect")


def own_layout(case: Case) -> JobLayout:
    """The layout that the case itself asks for; its passes are a pipeline's micro-batches."""
    options, parallel, training = options_of(case), case.topology.parallel, case.model.training
    rest = parallel.fsdp * parallel.tensor * parallel.pipeline
    return JobLayout(
        data=parallel.data or case.topology.ranks // rest,
        fsdp=parallel.fsdp,
        tensor=parallel.tensor,
        pipeline=parallel.pipeline,
        micro_batch=training.batch_size,
        micro_batches=training.gradient_accumulation_steps,
        recomputation=options.recomputation,
        sequence_parallel=options.sequence_parallel,
    )


def costs_of(case: Case, account: Mapping[str, Any]) -> ModelCosts:
    """The costs of the case's model in an account.

    Raises:
        KeyError: the version that counted the model did not count its parts.
    """
    training = case.model.training
    counted = (training.batch_size, training.gradient_accumulation_steps)
    costs = model_costs(account, narrow=case.precision.autocast in NARROW, counted=counted)
    return costs if training.regularisation.ema_decay is not None else replace(costs, average_bytes=0.0)


def cluster_of(case: Case, chip: Chip | None) -> JobDevices:
    """The case's devices with what is known of the chip."""
    options, topology = options_of(case), case.topology
    assert isinstance(topology.devices, int)
    link = options.link_gb_s if options.link_gb_s is not None else (chip.link_gb_s if chip else None)
    bandwidth = chip.memory_bandwidth_gb_s if chip else None
    network = options.network_gbit_s_per_device
    return JobDevices(
        nodes=topology.nodes,
        devices_per_node=topology.devices,
        peak_flops_per_second=peak_flops(chip, case.precision.compute) if chip else None,
        memory_bandwidth=None if bandwidth is None else bandwidth * GIGABYTE,
        memory_gib=chip.memory_gib if chip else None,
        link=None if link is None else link * GIGABYTE,
        network=None if network is None else network * GIGABIT,
    )
