"""Blocks of text as FlagPerf's `longformer` reads them: WikiText-2 in RoBERTa's tokens, packed into two `.npz`."""

from __future__ import annotations

from pathlib import Path

from models.datasets.base import Datasets
from models.datasets.language.masked.masking import MaskedBlocks, Masking, TextBlock
from models.datasets.language.tokens.npz_table import npz_columns
from models.datasets.language.tokens.token_stream import check_vocabulary
from models.datasets.reading import Reader

ARRAYS = ("input_ids", "special_tokens_mask", "attention_mask")
LAYOUT = (
    "<root>/dataset/train_dataset.npz and <root>/dataset/eval_dataset.npz, each with integer input_ids, "
    "special_tokens_mask and attention_mask (blocks, length); blocks are full: every attention_mask is 1"
)


def longformer_datasets(root: Path, masking: Masking, *, length: int, source: str) -> Datasets:
    """Both parts under `root`; tokens are hidden anew in every pass of training, and always the same in evaluation.

    Raises:
        DataError: a file is missing or damaged, lacks an array, or has another shape or type.
    """
    train, evaluation = (
        NpzBlocks(root / "dataset" / f"{part}_dataset.npz", length=length, vocabulary=masking.vocabulary, source=source)
        for part in ("train", "eval")
    )
    return Datasets(MaskedBlocks(train, masking, anew=True), MaskedBlocks(evaluation, masking, anew=False))


class NpzBlocks:
    """Blocks of one file."""

    def __init__(self, path: Path, *, length: int, vocabulary: int, source: str) -> None:
        self.path, self.vocabulary = path, vocabulary
        self.reader = Reader(expected=LAYOUT, source=source)
        self.columns = npz_columns(path, dict.fromkeys(ARRAYS, length), self.reader)

    def __len__(self) -> int:
        return self.columns["input_ids"].rows

    def __getitem__(self, index: int) -> TextBlock:
        """One block.

        Raises:
            DataError: the file cannot be read there, an id is outside the vocabulary, or the block is padded.
        """
        ids, special, attended = (self.columns[name].row(index) for name in ARRAYS)
        check_vocabulary(ids, self.vocabulary, self.path, f"Block {index}: token")
        if (attended != 1).any():
            raise self.reader.error(f"Block {index} has places that are not attended to", self.path)
        return TextBlock(ids, special != 0)
