"""What each part of a model costs: what is before its blocks, the blocks, what is behind them.

Sharded training, pipelines and recomputation divide a model by its blocks; `runner.planning` needs their costs apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from models.costs.footprint import Footprint
from models.costs.places import BlockPlaces, splits_of
from models.sharding.plan import TensorPlan
from models.trainable import Trainable


@dataclass(kw_only=True, slots=True, frozen=True)
class Unit:
    """The costs of one place, or of each of `count` places that follow one another and cost the same."""

    count: int = 1
    parameter_bytes: int
    split_share: float
    """Share of them that a tensor group splits; the rest is whole on each of its ranks."""
    gradient_bytes: int
    """Dense ones."""
    optimizer_state_bytes: int
    weight_copy_bytes: int
    """Autocast's."""
    forward_flops_per_sample: float
    """Products alone."""
    skipped_flops_per_sample: float
    """Of these, what lies above the diagonal of causal attention, which a kernel may leave out."""
    activation_bytes_per_sample: float
    """What autograd keeps."""
    whole_activation_bytes_per_sample: float
    """Of these, what every rank of a tensor group keeps whole."""
    kept_bytes_per_sample: float
    """What selective recomputation keeps of it beside the input: outputs of every other product, and of attention."""
    whole_kept_bytes_per_sample: float
    """Of these, what every rank of a tensor group keeps whole."""
    input_bytes_per_sample: float
    """Of the tensor that comes from the place before."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Units:
    """A model in parts."""

    before: Unit
    """Such as an embedding; all of a model that has no blocks."""
    blocks: tuple[Unit, ...]
    """In the order of the network's lists; equal neighbours are one."""
    behind: Unit | None
    """Such as the head and the loss, without a weight that is tied to one before. None without blocks."""
    tied: Unit
    """Of parameters that are used before and behind the blocks: a pipeline's last stage has them once more."""
    in_line: bool
    """Whether the blocks run one after another, each once: what a pipeline can be made of."""
    tensor_divides: dict[str, int] | None
    """What a tensor group splits, in words, with its size; None: the model does not say how."""
    backward_per_forward: float
    """FLOPs of the backward pass ÷ those of the forward pass."""


def units_of(
    trainable: Trainable,
    places: BlockPlaces,
    kept: Footprint,
    *,
    samples: float,
    backward_per_forward: float,
    state_bytes: Callable[[Sequence[nn.Parameter]], int],
) -> Units:
    """The parts of a network that one training step was counted on.

    Args:
        trainable: with its gradients.
        places: which followed the counted forward pass, its meter the FLOPs.
        kept: the footprint with the activations, of a pass over as many samples.
        samples: of the counted batch.
        backward_per_forward: FLOPs of both, of the whole model.
        state_bytes: of the optimizer, for parameters with a gradient.
    """
    plan = trainable.tensor_plan()
    split = _split_parameters(trainable.network, plan)

    def unit(mine: list[nn.Parameter], place: int | None) -> Unit:
        gradients = [one.grad for one in mine if one.grad is not None and not one.grad.is_sparse]
        held = sum(one.nbytes for one in mine)
        at = {name: 0.0 if place is None else made(place) / samples for name, made in counted.items()}
        return Unit(
            parameter_bytes=held,
            split_share=sum(one.nbytes for one in mine if id(one) in split) / held if held else 0.0,
            gradient_bytes=sum(one.nbytes for one in gradients),
            optimizer_state_bytes=state_bytes([one for one in mine if one.grad is not None]),
            weight_copy_bytes=0 if place is None else kept.copies_at(place),
            **at,  # type: ignore[arg-type]
        )

    counted: dict[str, Callable[[int], float]] = {
        "forward_flops_per_sample": lambda place: places.spent[place],
        "skipped_flops_per_sample": kept.skipped_at,
        "activation_bytes_per_sample": kept.activations_at,
        "whole_activation_bytes_per_sample": lambda place: kept.activations_at(place, whole=True),
        "kept_bytes_per_sample": kept.products_at,
        "whole_kept_bytes_per_sample": lambda place: kept.products_at(place, whole=True),
        "input_bytes_per_sample": lambda place: places.input_bytes[place],
    }
    *owned, tied = _owners(trainable.network, places, kept)
    made = [unit(mine, place) for place, mine in enumerate(owned)]
    return Units(
        before=made[0],
        blocks=_runs(made[1:-1]),
        behind=made[-1] if places.blocks else None,
        tied=unit(tied, None),
        in_line=places.in_line,
        tensor_divides=None if plan is None else dict(plan.divides),
        backward_per_forward=backward_per_forward,
    )


def _runs(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """Equal neighbours as one."""
    runs: list[Unit] = []
    for unit in units:
        if runs and replace(runs[-1], count=1) == unit:
            runs[-1] = replace(runs[-1], count=runs[-1].count + 1)
        else:
            runs.append(unit)
    return tuple(runs)


def _split_parameters(network: nn.Module, plan: TensorPlan | None) -> set[int]:
    """Identities of the parameters that a tensor group splits."""
    names = [name for name, split in splits_of(network, plan).items() if split != "summed"]
    return {id(one) for name in names for one in network.get_submodule(name).parameters(recurse=False)}


def _owners(network: nn.Module, places: BlockPlaces, kept: Footprint) -> list[list[nn.Parameter]]:
    """Parameters of each place, and at last those both before and behind, which are before, too.

    A block has its own; others are where they are read, and before where nobody reads them.
    """
    blocks = [list(block.parameters()) for block in places.blocks]
    in_block = {id(one) for mine in blocks for one in mine}
    before: list[nn.Parameter] = []
    behind: list[nn.Parameter] = []
    tied: list[nn.Parameter] = []
    for number, parameter in enumerate(network.parameters()):
        if id(parameter) in in_block:
            continue
        read = kept.read_at(number)
        if places.blocks and read == {places.last}:
            behind.append(parameter)
            continue
        before.append(parameter)
        if places.blocks and places.last in read:
            tied.append(parameter)
    return [before, *blocks, behind, tied] if places.blocks else [before, tied]
