"""A decoder in transformers' form that writes: with a key-value cache of fixed size, held in one tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.generative import Writer


class StaticKeys:
    """What transformers' attention layers ask for as `past_key_values`: it keeps keys and values in a given tensor.

    In prefill a layer attends to its fresh keys alone, causally; in a step to all places of the cache, of which a mask
    hides what is not written yet.
    """

    is_compileable = True

    def __init__(self, cache: Tensor, position: Tensor | None) -> None:
        self.cache, self.position = cache, position

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write fresh keys and values (rows, heads, tokens, head size) of a layer; returns those to attend to."""
        keys, values = self.cache[layer, 0], self.cache[layer, 1]
        if self.position is None:
            keys[:, :, : key.shape[2]] = key.to(keys.dtype)
            values[:, :, : value.shape[2]] = value.to(values.dtype)
            return key, value
        keys.index_copy_(2, self.position, key.to(keys.dtype))
        values.index_copy_(2, self.position, value.to(values.dtype))
        return keys.to(key.dtype), values.to(value.dtype)

    def get_seq_length(self, *_: Any, **__: Any) -> int:
        """Not asked for where positions are given."""
        return 0


class CachedDecoder(Writer):
    """`network(input_ids=…, position_ids=…, attention_mask=…, past_key_values=…, logits_to_keep=1).logits`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def prefill(self, ids: Tensor, cache: Tensor) -> Tensor:
        """See `Writer`."""
        places = torch.arange(ids.shape[1], device=ids.device)[None]
        return self._next(ids, places, None, StaticKeys(cache, None))

    def step(self, ids: Tensor, position: Tensor, cache: Tensor) -> Tensor:
        """See `Writer`."""
        written = torch.arange(cache.shape[4], device=ids.device) <= position
        return self._next(ids, position[None], written[None, None, None], StaticKeys(cache, position))

    def _next(self, ids: Tensor, places: Tensor, mask: Tensor | None, keys: StaticKeys) -> Tensor:
        scores: Tensor = self.network(
            input_ids=ids,
            position_ids=places,
            attention_mask=mask,
            past_key_values=keys,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return scores[:, -1]


class LastLogits(nn.Module):
    """The network without a cache: ids (rows, length) to the scores after the last `count` tokens, after all with 0."""

    def __init__(self, network: nn.Module, count: int = 0) -> None:
        super().__init__()
        self.network, self.count = network, count

    def forward(self, ids: Tensor) -> tuple[Tensor]:
        """(rows, count, vocabulary)."""
        return (self.network(input_ids=ids, use_cache=False, logits_to_keep=self.count).logits,)
