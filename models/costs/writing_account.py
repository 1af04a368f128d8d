"""What an answer costs that is written token by token: prefill once, then a step for each further token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.costs.flops import ModelFlops
from models.costs.footprint import Footprint
from models.generative import Generative, Writer
from models.inference import Generation


@dataclass(kw_only=True, slots=True, frozen=True)
class WritingCost:
    """Of one request: a batch of prompts with answers of full length."""

    flops: float
    """Products of prefill and of all steps. A step attends to what is written, not to the whole cache."""
    minimum_bytes: float
    """Prefill reads every multiplied weight once and writes its keys and values; see `decode_bytes` for the steps."""
    prefill_flops_per_token: float
    """Per token of the prompts."""
    decode_flops_per_token: float | None
    """Per token written behind the first, on average; None where answers have one token."""
    decode_bytes_per_step: float | None
    """Least traffic of a step of the whole batch, on average: every multiplied weight is read once, shared by the rows,
    and so are each row's keys and values of all tokens before it; its own are written."""


class _Pass(NamedTuple):
    flops: float
    elements_read: int
    """Of weights."""


def writing_cost(
    model: Generative, given: Generation, *, rows: int, weight_bytes: float, kept_bytes: int
) -> WritingCost:
    """Count prefill once and a step at its shortest and its longest: its cost is linear in the tokens before it.

    Args:
        model: on the device where it is counted, which is torch's default.
        given: lengths of prompt and answer.
        rows: of a request.
        weight_bytes: of one weight as it is served.
        kept_bytes: of one number of the key-value cache.
    """
    writer, size = model.writer().eval(), model.cache_size
    prompt, steps = given.prompt_tokens, given.new_tokens - 1
    per_token = size.elements_per_token * kept_bytes * rows
    ids = torch.zeros(rows, prompt, dtype=torch.int64)
    prefill = _counted(writer, "prefill", ids, torch.zeros(size.shape(rows, prompt)))
    flops, moved = prefill.flops, prefill.elements_read * weight_bytes + prompt * per_token
    decoded: float | None = None
    step_bytes: float | None = None
    if steps:
        first, last = (_step(model, writer, rows, prompt + places) for places in (1, steps))
        mean = (first.flops + last.flops) / 2
        step_bytes = first.elements_read * weight_bytes + per_token * (prompt + (1 + steps) / 2)
        flops, moved, decoded = flops + steps * mean, moved + steps * step_bytes, mean / rows
    return WritingCost(
        flops=flops,
        minimum_bytes=moved,
        prefill_flops_per_token=prefill.flops / (rows * prompt),
        decode_flops_per_token=decoded,
        decode_bytes_per_step=step_bytes,
    )


def _step(model: Generative, writer: Writer, rows: int, length: int) -> _Pass:
    """Of the token that is written to the last place of a cache of this length."""
    ids = torch.zeros(rows, 1, dtype=torch.int64)
    position = torch.full((1,), length - 1, dtype=torch.int64)
    return _counted(writer, "step", ids, position, torch.zeros(model.cache_size.shape(rows, length)))


def _counted(writer: Writer, method: str, *inputs: Tensor) -> _Pass:
    call = getattr(writer, method)
    with sdpa_kernel(SDPBackend.MATH), ModelFlops() as flops:
        call(*inputs)
    with Footprint(writer) as footprint:
        call(*inputs)
    return _Pass(flops.get_total_flops(), sum(footprint.elements_read(one) for one in writer.parameters()))
