"""Watches one forward pass: which parameters it reads, and what autograd keeps of it for the backward pass."""

from __future__ import annotations

from collections import defaultdict
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.costs.places import BEFORE, BlockPlaces

ATEN = torch.ops.aten
LOOKUPS = (ATEN.embedding, ATEN._embedding_bag, ATEN.index_select, ATEN.index, ATEN.gather)
"""Read rows of a table by number; how many different ones depends on the data."""

TABLES = (ATEN.embedding, ATEN._embedding_bag)
"""Those whose gradient may be sparse: as many rows as were looked up."""

PRODUCTS = (ATEN.mm, ATEN.addmm)
"""Every other one of these in a block is kept by selective recomputation, as torchtitan's policy has it."""


class Footprint(TorchDispatchMode):
    """Reads and saved tensors of the operators that run inside it, by storage: a view is what it is a view of.

    A copy of a parameter in another type, as autocast makes them, is taken for the parameter.
    Tensors that a custom autograd function keeps outside autograd's own saving are not seen.
    """

    def __init__(self, module: nn.Module, places: BlockPlaces | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._places = places
        self._parameters = list(module.parameters())
        self._readers: defaultdict[int, set[int]] = defaultdict(set)
        """Storage of each parameter to the places that read it, rows of tables included."""
        self._place_of: dict[int, int] = {}
        """Storage of what is saved, to the place that saved it first."""
        self._products: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        """Storage and bytes of the products of each place, in order."""
        self._attention: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        self._split: set[int] = set()
        """Storages of which each rank of a tensor group would hold a part."""
        self._skipped: defaultdict[int, float] = defaultdict(float)
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
        if self._places is not None:
            self._places.on_columns, self._places.on_rows = self._part, self._join
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
        self._note(func, args, out)
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

    def _note(self, func: Any, args: Any, out: Any) -> None:
        """What belongs to the place where the pass is."""
        place = self._place
        for tensor in tree_leaves(args):
            if isinstance(tensor, Tensor) and (origin := self._state.get(_storage(tensor))) is not None:
                self._readers[origin].add(place)
        if self._split and not self._split.isdisjoint(_storage(one) for one in tree_leaves(args) if _is(one)):
            for made in tree_leaves(out):
                if isinstance(made, Tensor):
                    self._part(made)
        if func.overloadpacket in PRODUCTS:
            self._kept.append(out)
            self._products[place].append((_storage(out), out.nbytes))
        if func.overloadpacket is ATEN._scaled_dot_product_flash_attention_for_cpu:
            self._kept += out[:2]
            self._attention[place] += [(_storage(one), one.nbytes) for one in out[:2]]
            query, key, value, *options = args
            if options[1:2] == [True]:  # after the probability of dropping
                self._skipped[place] += _above_diagonal(query, key, value)

    def _part(self, tensor: Tensor) -> None:
        self._kept.append(tensor)
        self._split.add(_storage(tensor))

    def _join(self, tensor: Tensor) -> None:
        self._split.discard(_storage(tensor))

    @property
    def _place(self) -> int:
        return BEFORE if self._places is None else self._places.current

    def _save(self, tensor: Tensor) -> Tensor:
        storage = _storage(tensor)
        self._place_of.setdefault(storage, self._place)
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

    def activations_at(self, place: int, *, whole: bool = False) -> int:
        """`activation_bytes` that were saved first at a place.

        Args:
            place: of `models.costs.places`.
            whole: only those that every rank of a tensor group would hold whole.
        """
        mine = (item for item in self._activations.items() if self._place_of[item[0]] == place)
        return sum(size for storage, size in mine if not (whole and storage in self._split))

    def copies_at(self, place: int) -> int:
        """`weight_copy_bytes` that were saved first at a place."""
        return sum(size for storage, size in self._copies.items() if self._place_of[storage] == place)

    def products_at(self, place: int, *, whole: bool = False) -> int:
        """Bytes of every other product's output at a place, the first one's among them, and of fused attention's."""
        made = (*self._products[place][::2], *self._attention[place])
        return sum(size for storage, size in made if not (whole and storage in self._split))

    def skipped_at(self, place: int) -> float:
        """FLOPs of causal fused attention that lie above the diagonal, at a place."""
        return self._skipped[place]

    def read_at(self, parameter: int) -> set[int]:
        """The places that read the parameter of this number."""
        return self._readers[_storage(self._parameters[parameter])]

    def elements_read(self, parameter: Tensor) -> int:
        """Elements of `parameter` that the forward pass reads; 0 where rows are looked up, since they may repeat."""
        return self._read.get(_storage(parameter), 0)

    def rows_looked_up(self, table: Tensor) -> int:
        """Rows that the forward pass takes from an embedding table, each as often as it does."""
        return self._rows.get(_storage(table), 0)

    def elements_saved(self, parameter: Tensor) -> int:
        """Elements of `parameter` that the backward pass reads again."""
        return self._saved_state.get(_storage(parameter), 0)


def _is(one: Any) -> bool:
    return isinstance(one, Tensor)


def _above_diagonal(query: Tensor, key: Tensor, value: Tensor) -> float:
    """FLOPs of scores and of their products with the values that a causal mask takes out, of square attention."""
    if query.shape[-2] != key.shape[-2]:
        return 0.0
    length = query.shape[-2]
    pairs = query[..., 0].numel() * (length - 1) / 2
    return float(2 * pairs * (query.shape[-1] + value.shape[-1]))


def _storage(tensor: Tensor) -> int:
    """Identity of a tensor's storage; the meta device has no addresses."""
    return int(tensor.untyped_storage()._cdata)
