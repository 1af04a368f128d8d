"""Chinese text in CPM's tokens, line by line, as FlagPerf's `cpm` reads it (TsinghuaAI's CPM-1-Finetune)."""

from __future__ import annotations

from array import array
from importlib import import_module
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from models.datasets.base import Datasets
from models.datasets.language.tokens.next_token import IGNORED, TokenExample
from models.datasets.language.tokens.token_stream import Tokens, check_vocabulary
from models.datasets.reading import Reader

VOCABULARY, MODEL = "bpe_3w_new/vocab.json", "bpe_3w_new/chinese_vocab.model"
LAYOUT = (
    f"<root>/train.txt and <root>/valid.txt, one text per line in UTF-8; <root>/{VOCABULARY} (token to id, with <pad> "
    f"and <eod>) and <root>/{MODEL} (sentencepiece)"
)
BLANKS = str.maketrans(" \n", "\u2582\u2583")
"""Stand-ins for blanks and line ends; sentencepiece would take them for its own boundaries between words."""


def cpm_datasets(root: Path, *, length: int, vocabulary: int, source: str) -> Datasets:
    """Both texts under `root`, encoded when they are opened.

    Raises:
        DataError: a file is missing or malformed, or an id is outside the vocabulary.
        ModuleNotFoundError: jieba or sentencepiece is not installed.
    """
    reader = Reader(expected=LAYOUT, source=source)
    for name in ("train.txt", "valid.txt", VOCABULARY, MODEL):
        if not (root / name).is_file():
            raise reader.error("No such file", root / name)
    tokenizer = CpmTokenizer(root, reader)
    parts = (Lines(root / name, tokenizer, reader, length, vocabulary) for name in ("train.txt", "valid.txt"))
    return Datasets(*parts)


class CpmTokenizer:
    """Words by jieba, pieces by sentencepiece: CPM's vocabulary was made of words cut so.

    Neither package is among the dependencies of this project; only this data set needs them.
    """

    def __init__(self, root: Path, reader: Reader) -> None:
        """Read the vocabulary.

        Raises:
            DataError: one of the files is missing or malformed.
            ModuleNotFoundError: jieba or sentencepiece is not installed.
        """
        jieba, sentencepiece = import_module("jieba"), import_module("sentencepiece")
        jieba.setLogLevel("WARNING")
        self.cut = jieba.cut
        ids = reader.json(root / VOCABULARY)
        with reader.reading(root / VOCABULARY, "Ids of <pad> and <eod> cannot be read"):
            self.padding, self.end = int(ids["<pad>"]), int(ids["<eod>"])
        with reader.reading(root / MODEL, "Not a model of sentencepiece"):
            self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(root / MODEL))

    def encode(self, text: str) -> list[int]:
        """Ids of a text and the end of it."""
        words = " ".join(word.translate(BLANKS) for word in self.cut(text, cut_all=False))
        return [*self.pieces.encode(words), self.end]


class Lines(Dataset[TokenExample]):
    """Texts cut into stretches that do not overlap; the last stretch of a text is padded.

    A line's end belongs to its text. Padding is seen by no counted place, and is nobody's target.
    """

    def __init__(self, path: Path, tokenizer: CpmTokenizer, reader: Reader, length: int, vocabulary: int) -> None:
        """Encode a file; ids are kept in four bytes each."""
        self.length, self.padding = length, tokenizer.padding
        ids, begins = array("i"), array("q", [0])
        with reader.reading(path, "Cannot be read as text"), path.open(encoding="utf-8-sig") as lines:
            for line in lines:
                encoded = tokenizer.encode(line)
                begins.extend(len(ids) + end for end in range(length + 1, len(encoded), length + 1))
                ids.extend(encoded)
                begins.append(len(ids))
        self.ids, self.begins = np.array(ids, dtype=np.int32), np.array(begins)
        if not len(self):
            raise reader.error("No text", path)
        check_vocabulary(np.append(self.ids, self.padding).astype(np.int64), vocabulary, path)

    def __len__(self) -> int:
        return len(self.begins) - 1

    def __getitem__(self, index: int) -> TokenExample:
        """One stretch."""
        found = self.ids[self.begins[index] : self.begins[index + 1]].astype(np.int64)
        ids: Tokens = np.full(self.length + 1, self.padding)
        ids[: len(found)] = found
        targets = np.where(ids[1:] == self.padding, IGNORED, ids[1:])
        return TokenExample(ids[:-1], targets, min(len(found), self.length))
