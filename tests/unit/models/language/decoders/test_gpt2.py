"""GPT-2: causal, padded vocabulary, last words right only when all of their tokens are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from language_samples import dataset_spec, evaluate, recipe, sample_spec
from megatron_form import write_megatron
from transformers import GPT2LMHeadModel

from models.datasets.language.tokens.next_token import IGNORED
from models.language.decoders.gpt2 import Gpt2


@pytest.fixture(scope="module")
def trainable() -> Gpt2:
    torch.manual_seed(0)
    return Gpt2(recipe("gpt2")).eval()


def test_padded_vocabulary_is_megatrons() -> None:
    with torch.device("meta"):
        reference = Gpt2(recipe("gpt2", "reference"))
    assert reference.sizes.padded_vocabulary == 50304
    assert reference.network.lm_head.weight.shape == (50304, 1024)


def test_attention_is_transformers_own(trainable: Gpt2) -> None:
    other = GPT2LMHeadModel._from_config(trainable.network.config, attn_implementation="eager").eval()
    other.load_state_dict(trainable.network.state_dict())
    ids = trainable.synthetic_batch(3)["input_ids"]
    with torch.no_grad():
        torch.testing.assert_close(trainable.network(input_ids=ids).logits, other(input_ids=ids).logits)


def test_a_position_sees_only_what_came_before(trainable: Gpt2) -> None:
    ids = trainable.synthetic_batch(2)["input_ids"]
    changed = ids.clone()
    changed[:, 40:] = (changed[:, 40:] + 1) % 1000
    with torch.no_grad():
        before, after = (trainable.network(input_ids=given).logits for given in (ids, changed))
    torch.testing.assert_close(before[:, :40], after[:, :40])
    assert not torch.allclose(before[:, 40:], after[:, 40:])


def test_a_word_counts_when_all_its_tokens_are_right(trainable: Gpt2) -> None:
    """Targets are made from the network's own answers, then spoilt in chosen rows."""
    batch = trainable.synthetic_batch(8)
    with torch.no_grad():
        said = trainable.network(input_ids=batch["input_ids"]).logits.argmax(-1)
    targets = torch.full_like(said, IGNORED)
    targets[:, 30:33] = said[:, 30:33]
    targets[2, 30] = (targets[2, 30] + 1) % 1000
    targets[5, 31:33] = (targets[5, 31:33] + 1) % 1000
    with torch.no_grad():
        measured = evaluate(trainable, [batch | {"targets": targets}, batch | {"targets": targets}])
    assert measured == {"lambada_accuracy": pytest.approx(6 / 8)}


def test_sample_evaluation_is_held_out_text(trainable: Gpt2) -> None:
    train, evaluation = trainable.datasets(sample_spec())
    assert len(evaluation) == 1024  # type: ignore[arg-type]
    whole = train.tokens.read(0, train.tokens.length)  # type: ignore[attr-defined]
    windows = np.lib.stride_tricks.sliding_window_view(whole, 40)
    starts = np.flatnonzero(windows[:, 0] >= 0)
    found = 0
    for index in range(0, 1024, 64):
        example = evaluation[index]
        ids = example.inputs[example.tokens - 40 : example.tokens]
        candidates = starts[whole[: len(windows)] == ids[0]]
        found += bool((windows[candidates] == ids).all(axis=1).any())
    assert found <= 2  # some lines, such as licences, are in several files


def test_megatron_and_lambada_files_reach_loss_and_metric(trainable: Gpt2, tmp_path: Path) -> None:
    write_megatron(tmp_path / "lambada_train_text_document", [list(range(100, 300)), [7, 8, 9]])
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0, "b": 1, "\u0120": 2, "\u0120a": 3}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n\u0120 a\n", encoding="utf-8")
    (tmp_path / "lambada_test.json").write_text('{"text": "a b a"}\n{"text": "b a b"}\n')
    train, evaluation = trainable.datasets(dataset_spec(tmp_path))
    assert len(train) == 3  # type: ignore[arg-type]
    assert train[0].inputs.tolist() == list(range(100, 164))
    batch = trainable.collate([evaluation[0], evaluation[1]])
    assert batch["targets"][batch["targets"] != IGNORED].tolist() == [3, 2, 1]
    assert trainable.count(batch) == (2, 3 + 3)
    with torch.no_grad():
        assert evaluate(trainable, [batch])["lambada_accuracy"] in (0.0, 0.5, 1.0)
        assert trainable.loss(trainable.collate([train[0]])).isfinite()
