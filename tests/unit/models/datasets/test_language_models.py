"""What holds for all three language models: counts, meta device, precisions, batches, no wait for the device."""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest
import torch
from language_samples import dataset_spec, recipe, sample_spec
from language_trainables import build
from no_waiting import NoWaiting
from torch.utils.flop_counter import FlopCounterMode

from models.datasets.base import DataError, evaluation_loader

MODELS = ["bert", "gpt2", "llama2_7b"]


PARAMETERS = {"bert": 336_226_108, "gpt2": 354_871_296, "llama2_7b": 6_738_415_616}
"""BERT-large with both pre-training heads; Megatron-LM's 345M with 50304 rows; Llama-2-7B as published."""


def matmul_flops(model: str, trainable: Any) -> int:
    """Forward FLOPs of one sequence by hand: 2 per weight and token, 4 per hidden value and pair in attention."""
    sizes = trainable.sizes
    length, hidden = sizes.sequence_length, sizes.hidden
    attention = 4 * sizes.layers * hidden * length * length
    if model == "llama2_7b":
        block = 4 * hidden**2 + 3 * hidden * sizes.intermediate
        return int(2 * length * (sizes.layers * block + hidden * sizes.vocabulary) + attention)
    block = 4 * hidden**2 + 2 * hidden * sizes.intermediate
    if model == "gpt2":
        return int(2 * length * (sizes.layers * block + hidden * sizes.padded_vocabulary) + attention)
    words = sizes.predictions * (hidden**2 + hidden * sizes.vocabulary)
    return int(2 * (length * sizes.layers * block + words + hidden**2 + 2 * hidden) + attention)


@pytest.mark.parametrize("scale", ["tiny", "reference"])
@pytest.mark.parametrize("model", MODELS)
def test_parameters_and_flops_are_counted_on_the_meta_device(model: str, scale: str) -> None:
    with torch.device("meta"):
        trainable = build(model, scale)
        batch = trainable.synthetic_batch(2)
        with FlopCounterMode(display=False) as forward:
            loss = trainable.loss(batch)
        with FlopCounterMode(display=False) as backward:
            loss.backward()
    if scale == "reference":
        assert sum(parameter.numel() for parameter in trainable.network.parameters()) == PARAMETERS[model]
    assert loss.device.type == "meta"
    assert forward.get_total_flops() == 2 * matmul_flops(model, trainable)
    assert backward.get_total_flops() == pytest.approx(2 * forward.get_total_flops(), rel=1e-9)
    counts = trainable.count(batch)
    assert (counts.samples, counts.tokens) == (2, 2 * trainable.sizes.sequence_length)  # type: ignore[union-attr]


@pytest.mark.parametrize("model", MODELS)
def test_a_training_step_never_waits_for_the_device(model: str) -> None:
    trainable = build(model)
    train = trainable.datasets(sample_spec()).train
    batch = trainable.collate([train[index] for index in range(16)])
    with pytest.raises(AssertionError, match="waits"), NoWaiting():
        batch["input_ids"].sum().item()
    with NoWaiting():
        trainable.loss(batch).backward()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("model", MODELS)
def test_weights_of_half_precision_give_nearly_the_same_loss(model: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    trainable = build(model)
    batch = trainable.synthetic_batch(2)
    expected = trainable.loss(batch)
    trainable.to(dtype)
    loss = trainable.loss(batch)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=0.01)
    assert all(p.grad is not None and p.grad.dtype == dtype for p in trainable.network.parameters())
    assert all(bool(p.grad.isfinite().all()) for p in trainable.network.parameters() if p.grad is not None)


@pytest.mark.parametrize("model", MODELS)
def test_untrained_loss_is_that_of_a_blind_guess(model: str) -> None:
    torch.manual_seed(0)
    trainable = build(model)
    with torch.no_grad():
        loss = float(trainable.loss(trainable.synthetic_batch(16)))
    rows = getattr(trainable.sizes, "padded_vocabulary", trainable.sizes.vocabulary)  # type: ignore[arg-type]
    blind = math.log(rows) + (math.log(2) if model == "bert" else 0)
    assert loss == pytest.approx(blind, rel=0.06)


@pytest.mark.parametrize("model", MODELS)
def test_sample_and_synthetic_batches_are_alike(model: str) -> None:
    trainable = build(model)
    train, evaluation = trainable.datasets(sample_spec())
    synthetic = trainable.synthetic_batch(4)
    for data in (train, evaluation):
        batch = trainable.collate([data[index] for index in range(4)])
        assert batch.keys() == synthetic.keys()
        for name, value in synthetic.items():
            if isinstance(value, torch.Tensor):
                assert (batch[name].shape, batch[name].dtype) == (value.shape, value.dtype), name
        counts = trainable.count(batch)
        assert counts.samples == 4
        assert counts.tokens is not None
        assert 0 < counts.tokens <= 4 * trainable.sizes.sequence_length  # type: ignore[operator, union-attr]


@pytest.mark.parametrize("model", MODELS)
def test_metrics_do_not_depend_on_how_ranks_share_the_data(model: str) -> None:
    torch.manual_seed(0)
    trainable = build(model)
    evaluation = trainable.datasets(sample_spec()).evaluation
    name, metric = next(iter(trainable.metrics.items()))

    def measured(world: int) -> float:
        metric.reset()
        for rank in range(world):  # torchmetrics adds the ranks' states, so seeing all shares in turn is the same
            loader = evaluation_loader(
                evaluation, trainable.collate, batch_size=7, limit=30, rank=rank, world=world, workers=0
            )
            for batch in loader:
                trainable.evaluate(batch)
        return float(metric.compute())

    with torch.no_grad():
        assert measured(1) == pytest.approx(measured(3), rel=1e-6), name


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("change", "named"), [({"layer": 2}, "layer"), ({"layers": "two"}, "layers")])
def test_a_wrong_architecture_key_is_named(model: str, change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"(?m)^{named}$"):
        build(model, **change)


@pytest.mark.parametrize("model", MODELS)
def test_a_missing_architecture_key_is_named(model: str) -> None:
    case = recipe(model)
    del case.architecture["hidden"]
    module, name = case.implementations["pytorch"].rsplit(".", 1)
    with pytest.raises(ValueError, match=r"(?m)^hidden$"):
        getattr(importlib.import_module(module), name)(case)


@pytest.mark.parametrize("model", MODELS)
def test_the_real_data_set_needs_its_folder(model: str, tmp_path: Any) -> None:
    trainable = build(model)
    for root in (None, tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError) as refusal:
            trainable.datasets(dataset_spec(root))
        assert refusal.value.source == trainable.recipe.data_source


@pytest.mark.parametrize("model", MODELS)
def test_weight_decay_spares_biases_and_norms(model: str) -> None:
    decayed, spared = build(model).configure_optimizer()[0].param_groups
    assert {parameter.ndim for parameter in decayed["params"]} == {2} and decayed["weight_decay"] > 0
    assert {parameter.ndim for parameter in spared["params"]} == {1} and spared["weight_decay"] == 0
