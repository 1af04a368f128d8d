"""Watches one forward pass: which parameters it reads, and what autograd keeps of it for the backward pass."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ATEN = torch.ops.aten
LOOKUPS = (ATEN.embedding, ATEN._embedding_bag, ATEN.index_select, ATEN.index, ATEN.gather)
"""Read rows of a table by number; how many different ones depends on the data."""

TABLES = (ATEN.embedding, ATEN._embedding_bag)
"""Those whose gradient may be sparse: as many rows as were looked up."""


class Footprint(TorchDispatchMode):
    """Reads and saved tensors of the operators that run inside it, by storage: a view is what it is a view of.

    A copy of a parameter in another type, as autocast makes them, is taken for the parameter.
    Tensors that a custom autograd function keeps outside autograd's own saving are not seen.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._state = {_storage(tensor): _storage(tensor) for tensor in (*module.parameters(), *module.buffers())}
        """Storage of each parameter, buffer or copy to the storage of the original."""
        self._read: dict[int, int] = {}
        self._rows: dict[int, int] = {}
        self._saved_state: dict[int, int] = {}
        self._activations: dict[int, int] = {}
        self._copies: dict[int, int] = {}
        self._kept: list[Tensor] = []
        """Keeps storages alive, so that no address is seen twice."""
        self._hooks = saved_tensors_hooks(self._save, lambda tensor: tensor)

    def __enter__(self) -> Footprint:
        self._hooks.__enter__()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        self._hooks.__exit__(kind, error, trace)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and note which parameters it read."""
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in TABLES:
            table, numbers, *_ = args
            self._rows[_storage(table)] = self._rows.get(_storage(table), 0) + numbers.numel()
        if func.is_view or func.overloadpacket in LOOKUPS:
            return out
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor) and (origin := self._state.get(_storage(tensor))) is not None:
                self._read[origin] = max(self._read.get(origin, 0), tensor.numel())
                if func is ATEN._to_copy.default:
                    self._kept.append(out)
                    self._state[_storage(out)] = origin
        return out

    def _save(self, tensor: Tensor) -> Tensor:
        storage = _storage(tensor)
        if (origin := self._state.get(storage)) is not None:
            self._saved_state[origin] = max(self._saved_state.get(origin, 0), tensor.numel())
            if storage != origin:
                self._copies[storage] = tensor.untyped_storage().nbytes()
        else:
            self._kept.append(tensor)
            self._activations[storage] = tensor.untyped_storage().nbytes()
        return tensor

    @property
    def activation_bytes(self) -> int:
        """Bytes of the distinct storages autograd keeps, parameters and buffers excluded, saved inputs included."""
        return sum(self._activations.values())

    @property
    def weight_copy_bytes(self) -> int:
        """Bytes of the copies of parameters in another type that autograd keeps; one for each use of a parameter."""
        return sum(self._copies.values())

    def elements_read(self, parameter: Tensor) -> int:
        """Elements of `parameter` that the forward pass reads; 0 where rows are looked up, since they may repeat."""
        return self._read.get(_storage(parameter), 0)

    def rows_looked_up(self, table: Tensor) -> int:
        """Rows that the forward pass takes from an embedding table, each as often as it does."""
        return self._rows.get(_storage(table), 0)

    def elements_saved(self, parameter: Tensor) -> int:
        """Elements of `parameter` that the backward pass reads again."""
        return self._saved_state.get(_storage(parameter), 0)


def _storage(tensor: Tensor) -> int:
    """Identity of a tensor's storage; the meta device has no addresses."""
    return int(tensor.untyped_storage()._cdata)
