"""What a step hands to collectives, from the events of torch's profiler.

Every collective of `torch.distributed` passes torch's dispatcher as an operator of the library `c10d`, whoever calls it
(data parallel's reducer in C++, FSDP2, DTensor, DeepSpeed) and whichever backend carries it out (gloo, NCCL, a
vendor's). Read in torch 2.15: `torch/csrc/distributed/c10d/Ops.cpp`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.measure.lone_groups import LONE

FORWARD = "touchstone::forward"
"""The range in which the forward pass was profiled."""
LIBRARY = "c10d::"
_SILENT = frozenset({"barrier", "monitored_barrier_", "check_for_nan", "recv_", "recv_any_source_"})
"""Move no payload, or move what another rank counts as sent."""
_PAYLOAD: dict[str, tuple[str, int, bool]] = {
    "allreduce_": ("all_reduce", 0, False),
    "allreduce_coalesced_": ("all_reduce", 0, False),
    "broadcast_": ("broadcast", 0, False),
    "_allgather_base_": ("all_gather", 0, False),
    "allgather_into_tensor_coalesced_": ("all_gather", 0, False),
    "allgather_": ("all_gather", 1, True),
    "allgather_coalesced_": ("all_gather", 1, True),
    "_reduce_scatter_base_": ("reduce_scatter", 1, False),
    "reduce_scatter_tensor_coalesced_": ("reduce_scatter", 1, False),
    "reduce_scatter_": ("reduce_scatter", 0, True),
    "alltoall_base_": ("all_to_all", 1, False),
    "alltoall_": ("all_to_all", 1, False),
    "reduce_": ("reduce", 0, False),
    "gather_": ("gather", 1, True),
    "gather_into_tensor_": ("gather", 1, True),
    "scatter_": ("scatter", 0, True),
    "send": ("point_to_point", 0, False),
}
"""Operator to its kind, the argument that holds its payload, and whether that is one rank's part of it."""


class UncountableError(ValueError):
    """A collective whose payload is not known; the message says which."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Call:
    """One collective that a rank took part in."""

    kind: str
    bytes: int
    """Its payload: the whole tensor that is reduced or broadcast, all that is gathered, all that is scattered."""
    in_forward: bool


@dataclass(kw_only=True, slots=True)
class Counted:
    """The collectives of a step on one rank."""

    bytes: dict[str, int] = field(default_factory=dict)
    """Payload by kind."""
    calls: dict[str, int] = field(default_factory=dict)
    calls_in_forward: int = 0
    """Those made inside the forward pass, where ranks wait for each other on the way."""


def count(events: Sequence[Any], *, group: int | None) -> Counted:
    """The collectives among a profile's events.

    Args:
        events: roots of the profiler's event tree, recorded with shapes.
        group: ranks of every collective; None where the layout has groups of several sizes.

    Raises:
        UncountableError: one of them is not known, or its payload depends on a size of group that is not.
    """
    counted = Counted()
    for call in _calls(events, group, in_forward=False):
        counted.bytes[call.kind] = counted.bytes.get(call.kind, 0) + call.bytes
        counted.calls[call.kind] = counted.calls.get(call.kind, 0) + 1
        counted.calls_in_forward += call.in_forward
    return counted


def _calls(events: Sequence[Any], group: int | None, *, in_forward: bool) -> Iterator[Call]:
    for event in events:
        if event.name == LONE:
            continue
        inside = in_forward or event.name == FORWARD
        name = event.name.removeprefix(LIBRARY)
        if name != event.name and name not in _SILENT:
            yield _call(name, event.typed[1].inputs, group, in_forward=inside)
        else:
            yield from _calls(event.children, group, in_forward=inside)


def _call(name: str, inputs: Sequence[Any], group: int | None, *, in_forward: bool) -> Call:
    if name not in _PAYLOAD:
        raise UncountableError(f"the payload of torch's operator {LIBRARY}{name} is not known")
    kind, place, partial = _PAYLOAD[name]
    size = sum(map(_bytes, _tensors(inputs[place])))
    if partial and group is None:
        raise UncountableError(f"torch's operator {LIBRARY}{name} does not tell the size of its group of ranks")
    return Call(kind=kind, bytes=size * (group or 1) if partial else size, in_forward=in_forward)


def _tensors(argument: Any) -> Sequence[Any]:
    """The tensors of an argument that is one or a list of them.

    Raises:
        UncountableError: the profiler did not record it.
    """
    found = argument if isinstance(argument, list | tuple) else [argument]
    if any(one is None for one in found):
        raise UncountableError("torch's profiler did not record the shapes of a collective")
    return found


def _bytes(tensor: Any) -> int:
    size = int(tensor.dtype.itemsize)
    for length in tensor.sizes:
        size *= length
    return size
