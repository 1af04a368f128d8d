"""BERT-large on FlagPerf's text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from language_samples import dataset_spec
from served_language import inferable

from models.datasets.language.tokens.next_token import IGNORED

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ann", "has", "nuts", "."]


def test_it_is_scored_at_the_hidden_pieces_alone(tmp_path: Path) -> None:
    model = inferable("bert_large")
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
    (tmp_path / "eval.txt").write_text("Ann has nuts.\n" * 100)
    data: Any = model.evaluation_data(dataset_spec(tmp_path))
    batch = model.collate([data[index] for index in range(8)])
    targets = batch["targets"]
    scores = torch.zeros(*targets.shape, 512)
    right = targets.where(targets != IGNORED, torch.tensor(0))
    scores.scatter_(2, right[..., None], 1.0)
    hidden = (targets != IGNORED).nonzero()
    for row, place in hidden[: len(hidden) // 2].tolist():
        scores[row, place, 511] = 2.0
    model.metrics["mlm_accuracy"].reset()
    model.score((scores.half(),), batch)
    share = float(model.metrics["mlm_accuracy"].compute())
    assert share == pytest.approx(1 - (len(hidden) // 2) / len(hidden)) and 10 < len(hidden) < 60
    assert (batch["input_ids"][targets != IGNORED] == 4).all()
