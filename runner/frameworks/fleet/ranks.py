"""The ranks that torchrun started as fleet knows them: data, sharding, pipeline and tensor groups."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle.distributed import fleet
from paddle.distributed.fleet.base import topology
from paddle.distributed.fleet.layers.mpu.random import model_parallel_random_seed

from models.ports.paddle.parallel import host_collectives
from runner.measure.context import Context
from runner.measure.ranks import Ranks

ORDER = ["dp", "sharding", "sep", "pp", "mp"]
"""Axes of fleet's ranks, the outermost first: ranks that share a batch follow each other, as everywhere here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRanks:
    """One rank's groups; None in the place of a group of one."""

    data: Any
    """Copies of the model."""
    sharding: Any
    """Ranks over which optimizer state is spread."""
    pipe: Any
    tensor: Any
    tied: Any
    """The first and the last stage, of those two alone."""
    stage: int
    stages: int

    @property
    def batches(self) -> int:
        """Ranks, or groups of them, with a batch of their own."""
        return size_of(self.data) * size_of(self.sharding)


def size_of(group: Any) -> int:
    """Ranks of a group."""
    return 1 if group is None else int(group.nranks)


def start_fleet(context: Context, ranks: Ranks) -> FleetRanks:
    """Join fleet's groups, over the vendor's communication library or in the host's memory; every rank calls this.

    Args:
        context: this rank's.
        ranks: already met; they agree on where fleet meets.
    """
    parallel, on_host = context.case.topology.parallel, context.device.on_host  # type: ignore[attr-defined]
    if not paddle.distributed.is_initialized():
        _tell_place(context, ranks)
    strategy = fleet.DistributedStrategy()
    strategy.hybrid_configs = {
        "dp_degree": context.world // (parallel.fsdp * parallel.shared),
        "sharding_degree": parallel.fsdp,
        "pp_degree": parallel.pipeline,
        "mp_degree": parallel.tensor,
        "order": ORDER,
    }
    topology._HYBRID_PARALLEL_GROUP = None  # of an earlier case in this process: fleet would keep its groups
    torchrun = {name: os.environ.pop(name) for name in ("MASTER_ADDR", "MASTER_PORT")}
    try:
        fleet.init(is_collective=True, strategy=strategy, log_level="WARNING")
    finally:
        os.environ.update(torchrun)
    if on_host:
        host_collectives.install()
    own = fleet.get_hybrid_communicate_group()
    stage = own.get_stage_id()
    seed_ranks(context)
    return FleetRanks(
        data=_several(own.get_data_parallel_group()),
        sharding=_several(own.get_sharding_parallel_group()),
        pipe=_several(own.get_pipe_parallel_group()),
        tensor=_several(own.get_model_parallel_group()),
        tied=_ends(context),
        stage=stage,
        stages=parallel.pipeline,
    )


def seed_ranks(context: Context, steps: int = 0) -> None:
    """Give dropout other numbers in each stage and in each part of a run; one rank of data alone keeps its loader's.

    Ranks of a tensor group draw alike where each of them has the whole of what is dropped, or what they all keep would
    become another in each; of its own heads, each draws for itself.

    Args:
        context: the rank's.
        steps: taken before.
    """
    parallel = context.case.topology.parallel
    if parallel.shared == 1:
        return
    if parallel.tensor > 1:
        model_parallel_random_seed(_seed(context.case.seed, steps, 1, context.rank))  # seeds all that is drawn
    paddle.seed(_seed(context.case.seed, steps, 0, context.rank // parallel.tensor))


def _seed(*numbers: int) -> int:
    """One number of several, of which none is another's neighbour."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _several(group: Any) -> Any:
    return group if group.nranks > 1 else None


def _ends(context: Context) -> Any:
    """The group of this rank's first and last stage; every rank makes those of all pipelines, in one order."""
    parallel = context.case.topology.parallel
    if parallel.pipeline == 1:
        return None
    found = None
    for first in range(0, context.world, parallel.shared):
        for place in range(parallel.tensor):
            ends = [first + place, first + place + (parallel.pipeline - 1) * parallel.tensor]
            group = paddle.distributed.new_group(ends)
            if context.rank in ends:
                found = group
    return found


def _tell_place(context: Context, ranks: Ranks) -> None:
    """Paddle's launcher would set these variables; torchrun started the ranks, whose port is taken by its own store."""
    addresses = ranks.gather((_address(), _free_port()))
    ends = [f"{address}:{port}" for address, port in addresses]
    kind = str(context.device.kind)  # type: ignore[attr-defined]
    on_host = bool(context.device.on_host)  # type: ignore[attr-defined]
    os.environ |= {
        "PADDLE_TRAINER_ID": str(context.rank),
        "PADDLE_TRAINERS_NUM": str(context.world),
        "PADDLE_TRAINER_ENDPOINTS": ",".join(ends),
        "PADDLE_CURRENT_ENDPOINT": ends[context.rank],
        "PADDLE_MASTER": ends[0],
    }
    if on_host:
        os.environ["PADDLE_DISTRI_BACKEND"] = "gloo"
        return
    os.environ[f"FLAGS_selected_{kind}s"] = str(context.local_rank)
    if kind not in ("gpu", "xpu"):  # a plug-in's device
        os.environ |= {"PADDLE_DISTRI_BACKEND": "xccl", "PADDLE_XCCL_BACKEND": kind}


def _address() -> str:
    """By which the other ranks reach this one: the address that torchrun's own is reached from."""
    master = os.environ["MASTER_ADDR"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((socket.gethostbyname(master), int(os.environ["MASTER_PORT"])))
        return str(probe.getsockname()[0])


def _free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])
