"""Llama: causal, shared key heads, perplexity over all tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from language_samples import dataset_spec, evaluate, recipe
from transformers import LlamaForCausalLM

from models.language.decoders.llama import Llama


@pytest.fixture(scope="module")
def trainable() -> Llama:
    torch.manual_seed(0)
    return Llama(recipe("llama2_7b")).eval()


@pytest.mark.parametrize("key_value_heads", [4, 2])
def test_attention_is_transformers_own(key_value_heads: int) -> None:
    case = recipe("llama2_7b")
    case.architecture["key_value_heads"] = key_value_heads
    torch.manual_seed(0)
    trainable = Llama(case).eval()
    other = LlamaForCausalLM._from_config(trainable.network.config, attn_implementation="eager").eval()
    other.load_state_dict(trainable.network.state_dict())
    ids = trainable.synthetic_batch(3)["input_ids"]
    with torch.no_grad():
        torch.testing.assert_close(trainable.network(input_ids=ids).logits, other(input_ids=ids).logits)


def test_head_and_embedding_are_apart(trainable: Llama) -> None:
    assert trainable.network.lm_head.weight is not trainable.network.model.embed_tokens.weight


def test_perplexity_is_over_tokens_not_batches(trainable: Llama) -> None:
    batches = [trainable.synthetic_batch(size) for size in (5, 1, 3)]
    with torch.no_grad():
        measured = evaluate(trainable, batches)["perplexity"]
        losses = []
        for batch in batches:
            logits = trainable.network(input_ids=batch["input_ids"]).logits.double().log_softmax(-1)
            losses += (-logits.gather(-1, batch["targets"][:, :, None])).flatten().tolist()
    assert len(losses) == 9 * 64
    assert measured == pytest.approx(np.exp(np.mean(losses)), rel=1e-5)


def test_loss_is_the_log_of_perplexity(trainable: Llama) -> None:
    batch = trainable.synthetic_batch(4)
    with torch.no_grad():
        loss = trainable.loss(batch).item()
        assert evaluate(trainable, [batch])["perplexity"] == pytest.approx(np.exp(loss), rel=1e-5)


def test_a_diverged_sequence_shows(trainable: Llama) -> None:
    metric = trainable.metrics["perplexity"]
    metric.reset()
    metric.update(torch.tensor([1.0, float("nan")]))
    metric.update(torch.tensor([1.0, 1.0]))
    assert metric.compute().isnan()


def test_flat_tokens_reach_the_loss(trainable: Llama, tmp_path: Path) -> None:
    np.save(tmp_path / "openwebtext_llama2_100M.npy", (np.arange(64 * 200 + 1) % 1000).astype(np.uint16))
    train, evaluation = trainable.datasets(dataset_spec(tmp_path))
    assert (len(train), len(evaluation)) == (198, 2)  # type: ignore[arg-type]
    batch = trainable.collate([train[1]])
    assert batch["input_ids"].tolist() == [list(range(64, 128))]
    assert batch["targets"].tolist() == [list(range(65, 129))]
    with torch.no_grad():
        assert trainable.loss(batch).isfinite()
