"""What is done with a module that is split, or whole, over the ranks of a tensor group, in torch's form of a style.

Whatever happens inside, modules take and give plain tensors; parameters are DTensors on one mesh, all of them, so that
the norm of their gradients and the optimizer's step are over the whole model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Placement, Replicate, Shard, distribute_module, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel

from models.sharding.plan import Split


def style_of(split: Split | None, module: nn.Module) -> ParallelStyle:
    """The style of a module; None: it is whole.

    Raises:
        ValueError: nothing is known of how to split such a module.
    """
    if split is None or split == "summed":
        return Whole(summed=split is not None)
    transposed = type(module).__name__ == "Conv1D"  # transformers' linear layer with its weight the other way round
    if not transposed and not isinstance(module, nn.Linear | nn.Embedding):
        raise ValueError(f"a {type(module).__name__} cannot be split by {split}")
    columns: Any = TransposedColumns if transposed else ColwiseParallel
    rows: Any = TransposedRows if transposed else RowwiseParallel
    made: Callable[[], ParallelStyle] = {
        "columns": columns,
        "columns_gathered": partial(columns, output_layouts=Replicate()),
        "rows": rows,
        "rows_of_whole": partial(rows, input_layouts=Replicate()),
    }[split]
    return made()


class TransposedColumns(ColwiseParallel):
    """Columns of a layer whose weight is (inputs, outputs)."""

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        return _distributed(self, module, device_mesh, weight=Shard(1), bias=Shard(0))


class TransposedRows(RowwiseParallel):
    """Rows of a layer whose weight is (inputs, outputs)."""

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        self.desired_input_layouts: tuple[Placement, ...] = (Shard(-1),)
        return _distributed(self, module, device_mesh, weight=Shard(0), bias=Replicate())


def _distributed(style: Any, module: nn.Module, mesh: DeviceMesh, **placements: Placement) -> nn.Module:
    def partition(_: str, module: nn.Module, mesh: DeviceMesh) -> None:
        for name, placement in placements.items():
            spread_parameter(module, name, mesh, placement)

    prepare: Any = partial(style._prepare_input_fn, style.input_layouts, style.desired_input_layouts)
    finish: Any = partial(style._prepare_output_fn, style.output_layouts, style.use_local_output)
    return distribute_module(module, mesh, partition, prepare, finish)


class Whole(ParallelStyle):
    """A module's own parameters whole on every rank, and its forward pass on plain tensors."""

    def __init__(self, *, summed: bool) -> None:
        super().__init__()
        self.summed = summed

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        names = [name for name, parameter in module._parameters.items() if parameter is not None]
        for name in names:
            spread_parameter(module, name, device_mesh, Replicate())
        group = device_mesh.get_group() if self.summed else None
        forward = module.forward

        def on_plain_tensors(*args: Any, **options: Any) -> Any:
            with _plain(module, names, group):
                return forward(*args, **options)

        module.forward = on_plain_tensors
        return module


@contextmanager
def _plain(module: nn.Module, names: list[str], group: ProcessGroup | None) -> Iterator[None]:
    """Plain tensors in the place of a module's parameters; their gradients go to the parameters."""
    kept = {name: module._parameters[name] for name in names}
    try:
        for name, parameter in kept.items():
            local: Any = parameter.to_local()  # type: ignore[union-attr]
            module._parameters[name] = local if group is None else _AddedUp.apply(local, group)
        yield
    finally:
        module._parameters.update(kept)


class _AddedUp(torch.autograd.Function):
    """A tensor as it is; its gradient is the sum of the ranks'."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        total = gradient.contiguous().clone()
        torch.distributed.all_reduce(total, group=ctx.group)
        return total, None


def spread_parameter(module: nn.Module, name: str, mesh: DeviceMesh, placement: Placement) -> None:
    """Put this rank's part of a parameter, as a DTensor, in the parameter's place; all ranks have the whole."""
    whole = module.get_parameter(name)
    part = distribute_tensor(whole.detach(), mesh, [placement], src_data_rank=None)
    module.register_parameter(name, nn.Parameter(part, requires_grad=whole.requires_grad))
