"""Wraps a port's stage as megatron-core trains it: weights in the narrow type, gradients summed in float32."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig, finalize_model_grads
from megatron.core.transformer.module import Float16Module

from models.ports.megatron.port import MegatronPort


def wrapped(port: MegatronPort, device: torch.device, *, spread: bool) -> DistributedDataParallel:
    """The stage on its device, with one buffer of float32 gradients.

    Args:
        port: its network is the stage.
        device: this rank's.
        spread: whether the optimizer's state is spread over the data parallel ranks.
    """
    network: Any = port.network.to(device)
    if port.config.params_dtype != torch.float32:
        network = Float16Module(port.config, network)
    settings = DistributedDataParallelConfig(grad_reduce_in_fp32=True, use_distributed_optimizer=spread)
    return DistributedDataParallel(port.config, settings, network)


def connect(port: MegatronPort, model: DistributedDataParallel, optimizer: Any) -> None:
    """Tell the pipeline schedule how gradients are scaled, held back and joined."""
    port.config.grad_scale_func = optimizer.scale_loss
    port.config.no_sync_func = model.no_sync
    port.config.finalize_model_grads_func = finalize_model_grads
