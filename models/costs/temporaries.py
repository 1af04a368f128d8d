"""What a loss's backward pass needs beside what autograd kept: gradients of scores, before any weight has its own."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _EnoughError(Exception):
    """Ends a backward pass where its interesting part is over."""


class _Living(TorchDispatchMode):
    """Bytes of the storages that operators inside it made and that are still held; a single number counts nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._seen: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and note what it made."""
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            given = {one.untyped_storage()._cdata for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
            for tensor in tree_leaves(out):
                if isinstance(tensor, Tensor) and tensor.numel() > 1:
                    self._note(tensor.untyped_storage(), given)
        self.peak = max(self.peak, self._now)
        return out

    def _note(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen or key in given:
            return

        def gone(_: Any) -> None:
            self._now -= size
            self._seen.pop(key, None)

        self._seen[key] = weakref.ref(storage, gone)
        self._now += size


def temporary_bytes(network: nn.Module, outputs: list[Tensor], loss: Tensor) -> int:
    """Most bytes at once, from the loss back to the outputs of the network, beside what was saved for it.

    A float32 cross entropy over 128,256 scores holds two gradients of all scores at once.

    Args:
        network: whose outputs are meant; its first gradient of a weight ends the count where none is reached.
        outputs: those of the network that need a gradient.
        loss: of them, with its graph, which is used up.
    """

    def enough(_: Tensor) -> None:
        raise _EnoughError

    handles: list[Any] = [one.register_hook(enough) for one in outputs]  # type: ignore[no-untyped-call]
    for parameter in network.parameters():
        if parameter.requires_grad:
            handles.append(parameter.register_post_accumulate_grad_hook(enough))  # type: ignore[no-untyped-call]
    living = _Living()
    try:
        with living:
            loss.backward()  # type: ignore[no-untyped-call]
    except _EnoughError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return living.peak
