"""What an answer costs that is written token by token, against formulas written out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from language_samples import recipe

from models.costs.serving_account import count_served
from models.inference import Generation
from models.language.decoders.chatglm2 import Chatglm2
from models.language.decoders.llama import Llama

PROMPT, NEW, ROWS, HIDDEN, LAYERS, WIDE, WORDS = 16, 8, 2, 128, 2, 344, 1024


def test_a_llamas_answer() -> None:
    """Prefill reads 16 tokens, of which the head sees one; seven steps attend to 17 to 23 tokens."""
    cost = count_served(Llama, recipe("llama2_7b"), weights_bytes=2)
    layer, head = 8 * HIDDEN**2 + 6 * HIDDEN * WIDE, 2 * HIDDEN * WORDS
    prefill = PROMPT * LAYERS * layer + LAYERS * 4 * PROMPT**2 * HIDDEN + head
    steps = sum(LAYERS * (layer + 4 * length * HIDDEN) + head for length in range(PROMPT + 1, PROMPT + NEW))
    assert cost.flops_per_sample == pytest.approx(prefill + steps, rel=1e-12)
    assert cost.writing is not None and cost.samples_per_request == ROWS
    assert cost.writing.prefill_flops_per_token == pytest.approx(prefill / PROMPT)
    assert cost.writing.decode_flops_per_token == pytest.approx(steps / (NEW - 1))
    # Every matrix and every norm is read once a step; the table of words is only looked up.
    weights = 2 * (LAYERS * (4 * HIDDEN**2 + 3 * HIDDEN * WIDE + 2 * HIDDEN) + HIDDEN + HIDDEN * WORDS)
    kept = 2 * 2 * LAYERS * HIDDEN * ROWS
    moved = [weights + kept * length for length in range(PROMPT + 1, PROMPT + NEW)]
    assert cost.writing.decode_bytes_per_step == pytest.approx(sum(moved) / len(moved))
    whole = weights + kept * PROMPT + sum(moved)
    assert cost.minimum_bytes_per_sample == pytest.approx(whole / ROWS)


def test_shared_heads_keep_less() -> None:
    """Two pairs of keys and values of size 32 for four heads: 2 x 2 layers x 2 x 32 numbers a token of each row."""
    model = recipe("chatglm2_6b")
    assert model.infer is not None
    costs = []
    for prompt in (16, 32):
        infer = replace(model.infer, generation=Generation(prompt_tokens=prompt, new_tokens=2))
        writing = count_served(Chatglm2, replace(model, infer=infer), weights_bytes=2).writing
        assert writing is not None and writing.decode_bytes_per_step is not None
        costs.append(writing.decode_bytes_per_step)
    assert costs[1] - costs[0] == pytest.approx(16 * ROWS * 2 * 2 * LAYERS * 2 * 32)


def test_integers_are_read_in_their_own_width() -> None:
    wide, narrow = (
        count_served(Llama, recipe("llama2_7b"), weights_bytes=2, served=served).writing for served in (None, "int4")
    )
    assert wide is not None and narrow is not None
    kept = 2 * 2 * LAYERS * HIDDEN * ROWS * (PROMPT + NEW / 2)
    assert wide.decode_bytes_per_step is not None and narrow.decode_bytes_per_step is not None
    assert narrow.decode_bytes_per_step - kept == pytest.approx((wide.decode_bytes_per_step - kept) / 4)


def test_an_answer_of_one_token_is_not_decoded() -> None:
    model = recipe("llama2_7b")
    assert model.infer is not None
    infer = replace(model.infer, generation=Generation(prompt_tokens=PROMPT, new_tokens=1))
    writing = count_served(Llama, replace(model, infer=infer), weights_bytes=2).writing
    assert writing is not None and writing.decode_bytes_per_step is None and writing.decode_flops_per_token is None
