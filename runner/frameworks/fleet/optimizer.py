"""The recipe's optimizer in Paddle, with torch's meaning of each setting; the rate is set before every step.

Parameters are given as one list. Paddle clips each of several groups by a norm of its own, torch all of them by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import paddle
from paddle import Tensor
from paddle.nn import ClipGradByGlobalNorm
from paddle.regularizer import L2Decay

from models.ports.port import PortError
from models.training import Optimizer
from runner.frameworks.ported.recipe import Treatment

LAMB_NORM = 1.0
"""LAMB clips the gradients' norm to this by itself, as timm's does, which PyTorch trains with."""


def build_optimizer(
    recipe: Optimizer,
    max_grad_norm: float | None,
    parameters: Mapping[str, Tensor],
    treatments: Mapping[str, Treatment],
) -> Any:
    """Paddle's optimizer of that name (`paddle.optimizer.Optimizer`).

    Args:
        recipe: the case's.
        max_grad_norm: what the gradients' common norm is clipped to.
        parameters: the trained ones, by their names in the network; they keep their rates' ratios.
        treatments: of each of them.

    Raises:
        PortError: Paddle has no such optimizer in torch's form.
    """
    if recipe.name not in RULES:
        raise PortError(f"model.train.optimizer.name={recipe.name} is not done here: {', '.join(RULES)}")
    for name, parameter in parameters.items():
        parameter.optimize_attr["learning_rate"] = treatments[name].rate_ratio
    decays = {parameter.name: treatments[name].weight_decay for name, parameter in parameters.items()}
    norms = [norm for norm in (max_grad_norm, LAMB_NORM if recipe.name == "lamb" else None) if norm is not None]
    common = {
        "learning_rate": recipe.lr,
        "parameters": list(parameters.values()),
        "grad_clip": ClipGradByGlobalNorm(min(norms)) if norms else None,
    }
    return RULES[recipe.name](recipe, decays, common)


def _sgd(recipe: Optimizer, decays: dict[str, float], common: dict[str, Any]) -> Any:
    _into_gradients(decays, common["parameters"])
    if not recipe.momentum:
        return paddle.optimizer.SGD(**common)
    return paddle.optimizer.Momentum(momentum=recipe.momentum, use_nesterov=bool(recipe.nesterov), **common)


def _adam(recipe: Optimizer, decays: dict[str, float], common: dict[str, Any]) -> Any:
    _into_gradients(decays, common["parameters"])
    return paddle.optimizer.Adam(**_moments(recipe, epsilon=1e-8), **common)


def _adamw(recipe: Optimizer, decays: dict[str, float], common: dict[str, Any]) -> Any:
    return paddle.optimizer.AdamW(
        weight_decay=_one_decay(decays),
        apply_decay_param_fun=lambda name: decays[name] > 0,
        **_moments(recipe, epsilon=1e-8),
        **common,
    )


def _lamb(recipe: Optimizer, decays: dict[str, float], common: dict[str, Any]) -> Any:
    return paddle.optimizer.Lamb(
        lamb_weight_decay=_one_decay(decays),
        exclude_from_weight_decay_fn=lambda parameter: decays[parameter.name] == 0,
        **_moments(recipe, epsilon=1e-6),
        **common,
    )


RULES: dict[str, Callable[[Optimizer, dict[str, float], dict[str, Any]], Any]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "lamb": _lamb,
}
"""By name in `model.train.optimizer.name`."""


def _moments(recipe: Optimizer, *, epsilon: float) -> dict[str, float]:
    """Betas and epsilon; what the recipe leaves out is torch's default, of LAMB timm's."""
    first, second = recipe.betas or (0.9, 0.999)
    return {"beta1": first, "beta2": second, "epsilon": recipe.eps or epsilon}


def _into_gradients(decays: Mapping[str, float], parameters: list[Tensor]) -> None:
    """Have each parameter's decay added to its gradient, as torch's SGD and Adam do."""
    for parameter in parameters:
        parameter.regularizer = L2Decay(decays[parameter.name]) if decays[parameter.name] else None


def _one_decay(decays: Mapping[str, float]) -> float:
    """The weight decay of those that have one.

    Raises:
        PortError: there are several.
    """
    found = sorted({decay for decay in decays.values() if decay > 0})
    if len(found) > 1:
        raise PortError(f"model.train.optimizer gives parameters several weight decays ({found}); Paddle's takes one")
    return found[0] if found else 0.0
