"""Two kinds of text on any machine: comments and code of Python's standard library, to be told apart."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from models.datasets.base import Datasets
from models.datasets.language.samples.text_sample import corpus_files, held_out, read_documents, text_sample
from models.datasets.language.tasks.labelled_text import LabelledText

LONG_STRINGS = re.compile(r"(\"\"\"|\'\'\').*?\1", re.DOTALL)
"""Docstrings above all; they are prose within code and belong to neither kind."""
COMMENTS = re.compile(r"(?m)^(?:[ \t]*#[^\n]*[A-Za-z][^\n]*\n){2,4}")
"""Two to four lines of nothing but a comment."""
CODE = re.compile(r"(?m)^(?:[ \t]*[A-Za-z][^\n#\"']*\n){2,4}")
"""Two to four lines without a comment or a string."""
MARKS = re.compile(r"[^A-Za-z]+")
"""What would give either away at a glance; words alone are left."""
SNIPPETS = {"train": 2000, "evaluation": 256}
"""Of each kind."""
CODE_LABEL, COMMENT_LABEL = 0, 1


class Snippets(Dataset[LabelledText]):
    """Encoded snippets, the two kinds in turns."""

    def __init__(self, texts: list[str], tokenizer: Any, length: int) -> None:
        """Encode texts, of which every second is a comment.

        Args:
            texts: words of a snippet.
            tokenizer: `tokenizers.Tokenizer` of word pieces.
            length: inputs per example; what is longer loses its end.
        """
        begin, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
        encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        self.ids = [np.array([begin, *one.ids[: length - 2], end], dtype=np.int64) for one in encoded]
        self.length = length

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> LabelledText:
        """One snippet."""
        ids = self.ids[index]
        padded = np.pad(ids, (0, self.length - len(ids)))
        return LabelledText(padded, len(ids), COMMENT_LABEL if index % 2 else CODE_LABEL)


def comment_or_code(cache: Path, *, length: int, vocabulary: int) -> Datasets:
    """Snippets of the standard library's files, to be told apart by their words; every tenth file is held out.

    Args:
        cache: where the tokenizer is kept.
        length: inputs per example.
        vocabulary: entries of the tokenizer.
    """
    tokenizer = text_sample(cache, "wordpiece", vocabulary).tokenizer
    files = corpus_files()
    parts = {
        "train": read_documents(path for path in files if not held_out(path)),
        "evaluation": read_documents(path for path in files if held_out(path)),
    }
    return Datasets(*(Snippets(_texts(parts[name], SNIPPETS[name]), tokenizer, length) for name in SNIPPETS))


def _texts(documents: Iterable[str], count: int) -> list[str]:
    """As many of one kind as of the other, in turns and mixed order."""
    kinds: tuple[list[str], list[str]] = ([], [])
    for document in documents:
        statements = LONG_STRINGS.sub("\n", document)
        for kind, pattern in zip(kinds, (CODE, COMMENTS), strict=True):
            kind += [MARKS.sub(" ", match) for match in pattern.findall(statements)]
    chosen = min(count, *map(len, kinds))
    for kind in kinds:
        random.Random(0).shuffle(kind)
    return [text for pair in zip(kinds[0][:chosen], kinds[1][:chosen], strict=True) for text in pair]
