"""The process groups of megatron-core: ranks of a tensor group next to each other, then pipelines, then copies."""

from __future__ import annotations

import torch
from megatron.core import parallel_state, tensor_parallel
from torch import distributed

from runner.measure.context import Context

ORDER = "tp-cp-ep-pp-dp"
"""That of the topology's ranks: those that work on one batch follow each other."""
APART, STAGE_APART = 10_000, 100
"""Between the seeds of two copies of the model, and of two stages; megatron-core adds numbers below 5000 of its own."""


def place_on_device(context: Context) -> torch.device:
    """Make the rank's device torch's current one, on which megatron-core puts everything."""
    device = context.device.torch_device(context.local_rank)
    if device.type != "cpu":
        torch.cuda.set_device(device)
    return device


def make_groups(context: Context) -> None:
    """Split the ranks, of which a lone one is a group too, and give each its random numbers."""
    parallel = context.case.topology.parallel
    if not distributed.is_initialized():
        store = distributed.HashStore()  # type: ignore[attr-defined]
        distributed.init_process_group(context.device.communication_backend(), store=store, rank=0, world_size=1)
    if parallel_state.is_initialized():  # by an earlier case of this process
        parallel_state.destroy_model_parallel()
    parallel_state.initialize_model_parallel(
        tensor_model_parallel_size=parallel.tensor,
        pipeline_model_parallel_size=parallel.pipeline,
        order=ORDER,
        create_gloo_process_groups=False,
    )
    seed_ranks(context)


def seed_ranks(context: Context, steps: int = 0) -> None:
    """Give dropout other numbers in each copy of the model, in each stage, and in each part of a run.

    Args:
        context: the rank's.
        steps: taken before.
    """
    stage = parallel_state.get_pipeline_model_parallel_rank()
    seed = context.case.seed + steps + APART * context.batch_rank + STAGE_APART * stage
    tensor_parallel.model_parallel_cuda_manual_seed(seed, force_reset_rng=True)
