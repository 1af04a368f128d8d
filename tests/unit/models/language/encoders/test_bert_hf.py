"""BERT on masked tokens: the library's network, OpenWebText's files, pre-trained weights, the published recipe."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from language_samples import dataset_spec, recipe
from zoo import built

from models.datasets.base import DataError
from models.datasets.language.tokens.next_token import IGNORED
from models.language.encoders.bert_hf import BertMaskedLanguageModel
from models.schedules import rate_factor
from models.weights import InitialWeights, load_weights, read_weights


@pytest.fixture(scope="module")
def trainable() -> BertMaskedLanguageModel:
    torch.manual_seed(0)
    case = recipe("bert_hf")
    case.architecture["mixed"] = False  # as published
    return BertMaskedLanguageModel(case).eval()


def test_scores_are_transformers_own_with_everything_attended(trainable: BertMaskedLanguageModel) -> None:
    from transformers import BertForMaskedLM

    library = BertForMaskedLM._from_config(deepcopy(trainable.network.config), attn_implementation="eager").eval()
    library.load_state_dict(trainable.network.state_dict())
    batch = trainable.synthetic_batch(3)
    with torch.no_grad():
        whole = library(input_ids=batch["input_ids"], attention_mask=torch.ones(3, 32)).logits
        torch.testing.assert_close(trainable.logits(batch), whole)


def write(root: Path, train: int = 150, evaluation: int = 70) -> None:
    for name, count in (("openwebtext_bert_100M.npy", train), ("openwebtext_bert_10M.npy", evaluation)):
        np.save(root / name, np.arange(count, dtype=np.int64) % 500)


def test_files_are_cut_into_blocks_and_a_tenth_is_hidden(trainable: BertMaskedLanguageModel, tmp_path: Path) -> None:
    write(tmp_path)
    train, evaluation = trainable.datasets(dataset_spec(tmp_path))
    assert (len(train), len(evaluation)) == (4, 2)  # type: ignore[arg-type]
    for index in range(4):
        example = train[index]
        hidden = example.targets != IGNORED
        ids = np.where(hidden, example.targets, example.inputs)
        assert ids.tolist() == (np.arange(32 * index, 32 * (index + 1)) % 500).tolist()
        assert (example.inputs[hidden] == 4).all()
        assert train[index].inputs.tolist() == example.inputs.tolist()
    assert torch.isfinite(trainable.loss(trainable.collate([train[0], train[1]])))


@pytest.mark.parametrize("kind", ["absent", "float", "two dimensions", "rubbish", "short", "beyond"])
def test_a_bad_file_is_named(trainable: BertMaskedLanguageModel, tmp_path: Path, kind: str) -> None:
    write(tmp_path)
    victim = tmp_path / "openwebtext_bert_10M.npy"
    victim.unlink()
    if kind == "rubbish":
        victim.write_bytes(b"rubbish")
    elif kind != "absent":
        arrays = {
            "float": np.zeros(99),
            "two dimensions": np.zeros((9, 99), dtype=int),
            "short": np.zeros(31, dtype=int),
            "beyond": np.full(32, 512),
        }
        np.save(victim, arrays[kind])
    with pytest.raises(DataError) as refusal:
        evaluation = trainable.datasets(dataset_spec(tmp_path)).evaluation
        evaluation[0]
    assert refusal.value.where == str(victim)


def checkpoint(network: torch.nn.Module, *, old: bool) -> dict[str, torch.Tensor]:
    """What Hugging Face hosts, made of Google's checkpoint (old), or what `save_pretrained` writes."""
    weights = {name: tensor.clone() + 1 for name, tensor in network.state_dict().items()}
    del weights["cls.predictions.decoder.weight"], weights["cls.predictions.decoder.bias"]
    if not old:
        return weights
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in weights.items()
    }
    both = {"bert.pooler.dense.weight": (64, 64), "bert.pooler.dense.bias": (64,)}
    both |= {"cls.seq_relationship.weight": (2, 64), "cls.seq_relationship.bias": (2,)}
    return weights | {name: torch.zeros(shape) for name, shape in both.items()}


@pytest.mark.parametrize("old", [True, False])
def test_pretrained_weights_are_translated(tmp_path: Path, old: bool) -> None:
    trainable = built("bert_hf")
    before = {name: tensor.clone() for name, tensor in trainable.network.state_dict().items()}
    torch.save(checkpoint(trainable.network, old=old), tmp_path / "pytorch_model.bin")
    weights = trainable.initial_weights(read_weights(tmp_path))
    assert weights.may_lack == ()
    load_weights(trainable.network, weights, path=tmp_path)
    for name, tensor in trainable.network.state_dict().items():
        torch.testing.assert_close(tensor, before[name] + 1)


def test_another_models_weights_are_refused(tmp_path: Path) -> None:
    trainable = built("bert_hf")
    weights = checkpoint(trainable.network, old=True)
    weights["bert.embeddings.word_embeddings.weight"] = torch.zeros(9, 64)
    del weights["cls.predictions.bias"]
    translated = trainable.initial_weights(weights)
    assert isinstance(translated, InitialWeights)
    with pytest.raises(DataError, match=r"cls\.predictions\.bias.*of another shape.*word_embeddings"):
        load_weights(trainable.network, translated, path=tmp_path)


def test_the_published_recipe() -> None:
    case = recipe("bert_hf", "reference")
    training = case.training
    per_epoch = training.steps_per_epoch(8)
    assert per_epoch == pytest.approx(100_000_000 / 512 / 96, rel=1e-4)
    assert [
        rate_factor(training.schedule, step, per_epoch) for step in (0, round(1.5 * per_epoch), 6104)
    ] == pytest.approx([1, 0.5, 0], abs=1e-3)
    (group,) = BertMaskedLanguageModel(recipe("bert_hf")).configure_optimizer()[0].param_groups
    assert training.optimizer.decay == "all" and group["weight_decay"] == 0.01
    assert (case.architecture["masked_share"], case.architecture["mask_id"], case.architecture["mixed"]) == (
        0.1,
        103,
        False,
    )
    assert case.initial_weights and recipe("bert_hf").initial_weights is None
