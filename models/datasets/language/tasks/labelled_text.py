"""Texts with a class each, padded to one length."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from models.datasets.base import Batch
from models.datasets.language.tokens.token_stream import Tokens


class LabelledText(NamedTuple):
    """One text."""

    input_ids: Tokens
    """(length,), padding last."""
    tokens: int
    """Inputs that are not padding."""
    label: int
    """Its class, from 0."""


def labelled_batch(examples: list[LabelledText]) -> Batch:
    """Join texts of one length.

    Returns:
        int64 `input_ids` (batch, length) and `labels` (batch,); bool `attended` (batch, length), false at padding;
        `samples` and `tokens` as integers.
    """
    input_ids = torch.from_numpy(np.stack([example.input_ids for example in examples]))
    lengths = torch.tensor([example.tokens for example in examples])
    return {
        "input_ids": input_ids,
        "attended": torch.arange(input_ids.shape[1]) < lengths[:, None],
        "labels": torch.tensor([example.label for example in examples]),
        "samples": len(examples),
        "tokens": sum(example.tokens for example in examples),
    }


def random_labelled_batch(batch_size: int, length: int, *, vocabulary: int, classes: int) -> Batch:
    """The same with random ids and full length, on torch's default device."""
    return {
        "input_ids": torch.randint(vocabulary, (batch_size, length)),
        "attended": torch.ones(batch_size, length, dtype=torch.bool),
        "labels": torch.randint(classes, (batch_size,)),
        "samples": batch_size,
        "tokens": batch_size * length,
    }
