"""Words and pieces of words by number, as fairseq keeps them in `dict.<language>.txt`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.datasets.language.tokens.token_stream import Tokens
from models.datasets.reading import Reader

PAD, END, UNKNOWN = 1, 2, 3
FAIRSEQ_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""The first four numbers of every fairseq dictionary; they do not stand in its file. 0 is never used in translation."""
PIECE = "@@ "
"""What subword-nmt leaves where it cut a word."""


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Symbols by number; `end` closes a sentence, `pad` fills a row up."""

    symbols: tuple[str, ...]
    pad: int = PAD
    end: int = END
    numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", {symbol: number for number, symbol in enumerate(self.symbols)})

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, pieces: Iterable[str]) -> Tokens:
        """Numbers of known symbols, and `end` after them."""
        return np.array([*(self.numbers[piece] for piece in pieces), self.end], dtype=np.int64)

    def text(self, numbers: Iterable[int]) -> str:
        """Symbols up to the first `end`, without padding, joined by spaces, cut words put together again."""
        symbols = []
        for number in numbers:
            if number == self.end:
                break
            if number != self.pad:
                symbols.append(self.symbols[number])
        return f"{' '.join(symbols)} ".replace(PIECE, "").rstrip()


def read_dictionary(path: Path, *, reader: Reader) -> Dictionary:
    """A fairseq dictionary: one `symbol count` a line, numbered from 4 on.

    Raises:
        DataError: the file is missing, empty or not UTF-8, a line has no count, or a symbol stands twice.
    """
    symbols = list(FAIRSEQ_SPECIAL)
    # Not `splitlines`: it breaks lines at rare symbols too.
    for number, line in enumerate(reader.text(path).removesuffix("\n").split("\n"), start=1):
        symbol, _, count = line.rpartition(" ")
        if not symbol or not (count.isascii() and count.isdigit()):
            raise reader.error(f"Line {number} is no symbol with its count", path)
        symbols.append(symbol)
    twice = [symbol for symbol, times in Counter(symbols).items() if times > 1]
    if twice:
        raise reader.error(f"{twice[0]!r} stands twice, or is a special symbol", path)
    return Dictionary(tuple(symbols))
