"""Collectives of a group of one rank, marked in a profile: they send nothing.

FSDP2 over a mesh of one copy reduces its shards among the copies all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

LONE = "touchstone::group of one rank"
"""The range in which such a collective is recorded."""
_METHODS = (
    *("allreduce", "allreduce_coalesced", "broadcast", "reduce", "gather", "scatter", "alltoall", "alltoall_base"),
    *("allgather", "_allgather_base", "allgather_coalesced", "allgather_into_tensor_coalesced"),
    *("reduce_scatter", "_reduce_scatter_base", "reduce_scatter_tensor_coalesced"),
)
"""Of torch's process groups, as Python calls them."""


@contextmanager
def lone_groups_marked() -> Iterator[None]:
    """Record calls on groups of one rank in a range of their own, for as long as the block lasts."""
    from torch.distributed import ProcessGroup

    # As the class holds them: what `getattr` gives of a method in C++ does not bind when it is put back.
    own = {name: vars(ProcessGroup)[name] for name in _METHODS if name in vars(ProcessGroup)}
    try:
        for name in own:
            setattr(ProcessGroup, name, _marking(getattr(ProcessGroup, name)))
        yield
    finally:
        for name, method in own.items():
            setattr(ProcessGroup, name, method)


def _marking(method: Callable[..., Any]) -> Callable[..., Any]:
    from torch.profiler import record_function

    @wraps(method)
    def call(group: Any, *arguments: Any, **named: Any) -> Any:
        if group.size() > 1:
            return method(group, *arguments, **named)
        with record_function(LONE):
            return method(group, *arguments, **named)

    return call
