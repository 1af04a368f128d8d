"""Where a forward pass is: before the blocks of a network, in one of them, or behind them all."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

from models.sharding.plan import TensorPlan
from models.trainable import Trainable

BEFORE = 0
"""The place before the first block; block i is place i + 1, and what is behind the last one comes after that."""


def splits_of(network: nn.Module, plan: TensorPlan | None) -> dict[str, str]:
    """Names of the modules that a tensor group splits, and how.

    Of a module that `prepare_tensor` would take apart, it is the whole that is here.
    """
    patterns = plan.splits if plan is not None else {}
    found: dict[str, str] = {}
    for name, _ in network.named_modules():
        for pattern, split in patterns.items():
            if fnmatchcase(name, pattern) or (pattern.endswith(".*") and fnmatchcase(name, pattern[:-2])):
                found[name] = split
    return found


class BlockPlaces:
    """Follows a forward pass through the blocks of a trainable; a network without blocks is all before them.

    What runs between two blocks belongs to the first of them. Beside that, it knows what a tensor group would split:
    the outputs of modules that the plan splits by columns, and all that is computed of them, up to those split by rows.
    """

    def __init__(self, trainable: Trainable) -> None:
        self.blocks: list[nn.Module] = trainable.units()
        self.current = BEFORE
        self.input_bytes = [0] * (self.last + 1)
        """Of each place, the first tensor that it was given and whose gradient is needed."""
        self.spent: list[float] = [0.0] * (self.last + 1)
        """Of each place, by how much `meter` rose in it."""
        self.meter: Callable[[], float] = lambda: 0.0
        plan = trainable.tensor_plan()
        splits = splits_of(trainable.network, plan)
        modules = dict(trainable.network.named_modules())
        self._columns = [modules[name] for name, split in splits.items() if split == "columns"]
        self._rows = [modules[name] for name, split in splits.items() if split == "rows"]
        self.on_columns: Callable[[Tensor], None] = lambda _: None
        """Told each output that ranks of a tensor group would have a part of."""
        self.on_rows: Callable[[Tensor], None] = lambda _: None
        """Told each output of such parts that they would have whole again."""
        self._order: list[int] = []
        self._read = 0.0
        self._handles: list[RemovableHandle] = []

    @property
    def last(self) -> int:
        """The place behind all blocks; the only one where there are none."""
        return len(self.blocks) + 1 if self.blocks else BEFORE

    @property
    def in_line(self) -> bool:
        """Whether the blocks ran one after another, each once."""
        return bool(self.blocks) and self._order == list(range(1, self.last))

    def __enter__(self) -> BlockPlaces:
        for number, block in enumerate(self.blocks, start=1):
            self._handles.append(block.register_forward_pre_hook(self._entering(number), with_kwargs=True))
            self._handles.append(block.register_forward_hook(self._leaving(number)))
        for modules, told in ((self._columns, self._split), (self._rows, self._whole)):
            self._handles += [module.register_forward_hook(told) for module in modules]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._move(self.current)
        for handle in self._handles:
            handle.remove()

    def _split(self, module: nn.Module, given: Any, made: Tensor) -> None:
        self.on_columns(made)

    def _whole(self, module: nn.Module, given: Any, made: Tensor) -> None:
        self.on_rows(made)

    def _move(self, place: int) -> None:
        now = self.meter()
        self.spent[self.current] += now - self._read
        self._read, self.current = now, place

    def _entering(self, number: int) -> Callable[..., None]:
        def hook(_: nn.Module, args: Any, kwargs: Any) -> None:
            self._move(number)
            self._order.append(number)
            given = (one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor) and one.requires_grad)
            self.input_bytes[number] = sum(one.nbytes for one in list(given)[:1])

        return hook

    def _leaving(self, number: int) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            if number == self.last - 1:
                self._move(self.last)

        return hook
