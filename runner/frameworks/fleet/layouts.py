"""Refuses layouts of several ranks that cannot be, before anything is started; Paddle is not imported."""

from __future__ import annotations

from typing import Any

from runner.config.schema import Case
from runner.core.errors import ConfigurationError

EARLY = 2
"""From this sharding stage on gradients go to the rank that needs them in every backward pass."""


def check_layout(case: Case) -> None:
    """Look at what can be known of a layout without the model.

    Raises:
        ConfigurationError: choices that do not go together.
    """
    parallel, options = case.topology.parallel, case.framework
    stage: Any = options.sharding_stage  # type: ignore[attr-defined]
    if stage >= EARLY and parallel.fsdp == 1:
        raise ConfigurationError(
            f"framework.sharding_stage={stage} is of the ranks of topology.parallel.fsdp, which is 1. "
            f"Give the number of ranks to spread over, for instance topology.parallel.fsdp=2, or leave it out."
        )
    if stage >= EARLY and parallel.pipeline > 1:
        raise ConfigurationError(
            f"framework.sharding_stage={stage} sends gradients after every backward pass, and a pipeline "
            f"(topology.parallel.pipeline={parallel.pipeline}) adds up those of all its passes first. "
            "Choose framework.sharding_stage=1."
        )
    if parallel.shared > 1 and case.model.training.optimizer.name == "lamb":
        raise ConfigurationError(
            f"topology.parallel: {case.topology.layout}: model.train.optimizer.name=lamb takes the norms of whole "
            "tensors, and these ranks have parts of them. Choose topology.parallel.data or fsdp."
        )
