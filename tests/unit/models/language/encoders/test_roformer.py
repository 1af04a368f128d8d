"""RoFormer ranks pairs: two rows are one question."""

from __future__ import annotations

import pytest
import torch
from language_samples import recipe
from served_language import answered, first_batch, inferable
from zoo import model_class


def test_the_share_of_pairs_whose_first_row_scores_higher() -> None:
    model = inferable("roformer")
    model.metrics["accuracy"].reset()
    for scores in ([2.0, 1.0, 1.0, 2.0], [1.0, 1.0], [3.0, -3.0]):
        model.score((torch.tensor(scores).bfloat16(),), {})
    assert float(model.metrics["accuracy"].compute()) == 2 / 4  # equals are not ranked


@pytest.mark.parametrize(("field", "value"), [("batch_size", 3), ("samples", 5)])
def test_a_batch_must_not_split_a_pair(field: str, value: int) -> None:
    odd = recipe("roformer")
    setattr(odd.inference, field, value)
    with pytest.raises(ValueError, match="must be even"):
        model_class("roformer")(odd)


def test_padding_is_not_seen() -> None:
    """A row cut behind its last token scores the same."""
    batch = first_batch("roformer")
    row = int((batch["input_ids"] == 0).sum(dim=1).argmax())
    count = int((batch["input_ids"][row] != 0).sum())
    assert count < batch["input_ids"].shape[1]
    cut = {name: batch[name][row : row + 1, :count] for name in ("input_ids", "segment_ids")}
    (whole,), (alone,) = answered("roformer", batch), answered("roformer", cut)
    torch.testing.assert_close(whole[row : row + 1], alone)
