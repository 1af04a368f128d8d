"""Which layouts a model allows: what a tensor group and a pipeline must divide."""

from __future__ import annotations

from math import gcd

from runner.planning.layout import JobLayout
from runner.planning.model_costs import ModelCosts
from runner.planning.stages import fitting_stages

NO_PIPELINE = "its blocks do not run one after another, each once, so that they cannot be the stages of a pipeline"
NO_TENSOR = "the model does not say how its matrices are split"


def fitting_tensors(costs: ModelCosts) -> list[int]:
    """Sizes of a tensor group, more than one, that divide all that it splits."""
    if not costs.tensor_divides:
        return []
    common = gcd(*(size for _, size in costs.tensor_divides))
    return [count for count in range(2, common + 1) if common % count == 0]


def fitting_pipelines(costs: ModelCosts) -> list[int]:
    """Numbers of stages, more than one, that the blocks can be shared out to."""
    return fitting_stages(costs.number_of_blocks) if costs.in_line else []


def refusal(costs: ModelCosts, layout: JobLayout) -> str | None:
    """Why a layout cannot be, with the numbers that could; None where it can."""
    if layout.tensor > 1 and layout.tensor not in (fitting := fitting_tensors(costs)):
        if costs.tensor_divides is None:
            return f"topology.parallel.tensor={layout.tensor}: {NO_TENSOR}. Choose topology.parallel.tensor=1"
        split = ", ".join(f"{size} {name}" for name, size in costs.tensor_divides)
        return f"topology.parallel.tensor={layout.tensor} does not divide {split}. What would: {_listed([1, *fitting])}"
    if layout.pipeline > 1 and layout.pipeline not in (fitting := fitting_pipelines(costs)):
        if not costs.in_line:
            return f"topology.parallel.pipeline={layout.pipeline}: {NO_PIPELINE}. Choose topology.parallel.pipeline=1"
        return (
            f"topology.parallel.pipeline={layout.pipeline}: {costs.number_of_blocks} blocks cannot be shared out to so "
            "many stages evenly, nor with embedding and head in the place of a block each. What would: "
            f"{_listed([1, *fitting])}"
        )
    return None


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
