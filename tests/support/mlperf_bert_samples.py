"""MLPerf BERT files of a few examples in the true format."""

from __future__ import annotations

from typing import Any

import numpy as np

SIZES: dict[str, Any] = {"sequence_length": 16, "predictions": 3, "vocabulary": 40, "source": "MLCommons"}


def arrays(examples: int, *, first: int = 0) -> dict[str, np.ndarray]:
    """Examples whose content tells their number; example n has 8 + n % 4 real tokens and 1 + n % 3 masked words."""
    numbers = np.arange(first, first + examples)
    lengths, masked = 8 + numbers % 4, 1 + numbers % 3
    places, slots = np.arange(16), np.arange(3)
    mask = (places < lengths[:, None]).astype("i4")
    counted = slots < masked[:, None]
    return {
        "input_ids": ((numbers[:, None] + places) % 40 * mask).astype("i4"),
        "input_mask": mask,
        "segment_ids": ((places >= 5) * mask).astype("i4"),
        "masked_lm_positions": ((slots + 2) * counted).astype("i4"),
        "masked_lm_ids": ((numbers[:, None] + slots + 1) % 40 * counted).astype("i4"),
        "next_sentence_labels": (numbers % 2).astype("i1"),
    }
