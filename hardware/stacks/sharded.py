"""A Lightning strategy for models whose tensors are spread over a device mesh (DTensor): FSDP2, tensor parallel, both.

Lightning's own builds a mesh of two axes and knows CUDA's devices; this one has three and takes any device module of
torch. Checkpoints are one file with whole tensors, so that any layout, and `task=infer`, can read the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.strategies import ModelParallelStrategy, Strategy
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from hardware.layout import MeshLayout

try:
    from torch.distributed.fsdp import FSDPModule
except ImportError:  # torch 2.5
    from torch.distributed._composable.fsdp import FSDPModule  # type: ignore[attr-defined]


class MeshStrategy(ModelParallelStrategy):
    """Places the mesh at `lightning_module.device_mesh` before `configure_model`, which spreads the model over it."""

    def __init__(self, layout: MeshLayout, *, backend: str) -> None:
        super().__init__(
            data_parallel_size=layout.replicate * layout.shard,
            tensor_parallel_size=layout.tensor,
            save_distributed_checkpoint=False,
            process_group_backend=backend,
        )
        self.layout = layout
        self.cluster_environment = TorchElasticEnvironment()

    def setup_environment(self) -> None:
        """Join the other ranks and lay the mesh out over them."""
        self._setup_distributed()
        self._device_mesh = init_device_mesh(
            self.root_device.type, tuple(self.layout), mesh_dim_names=self.layout._fields
        )
        assert self.lightning_module is not None
        self.lightning_module._device_mesh = self._device_mesh

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        """Leave out what a pass that no optimizer step follows need not send.

        Copies add their gradients up at the step alone. Where a copy is spread, each pass still gives every rank its
        part: keeping whole gradients through the passes would take the memory that spreading saves.
        """
        assert self.model is not None
        modules = spread_modules(self.model)
        _send(modules, self.layout, always=False)
        try:
            yield
        finally:
            _send(modules, self.layout, always=True)

    # --- checkpoints ------------------------------------------------------------------------------------------

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Whole tensors on the host of rank 0, nothing elsewhere; all ranks call it together."""
        assert self.model is not None
        return self._gathered(self.model.state_dict())

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """As `lightning_module_state_dict`, of an optimizer."""
        plain = getattr(optimizer, "_optimizer", optimizer)
        return self._gathered(plain.state_dict())

    def _gathered(self, state: dict[str, Any]) -> dict[str, Any]:
        kept = self.is_global_zero

        def whole(tensor: Tensor) -> Tensor | None:
            tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            return tensor.detach().cpu() if kept else None

        gathered: dict[str, Any] = tree_map_only(Tensor, whole, state)
        return gathered if kept else {}

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read the file on every rank, and keep this rank's parts of its tensors."""
        checkpoint: dict[str, Any] = Strategy.load_checkpoint(self, checkpoint_path, weights_only)
        assert self.model is not None and self.lightning_module is not None
        load_whole(self.model, checkpoint["state_dict"], strict=self.lightning_module.strict_loading)
        for optimizer, state in zip(self.optimizers, checkpoint.get("optimizer_states", []), strict=False):
            load_optimizer(getattr(optimizer, "_optimizer", optimizer), state)
        return checkpoint


def spread_modules(model: nn.Module) -> list[FSDPModule]:
    """Those of a model's modules that gather their tensors when they run."""
    return [module for module in model.modules() if isinstance(module, FSDPModule)]


def _send(modules: list[Any], layout: MeshLayout, *, always: bool) -> None:
    for module in modules:
        if layout.shard == 1:
            module.set_requires_gradient_sync(always, recurse=False)
        elif layout.replicate > 1:
            module.set_requires_all_reduce(always, recurse=False)


def load_whole(module: nn.Module, whole: Mapping[str, Tensor], *, strict: bool = True) -> None:
    """Load whole tensors into a module whose own are spread over ranks; every rank has all of them."""
    own = module.state_dict()
    module.load_state_dict({name: _part(tensor, own.get(name)) for name, tensor in whole.items()}, strict=strict)


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load an optimizer's whole state; what has its parameter's shape is spread as the parameter is."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    spread = {
        place: {
            name: _part(value, parameters[place])
            if isinstance(value, Tensor) and value.shape == parameters[place].shape
            else value
            for name, value in values.items()
        }
        for place, values in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": spread})


def _part(whole: Tensor, own: Tensor | None) -> Tensor:
    """`whole`, spread as `own` is."""
    if not isinstance(own, DTensor):
        return whole
    # Every rank has the whole and cuts its own part: nothing is sent.
    return distribute_tensor(whole.to(own.device), own.device_mesh, own.placements, src_data_rank=None)


def greatest_over_ranks(scaler: Any) -> None:
    """Have all ranks skip a step together when one of them met a gradient that is not finite.

    torch joins what the ranks found along the axes by which the first gradient is spread; where that one is whole and
    others are not, ranks would part. Call between unscaling and the step; nothing waits for the device.

    Args:
        scaler: torch's gradient scaler or one in its form.
    """
    for state in scaler._per_optimizer_states.values():
        for found in state["found_inf_per_device"].values():
            torch.distributed.all_reduce(found, op=torch.distributed.ReduceOp.MAX)
