"""Memory of one device, by layout: the one formula, of `task=inspect`'s own case and of its plans."""

from __future__ import annotations

from runner.planning.layout import JobLayout
from runner.planning.model_costs import ModelCosts, Part
from runner.planning.stages import PipelineStage, stages_of

AHEAD = 2
"""Blocks gathered at once: the one that is computed and the next one, fetched meanwhile."""
NAMES = (
    *("weights", "gradients", "gradient_buckets", "weight_copies", "optimizer", "weight_average", "activations"),
    "temporary",
)


def memory(costs: ModelCosts, layout: JobLayout) -> dict[str, float]:
    """Bytes on the fullest device, by `NAMES`: of the stage of the pipeline that needs most."""
    return max((stage_memory(costs, layout, stage) for stage in stages_of(costs, layout.pipeline)), key=_total)


def _total(parts: dict[str, float]) -> float:
    return sum(parts.values())


def stage_memory(costs: ModelCosts, layout: JobLayout, stage: PipelineStage) -> dict[str, float]:
    """Bytes on each device of one stage."""
    types, spread = costs.types, layout.fsdp
    weights = types.weights * whole_on_rank(stage, "parameter_bytes", layout)
    sparse = costs.sparse_gradient_bytes if stage.number == 0 else 0.0
    gradients = types.gradients * whole_on_rank(stage, "gradient_bytes", layout) + sparse
    average = costs.average_bytes * whole_on_rank(stage, "parameter_bytes", layout) / costs.parameter_bytes
    if spread > 1:
        copies, buckets = _gathered(costs, layout, stage)
    else:
        copies = whole_on_rank(stage, "weight_copy_bytes", layout)
        buckets = gradients if layout.replicas > 1 else 0.0
    activations, recomputed = _activations(layout, stage)
    scores = costs.temporary_bytes_per_sample * layout.micro_batch * _outside(layout) if stage.last else 0.0
    return {
        "weights": weights / spread,
        "gradients": gradients / spread,
        "gradient_buckets": buckets,
        "weight_copies": copies,
        "optimizer": types.optimizer * whole_on_rank(stage, "optimizer_state_bytes", layout) / spread,
        "weight_average": average / spread,
        "activations": activations,
        "temporary": max(scores, recomputed),
    }


def _outside(layout: JobLayout) -> float:
    """Share of what is outside the split matrices that one rank of a tensor group has."""
    return 1 / layout.tensor if layout.sequence_parallel else 1.0


def whole_on_rank(stage: PipelineStage, name: str, layout: JobLayout, *, blocks: bool = False) -> float:
    """A cost of the stage's weights on one rank of a tensor group, before `fsdp` spreads it.

    A group splits all but what the model's plan leaves whole.

    Args:
        stage: of the pipeline.
        name: of the cost, in `Part`.
        layout: of which `tensor` counts.
        blocks: of the blocks alone.
    """
    return _sum(stage.blocks if blocks else stage.parts, name, layout)


def _sum(parts: tuple[tuple[int, Part], ...], name: str, layout: JobLayout) -> float:
    return float(sum(count * getattr(part, name) * _share(part, layout) for count, part in parts))


def _share(part: Part, layout: JobLayout) -> float:
    return part.split_share / layout.tensor + 1 - part.split_share


def _gathered(costs: ModelCosts, layout: JobLayout, stage: PipelineStage) -> tuple[float, float]:
    """Weights gathered for computing, and gradients not yet spread.

    Without a pipeline: what is in no block, with autocast's copies of it; two blocks; and the gradients of one block
    and of what is in none. In a pipeline a stage stays gathered, and its gradients whole, from the first micro-batch
    to the last: gathering anew for each would send as much for each of them.
    """
    types = costs.types
    held = types.gathered_root * _sum(stage.roots, "parameter_bytes", layout)
    held += _sum(stage.roots, "weight_copy_bytes", layout)
    if layout.pipeline > 1:
        blocks = _sum(stage.blocks, "parameter_bytes", layout)
        gradients = whole_on_rank(stage, "gradient_bytes", layout)
    else:
        at_once = min(AHEAD, stage.block_count)
        blocks = max((at_once * part.parameter_bytes * _share(part, layout) for _, part in stage.blocks), default=0.0)
        largest = max((part.gradient_bytes * _share(part, layout) for _, part in stage.blocks), default=0.0)
        gradients = _sum(stage.roots, "gradient_bytes", layout) + largest
    return held + types.gathered_block * blocks, types.gradients * gradients


def _activations(layout: JobLayout, stage: PipelineStage) -> tuple[float, float]:
    """What is kept of all micro-batches in flight, and what recomputing one block adds.

    One forward, one backward: stage i of p has the smaller of p - i and the micro-batches in flight.
    """
    in_flight = min(layout.micro_batches, layout.pipeline - stage.number) if layout.pipeline > 1 else 1
    rows = layout.micro_batch

    def kept(part: Part, kind: str) -> float:
        whole, all_of_it = getattr(part, f"whole_{kind}_bytes_per_sample"), getattr(part, f"{kind}_bytes_per_sample")
        return float(whole * _outside(layout) + (all_of_it - whole) / layout.tensor)

    ends = sum(kept(part, "activation") for _, part in stage.roots)
    if layout.recomputation == "none":
        blocks = sum(count * kept(part, "activation") for count, part in stage.blocks)
        return rows * in_flight * (ends + blocks), 0.0
    blocks = sum(count * part.input_bytes_per_sample * _outside(layout) for count, part in stage.blocks)
    largest = max((kept(part, "activation") for _, part in stage.blocks), default=0.0)
    if layout.recomputation == "selective":
        blocks += sum(count * kept(part, "kept") for count, part in stage.blocks)
    return rows * in_flight * (ends + blocks), rows * largest
