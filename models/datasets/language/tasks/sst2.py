"""SST-2, sentences of film reviews that praise or blame, in DistilBERT's tokens as FlagPerf packs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from models.datasets.base import Datasets
from models.datasets.language.tasks.labelled_text import LabelledText
from models.datasets.language.tokens.npz_table import npz_columns
from models.datasets.language.tokens.token_stream import check_vocabulary
from models.datasets.reading import Reader

LAYOUT = (
    "<root>/dataset/train_dataset.npz and <root>/dataset/eval_dataset.npz, each with integer input_ids and "
    "attention_mask (sentences, length) and label (sentences,), 0 or 1; idx and sentence are not read"
)
CLASSES = 2
PARTS = ("train", "eval")


def sst2_datasets(root: Path, *, length: int, vocabulary: int, source: str) -> Datasets:
    """Both parts under `root`.

    Raises:
        DataError: a file is missing or damaged, lacks an array, or has another shape or type.
    """
    return Datasets(
        *(ReviewSentences(part_of(root, part), length=length, vocabulary=vocabulary, source=source) for part in PARTS)
    )


def part_of(root: Path, part: str) -> Path:
    """The file of one of `PARTS`."""
    return root / "dataset" / f"{part}_dataset.npz"


class ReviewSentences(Dataset[LabelledText]):
    """The sentences of one file."""

    def __init__(self, path: Path, *, length: int, vocabulary: int, source: str) -> None:
        self.path, self.vocabulary = path, vocabulary
        self.reader = Reader(expected=LAYOUT, source=source)
        widths = {"input_ids": length, "attention_mask": length, "label": None}
        self.columns = npz_columns(path, widths, self.reader)

    def __len__(self) -> int:
        return self.columns["label"].rows

    def __getitem__(self, index: int) -> LabelledText:
        """One sentence.

        Raises:
            DataError: the file cannot be read there, or a value is outside its range; says which sentence.
        """
        ids, mask, label = (self.columns[name].row(index) for name in ("input_ids", "attention_mask", "label"))
        check_vocabulary(ids, self.vocabulary, self.path, f"Sentence {index}: token")
        tokens = int(np.count_nonzero(mask))
        if not tokens or not np.array_equal(mask, np.arange(len(mask)) < tokens):
            raise self.reader.error(f"Sentence {index}: attention_mask is not ones and then zeros", self.path)
        if not 0 <= label[0] < CLASSES:
            raise self.reader.error(f"Sentence {index}: label is {label[0]}, not 0 or 1", self.path)
        return LabelledText(ids, tokens, int(label[0]))
