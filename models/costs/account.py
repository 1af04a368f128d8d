"""What a trainable costs, counted and not guessed: parameters, operations, activations, memory traffic.

Counting builds the trainable anew on the meta device, which holds shapes alone: a 7B model takes seconds and no memory.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves, tree_map_only

from models.costs.cast import Cast
from models.costs.fakes import fake, with_fakes
from models.costs.flops import ModelFlops
from models.costs.footprint import Footprint
from models.costs.optimizer_state import average_bytes, state_bytes_of, stepped_by
from models.costs.places import BlockPlaces
from models.costs.temporaries import temporary_bytes
from models.costs.units import Units, units_of
from models.datasets.base import Batch
from models.recipe import Recipe
from models.trainable import Trainable


@dataclass(kw_only=True, slots=True, frozen=True)
class Account:
    """The costs of training one trainable in one precision, per sample in the unit of `Trainable.count`."""

    parameters: int
    """All, trained or not; a tied one once."""
    trainable_parameters: int
    parameter_bytes: int
    largest_unit_bytes: int
    """Parameters of the largest block of layers: what sharded training gathers at once, beside `root_unit_bytes`."""
    root_unit_bytes: int
    """Parameters outside all blocks, such as embeddings and the head; 0 where the network has no blocks."""
    gradient_bytes: int
    """Of the parameters that a training step gives a gradient. Data parallel keeps as much again in its buckets.

    Of a sparse gradient, the rows that one pass at the recipe's batch size looks up, as often as it does, and their
    numbers.
    """
    weight_copy_bytes: int
    """Autocast's copies of weights that autograd keeps from forward to backward, whatever the batch size.

    Lightning's autocast makes one for each use of a weight. Llama-2-7B in bf16 multiplies by all its weights but the
    embedding and the norms: 2 bytes x (6,738,415,616 - 131,072,000 - 266,240), 12.3 GiB.
    """
    optimizer_state_bytes: int
    """Of the parameters that the optimizer is given: those of a group with `lr_ratio` 0 are not."""
    weight_average_bytes: int
    """Of `train.regularisation.ema_decay`: parameters and buffers once more, in float32 whatever they are."""
    flops_forward_per_sample: float
    """Products alone (see `ModelFlops`); multiply-add = 2."""
    flops_per_sample: float
    """Forward and backward."""
    saved_activation_bytes_per_sample: float
    """What autograd keeps from forward to backward, each storage once, saved inputs included and parameters not.

    Counted with the CPU's choice of operators, fused attention and autocast among them; another device may fuse more
    (attention with dropout) and casts differently.
    """
    temporary_bytes_per_sample: float
    """What the loss's backward pass holds beside that, gradients of scores above all (`models.costs.temporaries`)."""
    samples_per_pass: float
    """Samples of one forward pass at the recipe's batch size."""
    input_bytes_per_sample: float
    minimum_bytes_per_sample: float
    """Least memory traffic of one training sample: a lower bound, since activations are not in it.

    Parameters read by forward and backward in the narrower of the weights' and autocast's types, gradients written and
    read, weights and optimizer state read and written once a step, shared among the step's samples; and the inputs.
    Tables that are only looked up count nothing in forward, and those with sparse gradients nothing at all: how many
    different rows a step touches depends on the data. A model whose weights stay in a chip's cache from one pass
    to the next can do with less.
    """
    units: Units
    """The same by parts of the model."""


FLOPS = ("forward_flops", "backward_flops")


class _Step(NamedTuple):
    """One training step's counts, for the whole batch."""

    trainable: Trainable
    batch: Batch
    footprint: Footprint
    places: BlockPlaces
    forward_flops: float
    backward_flops: float


def count(
    trainable_class: type[Trainable],
    recipe: Recipe,
    *,
    weights_dtype: str,
    autocast_dtype: str | None,
    batch_size: int | None = None,
) -> Account:
    """Build the trainable where it is to be counted, run one training step there and add up.

    Args:
        trainable_class: what to count; its `count_device` says where.
        recipe: the model as it will be trained.
        weights_dtype: type of the parameters: float32, float16 or bfloat16.
        autocast_dtype: type of autocast's products, with float32 weights only; None: no autocast.
        batch_size: rows of the counted batch. None: the recipe's on the meta device, 1 on a real one.

    Raises:
        UncountedOperatorError: the model runs an operator whose FLOPs no formula covers.
        ValueError: no such precision.
    """
    device = trainable_class.count_device
    rows = batch_size or (recipe.training.batch_size if device == "meta" else 1)
    cast = Cast.of(weights_dtype, autocast_dtype)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(0)  # what depends on the data, as a detector's proposals do, is repeatable
        trainable, batches = _build(trainable_class, recipe, device, rows, cast)
        step = _mean([(share, _train_once(trainable, batch, cast)) for share, batch in batches])
        # A second forward pass for what is kept. Autocast knows no meta device and fused attention is not chosen
        # there: fake tensors stand for the CPU's.
        trainable, batches = _build(trainable_class, recipe, device, rows, cast)
        with FakeTensorMode() if device == "meta" else nullcontext():
            batch = batches[0][1]
            if device == "meta":
                trainable, batch = with_fakes(trainable), tree_map_only(Tensor, fake, batch)
            kept, temporary = _kept(trainable, batch, cast)
    kept = kept if device == "meta" else step.footprint
    return _account(step, recipe, rows=rows, kept=kept, temporary=temporary, autocast=autocast_dtype)


def _account(
    step: _Step, recipe: Recipe, *, rows: int, kept: Footprint, temporary: int, autocast: str | None
) -> Account:
    samples = step.trainable.count(step.batch).samples
    parameters = list(step.trainable.network.parameters())
    optimizer = recipe.training.optimizer
    updated = [parameter for parameter in parameters if parameter.grad is not None]
    dense = [parameter for parameter in updated if parameter.grad is not None and not parameter.grad.is_sparse]
    dense_bytes = _bytes([parameter.grad for parameter in dense])
    sparse_bytes = _sparse_bytes(updated, step.footprint) * recipe.training.batch_size // rows
    stepped = stepped_by(optimizer, step.trainable.network, dense)
    input_bytes = _bytes(tree_leaves(step.batch)) / samples
    pass_bytes = _read_bytes(parameters, step.footprint, autocast) + 2 * dense_bytes
    passes = recipe.training.gradient_accumulation_steps
    step_bytes = passes * pass_bytes + 2 * (_bytes(stepped) + state_bytes_of(optimizer, stepped))
    network = step.trainable.network
    largest_unit, root_unit = _units(step.trainable)
    with_state = stepped_by(optimizer, network, updated)
    has_state = {id(one) for one in with_state}
    samples_per_pass = recipe.training.batch_size * samples / rows
    return Account(
        parameters=sum(parameter.numel() for parameter in parameters),
        trainable_parameters=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        parameter_bytes=_bytes(parameters),
        largest_unit_bytes=largest_unit,
        root_unit_bytes=root_unit,
        gradient_bytes=dense_bytes + sparse_bytes,
        weight_copy_bytes=kept.weight_copy_bytes,
        optimizer_state_bytes=state_bytes_of(optimizer, with_state),
        weight_average_bytes=average_bytes(recipe.training.regularisation, network),
        flops_forward_per_sample=step.forward_flops / samples,
        flops_per_sample=(step.forward_flops + step.backward_flops) / samples,
        saved_activation_bytes_per_sample=kept.activation_bytes / samples,
        temporary_bytes_per_sample=temporary / samples,
        samples_per_pass=samples_per_pass,
        input_bytes_per_sample=input_bytes,
        minimum_bytes_per_sample=step_bytes / (passes * samples_per_pass) + input_bytes,
        units=units_of(
            step.trainable,
            step.places,
            kept,
            samples=samples,
            backward_per_forward=step.backward_flops / step.forward_flops if step.forward_flops else 0.0,
            state_bytes=lambda mine: state_bytes_of(optimizer, [one for one in mine if id(one) in has_state]),
        ),
    )


def _build(
    trainable_class: type[Trainable], recipe: Recipe, device: str, rows: int, cast: Cast
) -> tuple[Trainable, list[tuple[float, Batch]]]:
    with torch.device(device):
        trainable = trainable_class(recipe)
        batches = trainable.counted_batches(rows)
    cast.module(trainable)
    return trainable.train(), [(share, cast.batch(batch)) for share, batch in batches]


def _mean(steps: list[tuple[float, _Step]]) -> _Step:
    """The first step with the mean FLOPs of all."""
    forward, backward = (sum(share * getattr(step, name) for share, step in steps) for name in FLOPS)
    return steps[0][1]._replace(forward_flops=forward, backward_flops=backward)


def _forward(trainable: Trainable, batch: Batch, cast: Cast, places: BlockPlaces) -> tuple[Tensor, Footprint]:
    with trainable.counting(), cast.forward(), places, Footprint(trainable, places) as footprint:
        return trainable.loss(batch), footprint


def _kept(trainable: Trainable, batch: Batch, cast: Cast) -> tuple[Footprint, int]:
    """What a forward pass leaves to the backward pass, and what that holds beside it until it meets the network."""
    outputs: list[Tensor] = []

    def note(_: nn.Module, __: Any, made: Any) -> None:
        outputs.extend(one for one in tree_leaves(made) if isinstance(one, Tensor) and one.requires_grad)

    handle = trainable.network.register_forward_hook(note)
    loss, footprint = _forward(trainable, batch, cast, BlockPlaces(trainable))
    handle.remove()
    return footprint, temporary_bytes(trainable.network, outputs, loss)


def _train_once(trainable: Trainable, batch: Batch, cast: Cast) -> _Step:
    """Forward and backward; attention as plain products, of which backward is exactly twice forward."""
    places = BlockPlaces(trainable)
    with sdpa_kernel(SDPBackend.MATH):
        with ModelFlops() as forward:
            places.meter = forward.get_total_flops
            loss, footprint = _forward(trainable, batch, cast, places)
        with ModelFlops() as backward:
            backward.backward = True
            loss.backward()  # type: ignore[no-untyped-call]
    return _Step(trainable, batch, footprint, places, forward.get_total_flops(), backward.get_total_flops())


def _bytes(values: list[Any]) -> int:
    return sum(value.nbytes for value in values if isinstance(value, Tensor))


def _units(trainable: Trainable) -> tuple[int, int]:
    """Bytes of the largest of `Trainable.units` and of what is in none; a network without any is one unit."""
    total = _bytes(list(trainable.network.parameters()))
    units = [_bytes(list(unit.parameters())) for unit in trainable.units()]
    return (max(units), total - sum(units)) if units else (total, 0)


def _sparse_bytes(updated: list[nn.Parameter], footprint: Footprint) -> int:
    """Values and row numbers of the sparse gradients among these, before rows that stand twice are added up.

    Counted in the forward pass: on the meta device a sparse gradient has no rows.
    """
    tables = (one for one in updated if one.grad is not None and one.grad.is_sparse)
    return sum(footprint.rows_looked_up(one) * (one[0].nbytes + torch.int64.itemsize) for one in tables)


def _read_bytes(parameters: list[nn.Parameter], footprint: Footprint, autocast: str | None) -> int:
    """Least bytes of parameters that one forward and one backward pass read."""
    narrow = getattr(torch, autocast).itemsize if autocast else None
    return sum(
        (footprint.elements_read(parameter) + footprint.elements_saved(parameter))
        * min(parameter.itemsize, narrow or parameter.itemsize)
        for parameter in parameters
    )
