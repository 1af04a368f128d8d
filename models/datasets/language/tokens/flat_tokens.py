"""One flat `.npy` of token ids, as FlagPerf's llama2_7b case reads OpenWebText."""

from __future__ import annotations

from pathlib import Path

from models.datasets.base import Datasets
from models.datasets.language.tokens.next_token import Sequences
from models.datasets.language.tokens.token_stream import open_npy
from models.datasets.reading import Reader

LAYOUT = "<root>/<name>.npy, the only one there: one dimension of integer token ids, documents one after another"
HELD_OUT = 0.01
"""Share of the sequences, at the end of the file, that is evaluated on instead of trained on."""


def flat_token_datasets(root: Path, *, sequence_length: int, vocabulary: int, source: str) -> Datasets:
    """Sequences of the one token file in `root`; its last 1 % is the evaluation set.

    Raises:
        DataError: none or several files, not integers, too few ids.
    """
    tokens = open_npy(Reader(expected=LAYOUT, source=source).only(root, ".npy"), source=source)

    def part(begin: float, end: float) -> Sequences:
        return Sequences(tokens, sequence_length=sequence_length, vocabulary=vocabulary, share=(begin, end))

    return Datasets(part(0.0, 1.0 - HELD_OUT), part(1.0 - HELD_OUT, 1.0))
