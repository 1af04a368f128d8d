"""The cosine of summed embeddings, against FlagPerf's definition text by text in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.datasets.language.tokens.next_token import IGNORED
from models.language.embedding_average import embedding_averages


def one_by_one(said: np.ndarray, targets: np.ndarray, embeddings: np.ndarray) -> list[float]:
    values = []
    for row, wanted in zip(said, targets, strict=True):
        first, second = np.zeros(embeddings.shape[1]), np.zeros(embeddings.shape[1])
        for token, target in zip(row, wanted, strict=True):
            if target != IGNORED:
                first, second = first + embeddings[token], second + embeddings[target]
        if np.linalg.norm(second) < 1e-11:
            continue
        if np.linalg.norm(first) < 1e-11:
            values.append(0.0)
            continue
        values.append(float(first @ second / np.linalg.norm(first) / np.linalg.norm(second)))
    return values


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_as_defined_with_padding_and_texts_that_add_up_to_nothing(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(12, 8, generator=generator).to(dtype)
    embeddings[0] = 0
    said, targets = torch.randint(1, 12, (2, 6, 10), generator=generator)
    targets[0, 4:] = IGNORED
    said[1] = 0  # says nothing: 0
    targets[2] = 0  # nothing is wanted: left out
    targets[3] = IGNORED  # nothing counts: left out
    targets[4] = said[4].flip(0)  # the same tokens in another order: 1
    found = embedding_averages(said, targets, embeddings)
    wanted = one_by_one(said.numpy(), targets.numpy(), embeddings.double().numpy())
    assert found.dtype == torch.float32 and len(wanted) == 4
    assert found.tolist() == pytest.approx(wanted, abs=1e-6)
    assert found[1] == 0 and found[2] == pytest.approx(1, abs=1e-6)
