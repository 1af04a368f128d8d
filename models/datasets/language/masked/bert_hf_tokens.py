"""OpenWebText in BERT's word pieces, as FlagPerf's `bert_hf` reads it: two flat token files."""

from __future__ import annotations

from pathlib import Path

from models.datasets.language.tokens.token_stream import TokenFile, open_npy
from models.datasets.reading import Reader

FILES = ("openwebtext_bert_100M.npy", "openwebtext_bert_10M.npy")
"""To train on, and to evaluate on."""
LAYOUT = "<root>/{} and <root>/{}, each one dimension of integer token ids of bert-large-uncased".format(*FILES)


def bert_hf_files(root: Path, *, source: str) -> tuple[TokenFile, TokenFile]:
    """The token ids to train and to evaluate on.

    Raises:
        DataError: a file is missing, or not a flat `.npy` of integers.
    """
    for name in FILES:
        if not (root / name).is_file():
            raise Reader(expected=LAYOUT, source=source).error("No such token file", root / name)
    train, evaluation = (open_npy(root / name, source=source) for name in FILES)
    return train, evaluation
