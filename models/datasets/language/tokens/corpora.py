"""The corpora of the catalogue that are runs of token ids: in which form each is, and which part of it is held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from models.datasets.base import Datasets
from models.datasets.language.tokens import flat_tokens, megatron, paddle_tokens
from models.datasets.language.tokens.documents import Documents

MEGATRON_SPLIT = (949, 50, 1)
"""Documents to train on, to evaluate on, and left alone: what Megatron-LM's examples say."""
PADDLE_SPLIT = (998, 1, 1)
"""The same in FlagPerf's configurations of gpt3 and llama1."""


class ReadCorpus(Protocol):
    """How a corpus becomes sequences."""

    def __call__(self, root: Path, *, sequence_length: int, vocabulary: int, source: str) -> Datasets:
        """Sequences to train and to evaluate on; raises `DataError`."""
        ...


class Corpus(NamedTuple):
    """A form of token files."""

    layout: str
    read: ReadCorpus


def _split(read: Callable[..., Documents], shares: tuple[int, ...]) -> ReadCorpus:
    def read_split(root: Path, *, sequence_length: int, vocabulary: int, source: str) -> Datasets:
        documents = read(root, source=source)
        return documents.datasets(shares, sequence_length=sequence_length, vocabulary=vocabulary)

    return read_split


MEGATRON = Corpus(megatron.LAYOUT, _split(megatron.megatron_documents, MEGATRON_SPLIT))
PADDLE = Corpus(paddle_tokens.LAYOUT, _split(paddle_tokens.paddle_documents, PADDLE_SPLIT))
CORPORA = {
    "c4_llama3": Corpus(megatron.PAIRS_LAYOUT, megatron.megatron_pairs),
    "gpt_en_300m": PADDLE,
    "llama_openwebtext_100k": PADDLE,
    "openwebtext_llama2": Corpus(flat_tokens.LAYOUT, flat_tokens.flat_token_datasets),
}
"""By the catalogue's names."""


def find_corpus(name: str | None) -> Corpus:
    """The form of a corpus by its name in the catalogue; Megatron-LM's for a name that is not here."""
    return CORPORA.get(name or "", MEGATRON)
