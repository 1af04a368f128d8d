"""In which types a network of megatron-core really multiplies, seen while it runs."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "_scaled_dot_product")
"""How the names of torch's operators begin that multiply matrices."""


class SeenProducts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the products of what runs inside it, by the type of what is multiplied."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.types: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in PRODUCTS or name.startswith(PRODUCTS[-1]):
            first = next(one for one in reversed(args) if isinstance(one, Tensor))
            self.types[str(first.dtype).removeprefix("torch.")] += 1
        return func(*args, **(kwargs or {}))


def scaler_of(optimizer: Any) -> Any:
    """A precision plugin as far as its gradient scaler goes: megatron-core's, where its optimizer has one."""
    scales = getattr(optimizer, "grad_scaler", None) is not None
    return SimpleNamespace(scaler=SimpleNamespace(is_enabled=lambda: scales))
