"""What serving a model costs, counted and not guessed: parameters, operations and least memory traffic of a request.

A sample is what `Model.count` counts. Of a model that writes (`infer.generation`) it is a sequence: a prompt with its
whole answer, of the lengths that the recipe gives; its work is prefill and every step together. Where answers end
before their limit, these costs are not theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.costs.flops import ModelFlops
from models.costs.footprint import Footprint
from models.costs.writing_account import WritingCost, writing_cost
from models.generative import Generative
from models.inferable import Inferable
from models.inference import Generation
from models.recipe import Recipe

BITS = {"int8": 8, "fp8": 8, "int4": 4}


@dataclass(kw_only=True, slots=True, frozen=True)
class ServingAccount:
    """The costs of serving one model, per sample in the unit of `Model.count`."""

    parameters: int
    """All; a tied one once."""
    parameter_bytes: int
    flops_per_sample: float
    """Of one forward pass, or of a whole answer: products alone (see `ModelFlops`); multiply-add = 2."""
    samples_per_request: float
    input_bytes_per_sample: float
    minimum_bytes_per_sample: float
    """Least memory traffic: every weight that is multiplied is read once a request, in the type it is served in, and
    shared among the request's samples; inputs are read and outputs written. Tables that are only looked up count
    nothing, activations neither. Of a model that writes see `WritingCost`."""
    writing: WritingCost | None = None
    """None: one forward pass answers a request."""


def count_served(
    kind: type[Inferable], recipe: Recipe, *, weights_bytes: int, served: str | None = None
) -> ServingAccount:
    """Build the model where it is to be counted, run its served network once there and add up.

    Args:
        kind: what to count; its `count_device` says where. On the host one row is run for all of a request's.
        recipe: the model as it is served.
        weights_bytes: bytes of one weight in the precision's type.
        served: the type that weights of products are quantised to; None: the precision's own.
    """
    rows = recipe.inference.batch_size if kind.count_device == "meta" else 1
    with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.device(kind.count_device):
        torch.default_generator.manual_seed(0)
        model = kind(recipe).eval().requires_grad_(False)  # the counter hooks into gradients wherever it finds some
        width = BITS[served] / 8 if served else weights_bytes
        if recipe.inference.generation is not None and isinstance(model, Generative):
            return _of_writing(model, recipe.inference.generation, rows, width, weights_bytes)
        batch = model.served_batch(rows)
        network, inputs = model.served().eval(), model.inputs(batch)
        with sdpa_kernel(SDPBackend.MATH), ModelFlops() as flops:
            outputs = network(*inputs)
        with Footprint(network) as footprint:
            network(*inputs)
    samples = model.count(batch).samples
    requested = recipe.inference.batch_size / rows
    parameters = list(network.parameters())
    read = sum(footprint.elements_read(one) for one in parameters) * width
    moved = _bytes(inputs) + _bytes(outputs)
    return ServingAccount(
        parameters=sum(one.numel() for one in parameters),
        parameter_bytes=_bytes(parameters),
        flops_per_sample=flops.get_total_flops() / samples,
        samples_per_request=samples * requested,
        input_bytes_per_sample=_bytes(inputs) / samples,
        minimum_bytes_per_sample=(read / requested + moved) / samples,
    )


def _of_writing(
    model: Generative, given: Generation, rows: int, weight_bytes: float, kept_bytes: int
) -> ServingAccount:
    cost = writing_cost(model, given, rows=rows, weight_bytes=weight_bytes, kept_bytes=kept_bytes)
    parameters = list(model.network.parameters())
    return ServingAccount(
        parameters=sum(one.numel() for one in parameters),
        parameter_bytes=_bytes(parameters),
        flops_per_sample=cost.flops / rows,
        samples_per_request=rows,
        input_bytes_per_sample=given.prompt_tokens * torch.int64.itemsize,
        minimum_bytes_per_sample=cost.minimum_bytes / rows,
        writing=cost,
    )


def _bytes(tensors: object) -> int:
    assert isinstance(tensors, tuple | list)
    return sum(one.nbytes for one in tensors if isinstance(one, Tensor))
