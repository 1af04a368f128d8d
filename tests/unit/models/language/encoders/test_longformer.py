"""Longformer: the library's scores without its waits, windows that see no further, its data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import npz_samples
import numpy as np
import pytest
import torch
from language_samples import dataset_spec, recipe

from models.datasets.language.tokens import enwik8
from models.language.encoders.longformer import Longformer
from models.schedules import rate_factor


def longformer(**architecture: Any) -> Longformer:
    torch.manual_seed(0)
    case = recipe("longformer")
    case.architecture |= architecture
    return Longformer(case).eval()


@pytest.mark.parametrize("sizes", [{}, {"attention_window": 8, "padding_id": 1, "positions": 128, "heads": 4}])
def test_scores_and_gradients_are_the_librarys(sizes: dict[str, Any]) -> None:
    from transformers import LongformerForMaskedLM

    trainable = longformer(**sizes)
    library = LongformerForMaskedLM(trainable.network.config).eval()
    library.load_state_dict(trainable.network.state_dict())
    batch = trainable.synthetic_batch(3)
    batch["input_ids"][0, 5] = trainable.sizes.padding_id  # a random token may be any
    scores = library(input_ids=batch["input_ids"], attention_mask=torch.ones(3, 32, dtype=torch.long)).logits
    torch.testing.assert_close(trainable.logits(batch), scores)
    trainable.loss(batch).backward()
    torch.nn.functional.cross_entropy(scores.flatten(0, 1), batch["targets"].flatten()).backward()
    wanted = dict(library.named_parameters())
    for name, parameter in trainable.network.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, wanted[name].grad)
        else:
            assert "_global" in name and wanted[name].grad is None


def test_a_token_sees_half_a_window_to_either_side() -> None:
    trainable = longformer(layers=1, attention_window=8)
    batch = trainable.synthetic_batch(2)
    changed = batch["input_ids"].clone()
    changed[:, 20] = (changed[:, 20] + 1) % 500 + 1
    with torch.no_grad():
        before, after = (trainable.network(ids) for ids in (batch["input_ids"], changed))
    moved = (before - after).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == list(range(16, 25))


def test_every_trained_parameter_gets_a_gradient_and_the_rest_counts_too() -> None:
    trainable = longformer()
    trainable.loss(trainable.synthetic_batch(2)).backward()
    trained = [parameter for parameter in trainable.network.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None for parameter in trained)
    untrained = sum(p.numel() for p in trainable.network.parameters() if not p.requires_grad)
    assert untrained == 3 * 2 * (64 * 64 + 64)  # the three global projections of two layers


@pytest.mark.parametrize("change", [{"attention_window": 7}, {"attention_window": 24}])
def test_a_length_that_windows_do_not_fill_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be a multiple of attention_window"):
        longformer(**change)


def test_packed_blocks_reach_the_loss(tmp_path: Path) -> None:
    trainable = longformer(sequence_length=16, attention_window=8, vocabulary=64, mask_id=63)
    npz_samples.write_both(tmp_path, npz_samples.blocks())
    train = trainable.datasets(dataset_spec(tmp_path)).train
    batch = trainable.collate([train[index] for index in range(7)])
    assert trainable.count(batch) == (7, 7 * 16)
    assert torch.isfinite(trainable.loss(batch))


def test_enwik8_is_read_where_the_recipe_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enwik8, "PARTS", {"train": 320, "valid": 64, "test": 416})
    (tmp_path / "enwik8").write_bytes((np.arange(800) % 251).astype(np.uint8).tobytes())
    trainable = longformer()
    trainable.recipe.dataset = "enwik8"
    train, evaluation = trainable.datasets(dataset_spec(tmp_path))
    assert (len(train), len(evaluation)) == (10, 2)  # type: ignore[arg-type]
    assert trainable.layout == enwik8.LAYOUT and "mattmahoney" in trainable.recipe.data_source
    assert set(train[0].targets) <= {-100, *range(252)}


def test_the_published_recipe() -> None:
    training = recipe("longformer", "reference").training
    per_epoch = training.steps_per_epoch(8)
    assert per_epoch is not None
    rates = [rate_factor(training.schedule, round(epoch * per_epoch), per_epoch) for epoch in (0, 500, 1000)]
    assert rates == pytest.approx([1, 0.5, 0], abs=1e-3)
    decayed, spared = longformer().configure_optimizer()[0].param_groups
    assert decayed["weight_decay"] == 0.01 and spared["weight_decay"] == 0
    assert {parameter.ndim for parameter in spared["params"]} == {1}
