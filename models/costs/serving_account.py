"""What serving a model costs, counted and not guessed: parameters, operations and least memory traffic of a request."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.costs.flops import ModelFlops
from models.costs.footprint import Footprint
from models.inferable import Inferable
from models.recipe import Recipe

BITS = {"int8": 8, "fp8": 8, "int4": 4}


@dataclass(kw_only=True, slots=True, frozen=True)
class ServingAccount:
    """The costs of serving one model, per sample in the unit of `Model.count`."""

    parameters: int
    """All; a tied one once."""
    parameter_bytes: int
    flops_per_sample: float
    """Of one forward pass: products alone (see `ModelFlops`); multiply-add = 2."""
    samples_per_request: float
    input_bytes_per_sample: float
    minimum_bytes_per_sample: float
    """Least memory traffic: every weight that is multiplied is read once a request, in the type it is served in, and
    shared among the request's samples; inputs are read and outputs written. Tables that are only looked up count
    nothing, activations neither."""


def count_served(
    kind: type[Inferable], recipe: Recipe, *, weights_bytes: int, served: str | None = None
) -> ServingAccount:
    """Build the model where it is to be counted, run its served network once there and add up.

    Args:
        kind: what to count; its `count_device` says where.
        recipe: the model as it is served.
        weights_bytes: bytes of one weight in the precision's type.
        served: the type that weights of products are quantised to; None: the precision's own.
    """
    rows = recipe.inference.batch_size if kind.count_device == "meta" else 1
    with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.device(kind.count_device):
        torch.default_generator.manual_seed(0)
        model = kind(recipe).eval()
        batch = model.served_batch(rows)
        network, inputs = model.served().eval(), model.inputs(batch)
        with sdpa_kernel(SDPBackend.MATH), ModelFlops() as flops:
            outputs = network(*inputs)
        with Footprint(network) as footprint:
            network(*inputs)
    samples = model.count(batch).samples
    parameters = list(network.parameters())
    width = BITS[served] / 8 if served else weights_bytes
    read = sum(footprint.elements_read(one) for one in parameters) * width
    moved = _bytes(inputs) + _bytes(outputs)
    return ServingAccount(
        parameters=sum(one.numel() for one in parameters),
        parameter_bytes=_bytes(parameters),
        flops_per_sample=flops.get_total_flops() / samples,
        samples_per_request=samples,
        input_bytes_per_sample=_bytes(inputs) / samples,
        minimum_bytes_per_sample=(read + moved) / samples,
    )


def _bytes(tensors: object) -> int:
    assert isinstance(tensors, tuple | list)
    return sum(one.nbytes for one in tensors if isinstance(one, Tensor))
