"""A model that is counted on the host, by one row, costs what its whole request does: weights are read once for all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from language_samples import recipe

from models.costs.serving_account import ServingAccount, count_served
from models.language.questions.deberta import DebertaQuestionAnswering


def counted(rows: int) -> ServingAccount:
    model = recipe("deberta")
    assert model.infer is not None
    return count_served(
        DebertaQuestionAnswering, replace(model, infer=replace(model.infer, batch_size=rows)), weights_bytes=4
    )


def test_the_rows_of_a_request_share_its_weights() -> None:
    one, eight = counted(1), counted(8)
    assert DebertaQuestionAnswering.count_device == "cpu"
    assert (one.samples_per_request, eight.samples_per_request) == (1, 8)
    assert eight.flops_per_sample == one.flops_per_sample
    sizes = {name: one.numel() for name, one in DebertaQuestionAnswering(recipe("deberta")).named_parameters()}
    looked_up = sum(size for name, size in sizes.items() if "word_embeddings" in name)
    # Of the table of distances, from -64 to 63, those of 48 tokens are multiplied: -48 to 47.
    weights = 4 * (sum(sizes.values()) - looked_up - 32 * 64)
    # Of each token an id of int64 and a truth go in, two float32 scores come out.
    moved = one.minimum_bytes_per_sample - weights
    assert moved == 48 * (8 + 1 + 2 * 4)
    assert eight.minimum_bytes_per_sample == pytest.approx(weights / 8 + moved)
