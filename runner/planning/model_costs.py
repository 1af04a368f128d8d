"""What a plan needs to know of a model: the account of `models.costs`, read back from an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True, slots=True, frozen=True)
class Part:
    """The costs of a block, or of what is before or behind them all: `models.costs.units.Unit` by the same names."""

    parameter_bytes: float
    split_share: float
    gradient_bytes: float
    optimizer_state_bytes: float
    weight_copy_bytes: float
    forward_flops_per_sample: float
    skipped_flops_per_sample: float
    activation_bytes_per_sample: float
    whole_activation_bytes_per_sample: float
    kept_bytes_per_sample: float
    whole_kept_bytes_per_sample: float
    input_bytes_per_sample: float


@dataclass(kw_only=True, slots=True, frozen=True)
class Types:
    """What is held, for each byte that was counted; all 1 for the precision that was counted.

    For jobs that hold other types than they compute in: bfloat16 counted, and a float32 master beside it.
    """

    weights: float = 1.0
    gradients: float = 1.0
    optimizer: float = 1.0
    gathered_block: float = 1.0
    """Of a block's weights, where sharded training gathers them."""
    gathered_root: float = 1.0
    """Of weights that are in no block."""
    sent_activation: float = 1.0
    """Of the tensors that blocks hand on, where a tensor group or a pipeline sends them."""


@dataclass(kw_only=True, slots=True, frozen=True)
class ModelCosts:
    """A model in parts, per sample in the unit of its recipe's batch size."""

    before: Part
    blocks: tuple[tuple[int, Part], ...]
    """Neighbours that are alike, with their number."""
    behind: Part | None
    tied: Part
    """Of weights that are before and behind; a pipeline's last stage has them, too."""
    in_line: bool
    tensor_divides: tuple[tuple[str, int], ...] | None
    """What a tensor group splits, with its size; None: the model does not say how."""
    backward_per_forward: float
    temporary_bytes_per_sample: float
    parameter_bytes: float
    sparse_gradient_bytes: float
    """Of tables whose gradients are rows."""
    average_bytes: float
    """Of an average of the weights."""
    minimum_bytes_per_sample: float
    """Least memory traffic, for passes of `counted` examples alone: weights are read once a pass."""
    counted: tuple[int, int]
    """Examples of a pass and passes of a step that it was counted with."""
    types: Types = field(default_factory=Types)

    @property
    def number_of_blocks(self) -> int:
        """All of them."""
        return sum(count for count, _ in self.blocks)


def model_costs(account: Mapping[str, Any], *, narrow: bool, counted: tuple[int, int]) -> ModelCosts:
    """The costs in an account.

    Args:
        account: of `models.costs.account`, as a dictionary.
        narrow: whether float32 weights are computed with in half as many bytes, by autocast.
        counted: examples of a pass and passes of a step; a sample of the account may be part of an example.

    Raises:
        KeyError: the version that counted the model did not count its parts.
    """
    units, scale = account["units"], account["samples_per_pass"] / counted[0]
    behind = units["behind"]
    narrower = 0.5 if narrow else 1.0
    return ModelCosts(
        before=_part(units["before"], scale),
        blocks=tuple((one["count"], _part(one, scale)) for one in units["blocks"]),
        behind=None if behind is None else _part(behind, scale),
        in_line=units["in_line"],
        tied=_part(units["tied"], scale),
        tensor_divides=None if (divides := units["tensor_divides"]) is None else tuple(divides.items()),
        backward_per_forward=units["backward_per_forward"],
        temporary_bytes_per_sample=account["temporary_bytes_per_sample"] * scale,
        parameter_bytes=account["parameter_bytes"],
        sparse_gradient_bytes=account["gradient_bytes"] - _dense(units),
        average_bytes=account["weight_average_bytes"],
        minimum_bytes_per_sample=account["minimum_bytes_per_sample"] * scale,
        counted=counted,
        types=Types(gathered_block=narrower, sent_activation=narrower),
    )


def _dense(units: Mapping[str, Any]) -> float:
    parts = (units["before"], *units["blocks"], units["behind"])
    return float(sum(one["count"] * one["gradient_bytes"] for one in parts if one is not None))


def _part(unit: Mapping[str, Any], scale: float) -> Part:
    names = Part.__dataclass_fields__
    return Part(**{name: unit[name] * (scale if name.endswith("per_sample") else 1.0) for name in names})
