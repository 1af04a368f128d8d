"""Lightning strategies: one device, or data parallel or sharded over ranks that torchrun has started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hardware.layout import MeshLayout

if TYPE_CHECKING:
    import torch


def build_strategy(ranks: int, *, backend: str, device: torch.device, layout: MeshLayout | None = None) -> Any:
    """What Lightning's `Trainer(strategy=...)` takes.

    Args:
        ranks: processes of the job, one device each.
        backend: torch.distributed's name of the communication library.
        device: the device of a job of one rank.
        layout: how the ranks share the model; None: each has a copy.

    Raises:
        RuntimeError: several ranks, but torchrun did not start this process. Lightning would start the others itself,
            running the whole program again in each.
    """
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

    assert ranks >= 1, "a job has at least one rank"
    if ranks == 1:
        return SingleDeviceStrategy(device=device)
    if not TorchElasticEnvironment.detect():
        raise RuntimeError(
            f"{ranks} ranks need a launcher: start the worker with `python -m torch.distributed.run "
            f"--nproc-per-node {ranks} …`"
        )
    if layout is not None and layout.sharded:
        from hardware.stacks.sharded import MeshStrategy

        return MeshStrategy(layout, backend=backend)
    chosen = DDPStrategy if device.type in ("cpu", "cuda") else _module_ddp()
    return chosen(process_group_backend=backend, cluster_environment=TorchElasticEnvironment())


def _module_ddp() -> Any:
    """Data parallel for device modules beside `torch.cuda`: Lightning's own wraps the model in a stream of CUDA's."""
    from pytorch_lightning.strategies import DDPStrategy
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel

    class ModuleDDPStrategy(DDPStrategy):
        """Wraps the model on its device's current stream."""

        def _setup_model(self, model: nn.Module) -> DistributedDataParallel:
            return DistributedDataParallel(module=model, device_ids=self.determine_ddp_device_ids(), **self._ddp_kwargs)

    return ModuleDDPStrategy
