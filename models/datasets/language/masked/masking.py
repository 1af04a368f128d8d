"""Single tokens hidden in blocks of text: once for all, as in FlagPerf's `bert_hf`, or anew in every pass (RoBERTa)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from models.datasets.base import DataError
from models.datasets.language.tokens.next_token import IGNORED, TokenExample
from models.datasets.language.tokens.token_stream import TokenFile, Tokens, check_vocabulary


class TextBlock(NamedTuple):
    """A stretch of text without padding."""

    ids: Tokens
    """(length,)"""
    special: NDArray[np.bool_]
    """(length,); true at places that are never hidden."""


class TextBlocks(Protocol):
    """Blocks of one length, read when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> TextBlock: ...


@dataclass(kw_only=True, slots=True, frozen=True)
class Masking:
    """How much is hidden, and behind what."""

    share: float
    """Probability with which a token is hidden, each by its own lot."""
    mask_id: int
    vocabulary: int
    """Ids that replace tokens at random are below it."""
    mixed: bool
    """Of the hidden tokens 80 % become `mask_id`, 10 % any id, 10 % stay (Devlin et al. 2018); otherwise all become
    `mask_id`."""

    def hide(self, block: TextBlock, generator: np.random.Generator) -> TokenExample:
        """What the model reads, and the hidden tokens as its targets; `IGNORED` everywhere else."""
        ids = block.ids
        hidden = (generator.random(len(ids)) < self.share) & ~block.special
        shown = np.full_like(ids, self.mask_id)
        if self.mixed:
            lot = generator.random(len(ids))
            others = generator.integers(self.vocabulary, size=len(ids))
            shown = np.where(lot < 0.8, shown, np.where(lot < 0.9, others, ids))  # noqa: PLR2004 - the published shares
        return TokenExample(np.where(hidden, shown, ids), np.where(hidden, ids, IGNORED), len(ids))


class MaskedBlocks(Dataset[TokenExample]):
    """Blocks with tokens hidden; which ones depends on the index alone, or is drawn anew whenever one is read."""

    def __init__(self, blocks: TextBlocks, masking: Masking, *, anew: bool) -> None:
        """Hide tokens of `blocks`.

        Args:
            blocks: what is read.
            masking: how much is hidden, and behind what.
            anew: draw from torch's random numbers at every reading. Loader processes and seeds differ there.
        """
        self.blocks, self.masking, self.anew = blocks, masking, anew

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> TokenExample:
        """One block."""
        drawn = [int(torch.randint(2**62, ()))] if self.anew else []
        return self.masking.hide(self.blocks[index], np.random.default_rng([index, *drawn]))


class FlatBlocks:
    """Blocks cut one after another from a token file; documents run on into one another, what is left over is lost."""

    def __init__(self, tokens: TokenFile, *, length: int, vocabulary: int, special: tuple[int, ...] = ()) -> None:
        """Blocks of a file.

        Args:
            tokens: where the ids are.
            length: tokens per block.
            vocabulary: ids must be below it.
            special: ids that are never hidden.

        Raises:
            DataError: there are too few ids for one block.
        """
        self.tokens, self.length, self.vocabulary, self.special = tokens, length, vocabulary, special
        if tokens.length < length:
            raise DataError(
                f"{tokens.length} tokens are too few for a block of {length}",
                where=tokens.path,
                expected=f"at least {length} token ids",
            )

    def __len__(self) -> int:
        return self.tokens.length // self.length

    def __getitem__(self, index: int) -> TextBlock:
        """One block.

        Raises:
            DataError: the file cannot be read there, or an id is outside the vocabulary.
        """
        start = index * self.length
        ids = self.tokens.read(start, start + self.length)
        check_vocabulary(ids, self.vocabulary, self.tokens.path, f"From token {start} on,")
        return TextBlock(ids, np.isin(ids, self.special))
