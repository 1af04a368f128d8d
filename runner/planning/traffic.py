"""What each device must send in one optimizer step, by collective, in bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.planning.layout import JobLayout
from runner.planning.memory import whole_on_rank
from runner.planning.model_costs import ModelCosts
from runner.planning.network import JobDevices, Sent, all_reduced, collected
from runner.planning.stages import PipelineStage

PER_PASS = 2
"""Sums over a tensor group in the forward pass of one block, and as many in its backward pass: of attention and of the
feed-forward layer (Shoeybi et al. 2019)."""


@dataclass(kw_only=True, slots=True)
class Traffic:
    """Of one device, in one step, by collective."""

    all_reduce: Sent = field(default_factory=Sent)
    all_gather: Sent = field(default_factory=Sent)
    reduce_scatter: Sent = field(default_factory=Sent)
    point_to_point: Sent = field(default_factory=Sent)

    @property
    def total(self) -> Sent:
        """Of all collectives."""
        return self.all_reduce + self.all_gather + self.reduce_scatter + self.point_to_point

    def by_name(self) -> dict[str, float]:
        """Bytes of each collective, over links and network together."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: sent.link + sent.network for name, sent in parts.items()}


def traffic(costs: ModelCosts, layout: JobLayout, stage: PipelineStage, cluster: JobDevices) -> Traffic:
    """Of one device of a stage; ranks are in the order pipeline, data, fsdp, tensor, the last the nearest."""
    made = Traffic()
    types, tensor, spread = costs.types, layout.tensor, layout.fsdp
    gradients = types.gradients * whole_on_rank(stage, "gradient_bytes", layout)
    if stage.number == 0:
        gradients += costs.sparse_gradient_bytes
    made.all_reduce = all_reduced(gradients / spread, layout.data, tensor * spread, cluster)
    if spread > 1:
        _spread(costs, layout, stage, cluster, made)
    passes = layout.micro_batches
    if tensor > 1:
        again = 1 if layout.recomputation == "full" else 0
        times = passes * PER_PASS * (2 + again)
        handed = types.sent_activation * layout.micro_batch * sum(n * p.input_bytes_per_sample for n, p in stage.blocks)
        sums = all_reduced(times * handed, tensor, 1, cluster)
        if layout.sequence_parallel:
            half = Sent(link=sums.link / 2, network=sums.network / 2)
            made.all_gather, made.reduce_scatter = made.all_gather + half, made.reduce_scatter + half
        else:
            made.all_reduce = made.all_reduce + sums
    if layout.pipeline > 1:
        each = max((part.input_bytes_per_sample for _, part in stage.blocks), default=0.0) / tensor
        size = passes * types.sent_activation * layout.micro_batch * each
        across = _neighbours_across(layout, stage, cluster)
        inside = (0 if stage.number == 0 else 1) + (0 if stage.last else 1) - across
        made.point_to_point = Sent(link=size * inside, network=size * across)
    return made


def _neighbours_across(layout: JobLayout, stage: PipelineStage, cluster: JobDevices) -> int:
    """Stages before and behind that are on another node; of stages that are alike, of the one with most."""
    stages_per_node = cluster.devices_per_node / (layout.replicas * layout.tensor)

    def across(number: int) -> int:
        """Of the stages next to one; several share a node, or each has nodes of its own."""
        beside = [one for one in (number - 1, number + 1) if 0 <= one < layout.pipeline]
        if stages_per_node <= 1:
            return len(beside)
        return sum(one // stages_per_node != number // stages_per_node for one in beside)

    if cluster.nodes == 1:
        return 0
    return max(across(number) for number in range(stage.number, stage.number + stage.count))


def _spread(costs: ModelCosts, layout: JobLayout, stage: PipelineStage, cluster: JobDevices, made: Traffic) -> None:
    """Weights are gathered for each pass forward, all but the last block and the root again backward.

    In a pipeline, where a stage stays gathered, once a step. The same for gradients: spread after each pass, or once.
    """
    types, once = costs.types, layout.pipeline > 1
    blocks = types.gathered_block * whole_on_rank(stage, "parameter_bytes", layout, blocks=True)
    root = types.gathered_root * (
        whole_on_rank(stage, "parameter_bytes", layout) - whole_on_rank(stage, "parameter_bytes", layout, blocks=True)
    )
    count = max(1, stage.block_count)
    passes = 1 if once else layout.micro_batches
    gathered = root + blocks * (1.0 if once else 1 + (count - 1) / count)
    gradients = types.gradients * whole_on_rank(stage, "gradient_bytes", layout)
    made.all_gather = collected(passes * gathered, layout.fsdp, layout.tensor, cluster)
    made.reduce_scatter = collected(passes * gradients, layout.fsdp, layout.tensor, cluster)
