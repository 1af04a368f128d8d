"""What a step hands to collectives, against counts by hand: trees of the profiler's events, and two real ranks."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from runner.config.schema import Parallel, Topology
from runner.core.events import EventWriter, Name, read_events
from runner.measure.collectives import _PAYLOAD, _SILENT, FORWARD, UncountableError, count
from runner.measure.lone_groups import lone_groups_marked
from runner.measure.step_profile import STEP, StepProfile, group_of


def tensor(*sizes: int, dtype: torch.dtype = torch.float32) -> Any:
    return SimpleNamespace(sizes=sizes, dtype=dtype)


def event(name: str, *inputs: Any, children: tuple[Any, ...] = ()) -> Any:
    return SimpleNamespace(name=name, typed=(None, SimpleNamespace(inputs=list(inputs))), children=list(children))


def test_payloads_by_kind() -> None:
    """All that is reduced, gathered, scattered; half as many bytes of a type half as wide."""
    half = tensor(10, dtype=torch.bfloat16)
    roots = [
        event("c10d::allreduce_", [tensor(10), tensor(2, 3)], None),
        event("c10d::allreduce_", [half], None),
        event("c10d::_allgather_base_", tensor(40), tensor(10)),
        event("c10d::allgather_", None, [tensor(10)]),
        event("c10d::_reduce_scatter_base_", tensor(5), tensor(20)),
        event("c10d::alltoall_base_", tensor(7), tensor(8)),
        event("c10d::broadcast_", [tensor(3, dtype=torch.int64)]),
        event("c10d::send", [tensor(6)]),
        event("c10d::recv_", [tensor(6)]),
        event("c10d::barrier", tensor(1, dtype=torch.uint8)),
    ]
    counted = count(roots, group=4)
    assert counted.bytes == {
        "all_reduce": 4 * 16 + 20,
        "all_gather": 4 * 40 + 4 * 4 * 10,
        "reduce_scatter": 80,
        "all_to_all": 32,
        "broadcast": 24,
        "point_to_point": 24,
    }
    assert counted.calls == dict.fromkeys(counted.bytes, 1) | {"all_reduce": 2, "all_gather": 2}


def test_a_collective_is_counted_once_whatever_stands_around_and_below_it() -> None:
    """As NCCL's process group nests them (torch 2.15, ProcessGroupNCCL.cpp); not recorded on its hardware."""
    below = event("record_param_comms", tensor(10), children=(event("nccl:all_reduce", tensor(10)),))
    call = event("c10d::allreduce_", [tensor(10)], children=(below,))
    counted = count(
        [event("aten::linear", children=(event("_c10d_functional::all_reduce", children=(call,)),))], group=2
    )
    assert (counted.bytes, counted.calls, counted.calls_in_forward) == ({"all_reduce": 40}, {"all_reduce": 1}, 0)


def test_collectives_of_the_forward_pass_are_told() -> None:
    call = event("c10d::allreduce_", [tensor(10)])
    assert count([event(FORWARD, children=(event("x", children=(call,)),)), call], group=2).calls_in_forward == 1


@pytest.mark.parametrize(
    ("root", "group", "told"),
    [
        (event("c10d::new_one", tensor(1)), 2, "c10d::new_one is not known"),
        (event("c10d::allgather_", None, [tensor(1)]), None, "does not tell the size of its group"),
        (event("c10d::allreduce_", None), 2, "did not record the shapes"),
    ],
)
def test_what_cannot_be_counted_is_no_number(root: Any, group: int | None, told: str) -> None:
    with pytest.raises(UncountableError, match=told):
        count([root], group=group)


def test_every_operator_of_this_torch_is_known() -> None:
    import torch.distributed

    assert torch.distributed.is_available()
    names = {name for name in torch._C._dispatch_get_all_op_names() if name.startswith("c10d::")}
    assert {name.removeprefix("c10d::") for name in names} <= _PAYLOAD.keys() | _SILENT


def test_groups_are_of_one_size_where_the_layout_has_one_axis() -> None:
    def of(devices: int, **parallel: int) -> int | None:
        return group_of(Topology(name="node", devices=devices, parallel=Parallel(**parallel)))

    assert (of(8), of(8, fsdp=8), of(8, tensor=8), of(8, fsdp=4), of(8, fsdp=4, tensor=2)) == (8, 8, 8, None, None)
    assert group_of(Topology(name="cluster", nodes=2, devices=4)) == 8


def _two(rank: int, folder: str, kind: str) -> None:
    """Three steps of a model of 740 parameters and 65 values in buffers; the third one is profiled."""
    from torch import distributed, nn

    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", rank=rank, world_size=2, store=store)
    network: Any = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.Linear(32, 4))
    if kind in ("fsdp", "fsdp of one copy"):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = (
            init_device_mesh("cpu", (2,))
            if kind == "fsdp"
            else init_device_mesh("cpu", (1, 2), mesh_dim_names=("copies", "shards"))
        )
        for part in (network[0], network[2], network):
            fully_shard(part, mesh=mesh)
    else:
        network = nn.parallel.DistributedDataParallel(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    writer = EventWriter(Path(folder) / "events" / f"rank{rank}.log", rank=rank)
    profile = StepProfile(writer, rank=rank, group=2)
    disturbed = []
    for _ in range(4):
        profile.begin_step(in_warmup=kind != "window")
        profile.begin_forward()
        loss = network(torch.randn(8, 16)).sum()
        profile.end_forward()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        disturbed.append(profile.end_step())
    assert disturbed == [False, False, True, False]
    distributed.barrier()
    distributed.destroy_process_group()


def profiled(folder: Path, kind: str) -> list[dict[str, Any]]:
    torch.multiprocessing.spawn(_two, args=(str(folder), kind), nprocs=2)
    assert read_events(folder / "events" / "rank1.log")[0] == [], "the first rank tells it"
    return [
        event.value for event in read_events(folder / "events" / "rank0.log")[0] if event.name == Name.COMMUNICATION
    ]


@pytest.mark.heavy
def test_data_parallel_reduces_every_gradient_once_and_sends_its_buffers(tmp_path: Path) -> None:
    """Buffers: running mean and variance of 32 in float32, and a count in int64."""
    (told,) = profiled(tmp_path, "data")
    # Here the buffers are sent within the range of the forward pass, as it is around data parallel's own.
    assert told == {
        "step": STEP,
        "bytes": {"all_reduce": 4 * 740, "broadcast": 4 * 64 + 8},
        "calls": {"all_reduce": 1, "broadcast": 2},
        "calls_in_forward": 2,
    }


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["fsdp", "fsdp of one copy"])
def test_fsdp_gathers_forward_and_backward_and_scatters_gradients_once(tmp_path: Path, kind: str) -> None:
    """A mesh of one copy reduces among the copies all the same: over a group of one rank, which sends nothing.

    Groups of 544, 132 and, at the root, 64 parameters, which stay gathered between forward and backward pass."""
    (told,) = profiled(tmp_path, kind)
    assert told["bytes"] == {"all_gather": 4 * (2 * (544 + 132) + 64), "reduce_scatter": 4 * 740}
    assert told["calls"] == {"all_gather": 5, "reduce_scatter": 3}
    assert told["calls_in_forward"] == 3, "its ranks wait for each other in the forward pass"


@pytest.mark.heavy
def test_a_step_of_the_window_is_never_profiled(tmp_path: Path) -> None:
    assert profiled(tmp_path, "window") == []


def test_a_profiler_that_fails_is_a_reason(tmp_path: Path) -> None:
    class Broken:
        def stop(self) -> None:
            raise RuntimeError("no profiler here")

    profile = StepProfile(EventWriter(tmp_path / "rank0.log", rank=0), rank=0, group=2)
    profile._profiler = Broken()
    profile.end_step()
    (told,) = read_events(tmp_path / "rank0.log")[0]
    assert json.loads(json.dumps(told.value)) == {"reason": "torch's profiler failed: no profiler here"}


def test_torchs_methods_are_put_back_as_they_were() -> None:
    from torch.distributed import ProcessGroup

    before = dict(vars(ProcessGroup))
    with lone_groups_marked():
        assert vars(ProcessGroup)["allreduce"] is not before["allreduce"]
    assert dict(vars(ProcessGroup)) == before
