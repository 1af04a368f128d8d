"""Llama by LoRA: only the updates are trained, published counts and names, MMLU by the likeliest letter."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from language_samples import dataset_spec, recipe, sample_spec
from mmlu_samples import write_samsum_mmlu
from safetensors.torch import save_file
from torch import nn

from models.datasets.base import DataError, evaluation_loader
from models.language.decoders.llama import Llama
from models.language.decoders.llama_lora import LlamaLora
from models.schedules import rate_factor
from models.weights import load_weights, read_weights


@pytest.fixture(scope="module")
def trainable() -> LlamaLora:
    torch.manual_seed(0)
    return LlamaLora(recipe("llama2_7b_finetune")).eval()


def base_model() -> Llama:
    """Our Llama without updates, of the same sizes."""
    case = recipe("llama2_7b_finetune")
    for name in ("lora_rank", "lora_alpha", "lora_dropout", "base_trained", "shots"):
        del case.architecture[name]
    return Llama(case).eval()


def test_published_counts() -> None:
    with torch.device("meta"):
        network = LlamaLora(recipe("llama2_7b_finetune", "reference")).network
    counts = Counter({True: 0, False: 0})
    for parameter in network.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    assert counts == {True: 4_194_304, False: 6_738_415_616}


def test_updates_are_those_of_the_paper(trainable: LlamaLora) -> None:
    """Hu et al. 2021, section 4.1: W + alpha / r B A on the query and value projections, nothing else changed."""
    torch.manual_seed(1)
    ours, base = LlamaLora(recipe("llama2_7b_finetune")).eval(), base_model()
    state = ours.network.state_dict()
    for name, tensor in state.items():
        if "lora_B" in name:
            nn.init.normal_(tensor, std=0.05)
    merged = {}
    for name in base.network.state_dict():
        layer, _, kind = name.rpartition(".")
        inside = f"base_model.model.{layer}"
        if layer.endswith(("q_proj", "v_proj")):
            a, b = state[f"{inside}.lora_A.default.weight"], state[f"{inside}.lora_B.default.weight"]
            merged[name] = state[f"{inside}.base_layer.{kind}"] + 32 / 8 * b @ a
        else:
            merged[name] = state[f"{inside}.{kind}"]
    base.network.load_state_dict(merged)
    batch = ours.synthetic_batch(2)
    with torch.no_grad():
        torch.testing.assert_close(ours.logits(batch), base.logits(batch), rtol=1e-4, atol=1e-5)


def test_a_step_changes_the_updates_alone() -> None:
    case = recipe("llama2_7b_finetune")
    case.architecture["base_trained"] = False
    trainable = LlamaLora(case).train()
    before = {name: tensor.clone() for name, tensor in trainable.network.state_dict().items()}
    optimizer, _ = trainable.configure_optimizer()
    trainable.loss(trainable.synthetic_batch(2)).backward()
    optimizer.step()
    changed = {name for name, tensor in trainable.network.state_dict().items() if not tensor.equal(before[name])}
    assert changed and all("lora_" in name for name in changed)
    assert {name.split(".")[-4] for name in changed} == {"q_proj", "v_proj"}


def test_loss_counts_every_token_but_the_first_of_a_sequence(trainable: LlamaLora) -> None:
    train: Any = trainable.datasets(sample_spec()).train
    batch = trainable.collate([train[0], train[1]])
    with torch.no_grad():
        log_probabilities = trainable.logits(batch).double().log_softmax(-1)
        ids = batch["input_ids"]
        by_hand = -log_probabilities[:, :-1].gather(-1, ids[:, 1:, None]).mean().item()
        assert trainable.loss(batch).item() == pytest.approx(by_hand, rel=1e-5)


def test_answers_are_the_likeliest_letters(trainable: LlamaLora) -> None:
    evaluation: Any = trainable.datasets(sample_spec()).evaluation
    metric = trainable.metrics["mmlu_accuracy"]
    hits = []
    with torch.no_grad():
        for number in range(20):
            example = evaluation[number]
            ids = torch.from_numpy(example.inputs[: example.tokens])[None]
            scores = trainable.network(input_ids=ids, use_cache=False).logits[0, -1]
            hits.append(max(range(4), key=lambda n: scores[example.letters[n]].item()) == example.answer)

        def measured(world: int, batch_size: int) -> float:
            metric.reset()
            for rank in range(world):
                share: dict[str, Any] = {"rank": rank, "world": world, "workers": 0, "limit": 20}
                for batch in evaluation_loader(evaluation, trainable.collate, batch_size=batch_size, **share):
                    trainable.evaluate(batch)
            return float(metric.compute())

        assert measured(1, 20) == measured(3, 4) == sum(hits) / 20


@pytest.mark.parametrize("older", [False, True])
def test_published_base_weights_go_under_the_updates(tmp_path: Path, older: bool) -> None:
    torch.manual_seed(2)
    base, ours = base_model(), LlamaLora(recipe("llama2_7b_finetune")).eval()
    weights = {name: tensor.contiguous() for name, tensor in base.network.state_dict().items()}
    if older:
        weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(16)
    save_file(weights, tmp_path / "model.safetensors")
    load_weights(ours.network, ours.initial_weights(read_weights(tmp_path)), path=tmp_path)
    batch = ours.synthetic_batch(2)
    with torch.no_grad():
        torch.testing.assert_close(ours.logits(batch), base.logits(batch))
    del weights["model.layers.1.self_attn.v_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match=r"1 missing \(\S+layers\.1\.self_attn\.v_proj\.base_layer\.weight"):
        load_weights(ours.network, ours.initial_weights(read_weights(tmp_path)), path=tmp_path)


def test_real_files_reach_loss_and_metric(tmp_path: Path) -> None:
    write_samsum_mmlu(tmp_path)
    case = recipe("llama2_7b_finetune")
    case.architecture |= {"sequence_length": 64, "shots": 5}
    trainable = LlamaLora(case).eval()
    data: Any = trainable.datasets(dataset_spec(tmp_path))
    assert len(data.evaluation) == 57 * 2
    with torch.no_grad():
        assert trainable.loss(trainable.collate([data.train[0], data.train[1]])).isfinite()
        trainable.evaluate(trainable.collate([data.evaluation[0], data.evaluation[113]]))
    assert float(trainable.metrics["mmlu_accuracy"].compute()) in (0.0, 0.5, 1.0)


def test_the_rate_falls_by_15_percent_after_each_epoch() -> None:
    training = recipe("llama2_7b_finetune", "reference").training
    epoch = training.steps_per_epoch(1)
    assert epoch == 3100
    rates = [rate_factor(training.schedule, step, epoch) for step in (0, 3099, 3100, 6200)]
    assert rates == pytest.approx([1.0, 1.0, 0.85, 0.85**2])


def test_the_target_is_far_above_the_best_constant_letter() -> None:
    case = recipe("llama2_7b_finetune")
    evaluation: Any = LlamaLora(case).datasets(sample_spec()).evaluation
    letters = Counter(evaluation[number].answer for number in range(len(evaluation)))
    best = letters.most_common(1)[0][1] / len(evaluation)
    assert best == 0.25
    assert case.training.quality.targets["mmlu_accuracy"] > 2 * best
