"""A text of words hidden behind `[MASK]`, cut into blocks: the evaluation of FlagPerf's inference case `bertLarge`."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from models.datasets.language.questions.pair_tokenizer import PairForm, read_tokenizer
from models.datasets.language.tokens.next_token import IGNORED, TokenExample
from models.datasets.language.tokens.token_stream import check_vocabulary
from models.datasets.reading import Reader

TEXT, FORM = "eval.txt", PairForm(kind="wordpiece")
LAYOUT = f"<root>/{TEXT}, a text, and <root>/vocab.txt or <root>/tokenizer.json of bert-large-uncased"
SEED = 0


class HiddenWords(Dataset[TokenExample]):
    """Blocks of the whole text's word pieces, one after another, each piece hidden by its own lot.

    As in FlagPerf's loader, lots are those of Python's generator from seed 0, a piece after the other, and `[CLS]`
    stands once, at the beginning of the text; what fills no block is left out. FlagPerf shows each block ten times,
    which changes no share: here it comes once.
    """

    def __init__(self, root: Path, *, length: int, share: float, mask_id: int, vocabulary: int, source: str) -> None:
        """Encode and hide.

        Args:
            root: holds the text and the tokenizer.
            length: pieces per block.
            share: probability with which a piece is hidden.
            mask_id: what stands in its place.
            vocabulary: ids must be below it.
            source: where the data set is to be had.

        Raises:
            DataError: a file is missing or malformed, or the text fills no block.
        """
        reader = Reader(expected=LAYOUT, source=source)
        text = reader.text(root / TEXT)
        tokenizer: Any = read_tokenizer(root, FORM, reader)
        pieces = np.array(tokenizer.encode(text, add_special_tokens=False).ids, np.int64)
        check_vocabulary(pieces, vocabulary, root / TEXT)
        draw = random.Random(SEED)
        hidden = np.array([draw.random() < share for _ in pieces], bool)
        ends = [tokenizer.token_to_id(one) for one in (FORM.begin, FORM.separator)]
        shown = np.where(hidden, mask_id, pieces)
        self.shown = np.concatenate([ends[:1], shown, ends[1:]])
        self.wanted = np.concatenate([[IGNORED], np.where(hidden, pieces, IGNORED), [IGNORED]])
        self.length = length
        if len(self) < 1:
            raise reader.error(f"{len(self.shown)} word pieces fill no block of {length}", root / TEXT)

    def __len__(self) -> int:
        return len(self.shown) // self.length

    def __getitem__(self, index: int) -> TokenExample:
        """One block."""
        block = slice(index * self.length, (index + 1) * self.length)
        return TokenExample(self.shown[block], self.wanted[block], self.length)
