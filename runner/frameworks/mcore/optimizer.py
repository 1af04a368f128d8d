"""Megatron-core's optimizer over the recipe's groups, and the float32 weights that it updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallel
from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer
from megatron.core.optimizer.optimizer_config import ParamKey
from torch import Tensor, distributed, nn

from models.training import Training
from runner.frameworks.ported.recipe import Treatment

SCALE, GROWTH_STEPS, PATIENCE = 2.0**16, 2000, 1
"""Of the loss in float16, as torch's gradient scaler has them, and every other framework here: where it begins, after
how many steps it is doubled, and how many bad steps halve it."""
TORCH_BETAS, TORCH_EPS = (0.9, 0.999), 1e-8
"""What torch's Adam takes when a recipe gives none."""
MARK = "touchstone_group_"
"""Attribute by which megatron-core finds the parameters of a group."""


def build_optimizer(
    training: Training,
    model: DistributedDataParallel,
    treated: Mapping[nn.Parameter, Treatment],
    *,
    computed_in: torch.dtype,
    spread: bool,
) -> Any:
    """The optimizer of the recipe; the rate is given with every step, by `set_rate`.

    Args:
        training: the recipe.
        model: the rank's stage.
        treated: how each of its parameters is trained.
        computed_in: type of its weights.
        spread: whether optimizer state and float32 weights are spread over the data parallel ranks.
    """
    recipe = training.optimizer
    first, second = recipe.betas or TORCH_BETAS
    config = OptimizerConfig(
        optimizer="sgd" if recipe.name == "sgd" else "adam",
        decoupled_weight_decay=recipe.name == "adamw",
        lr=recipe.lr,
        min_lr=0.0,
        weight_decay=recipe.weight_decay,
        adam_beta1=first,
        adam_beta2=second,
        adam_eps=recipe.eps or TORCH_EPS,
        sgd_momentum=recipe.momentum or 0.0,
        fp16=computed_in == torch.float16,
        bf16=computed_in == torch.bfloat16,
        params_dtype=computed_in,
        initial_loss_scale=SCALE,
        loss_scale_window=GROWTH_STEPS,
        hysteresis=PATIENCE,
        clip_grad=training.max_grad_norm or 0.0,
        use_distributed_optimizer=spread,
    )
    overrides: dict[Any, Any] = {}
    for number, treatment in enumerate(dict.fromkeys(treated.values())):
        mark = f"{MARK}{number}"
        for parameter, own in treated.items():
            if own == treatment:
                setattr(parameter, mark, True)
        # Megatron-core keeps groups apart by the two factors alone; torch reads the weight decay itself.
        factor = treatment.weight_decay / (recipe.weight_decay or 1.0)
        overrides[ParamKey(attr=mark)] = {
            "lr_mult": treatment.rate_ratio,
            "wd_mult": factor,
            "weight_decay": treatment.weight_decay,
        }
    return get_megatron_optimizer(config, [model], config_overrides=overrides, use_gloo_process_groups=False)


def set_rate(optimizer: Any, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_mult"]


def inner(optimizer: Any) -> Any:
    """The one optimizer of a chain: megatron-core makes another of experts alone."""
    (one,) = optimizer.chained_optimizers
    return one


def set_weight(optimizer: Any, parameter: nn.Parameter, value: Tensor) -> None:
    """Give a parameter its value, rounded to its type, and its float32 copy the value itself.

    Args:
        optimizer: of the parameter.
        parameter: this rank's.
        value: float32, of its shape; on the host.
    """
    parameter.data.copy_(value)
    master = getattr(parameter, "main_param", None)
    if master is None:
        return
    if getattr(parameter, "main_param_sharded", False):
        owned = inner(optimizer)._get_model_param_range_map(parameter)["param"]
        value = value.reshape(-1)[owned.start : owned.end]
    master.data.copy_(value)


def updated_weight(optimizer: Any, parameter: nn.Parameter, copies: Any) -> Tensor:
    """A parameter as it is updated, float32; where its pieces are spread over `copies`, all of them ask together."""
    master = getattr(parameter, "main_param", None)
    if not getattr(parameter, "main_param_sharded", False) or parameter.dtype == torch.float32:
        return (parameter if master is None else master).detach()
    whole = torch.zeros(parameter.numel(), dtype=torch.float32, device=parameter.device)
    if master is not None:
        owned = inner(optimizer)._get_model_param_range_map(parameter)["param"]
        whole[owned.start : owned.end] = master.detach()
    distributed.all_reduce(whole, group=copies)  # every place is one rank's, and zero on the others
    return whole.reshape(parameter.shape)
