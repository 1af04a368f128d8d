"""CNN/DailyMail in T5's ids as FlagPerf's `create_train_eval_data.py` leaves it, of a few made-up texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WORDS = ["<pad>", "</s>", "<unk>", "a", "man", "bit", "dog", "."]


def arrays(examples: int = 3, *, source_length: int = 16, target_length: int = 20) -> dict[str, np.ndarray]:
    """Example n has 6 + n source tokens and 3 + n target tokens, ends included."""
    inputs, mask = np.zeros((2, examples, source_length), dtype=np.int64)
    labels = np.full((examples, target_length), -100, dtype=np.int64)
    for number in range(examples):
        inputs[number, : 5 + number] = 3 + np.arange(5 + number) % 4
        inputs[number, 5 + number] = 1
        mask[number, : 6 + number] = 1
        labels[number, : 2 + number] = 3 + np.arange(2 + number) % 4
        labels[number, 2 + number] = 1
    return {"input_ids": inputs, "attention_mask": mask, "labels": labels}


def write_summaries(root: Path, **changed: Any) -> None:
    """A `data.root` of t5_small; `changed` replaces arrays of the training part."""
    from tokenizers import Tokenizer, models

    (root / "dataset").mkdir(parents=True)
    (root / "model").mkdir()
    np.savez(root / "dataset/train_dataset.npz", allow_pickle=True, **(arrays() | changed))
    np.savez(root / "dataset/eval_dataset.npz", allow_pickle=True, **arrays(2))
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.save(str(root / "model/tokenizer.json"))
