"""Pairs of a source and a target sentence, and batches of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from models.datasets.base import Batch, Counts
from models.datasets.language.tokens.token_stream import Tokens
from models.datasets.language.translation.dictionary import END, PAD


class Pair(NamedTuple):
    """A sentence in two languages; the ids of both end with `END`."""

    source: Tokens
    target: Tokens
    reference: str | None = None
    """The target as people wrote it, on evaluation examples."""


def pair_batch(pairs: list[Pair]) -> Batch:
    """Join pairs, padded at their right.

    `source` (batch, longest source), `previous` and `target` (batch, longest target) int64: the decoder reads
    `previous`, which begins with `END` and lacks the last id, and says `target`; `tokens`, the ids of all targets
    without padding, as an integer; `references`, texts, where the pairs have them.
    """
    previous = [np.concatenate([pair.target[-1:], pair.target[:-1]]) for pair in pairs]
    batch: Batch = {
        "source": _padded([pair.source for pair in pairs]),
        "previous": _padded(previous),
        "target": _padded([pair.target for pair in pairs]),
        "tokens": sum(len(pair.target) for pair in pairs),
    }
    references = [pair.reference for pair in pairs if pair.reference is not None]
    return batch | ({"references": references} if references else {})


def random_pair_batch(batch_size: int, length: int, vocabulary: int) -> Batch:
    """The same with random words of full length, on torch's default device."""
    source, target = torch.randint(END + 2, vocabulary, (2, batch_size, length))
    end = torch.full((batch_size, 1), END)
    source, target = (torch.cat([words[:, 1:], end], dim=1) for words in (source, target))
    previous = torch.cat([end, target[:, :-1]], dim=1)
    return {"source": source, "previous": previous, "target": target, "tokens": batch_size * length}


def count_target_tokens(batch: Batch) -> Counts:
    """Target tokens, ends included and padding not: what fairseq's words per second count."""
    return Counts(samples=batch["tokens"], tokens=batch["tokens"])


def _padded(rows: list[Tokens]) -> Tensor:
    return pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True, padding_value=PAD)
