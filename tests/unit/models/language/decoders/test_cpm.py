"""CPM: Megatron's network in the library's words, recomputed layers, lines of text, what its metric is worth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cpm_samples
import pytest
import torch
from language_samples import dataset_spec, evaluate, recipe, sample_spec
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

from models.datasets.base import DataError
from models.language.decoders.cpm import Cpm
from models.language.embedding_average import embedding_averages
from models.schedules import rate_factor
from models.weights import load_weights, read_weights


def cpm(**architecture: Any) -> Cpm:
    torch.manual_seed(0)
    case = recipe("cpm")
    case.architecture |= architecture
    return Cpm(case)


def megatron_weights(
    layers: int = 2, hidden: int = 64, vocabulary: int = 1024, positions: int = 64
) -> dict[str, Tensor]:
    """A checkpoint in the published names and shapes, out (rows) by in (columns)."""
    shapes: dict[str, tuple[int, ...]] = {
        "word_embeddings.weight": (vocabulary, hidden),
        "position_embeddings.weight": (positions, hidden),
        "transformer.final_layernorm.weight": (hidden,),
        "transformer.final_layernorm.bias": (hidden,),
    }
    parts = {
        "attention.query_key_value": (3 * hidden, hidden),
        "attention.dense": (hidden, hidden),
        "mlp.dense_h_to_4h": (4 * hidden, hidden),
        "mlp.dense_4h_to_h": (hidden, 4 * hidden),
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    for layer in range(layers):
        for part, shape in parts.items():
            shapes[f"transformer.layers.{layer}.{part}.weight"] = shape
            shapes[f"transformer.layers.{layer}.{part}.bias"] = shape[:1]
    generator = torch.Generator().manual_seed(3)
    return {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def megatron_forward(weights: dict[str, Tensor], ids: Tensor, *, layers: int = 2, heads: int = 4) -> Tensor:
    """Megatron-LM's GPT-2 from its description: norms before each part, tanh GELU, masked scores, tied output."""
    w, length = weights, ids.shape[1]
    x = w["word_embeddings.weight"][ids] + w["position_embeddings.weight"][:length]
    hidden = x.shape[-1]

    def norm(x: Tensor, name: str) -> Tensor:
        return layer_norm(x, (hidden,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)

    def project(x: Tensor, name: str) -> Tensor:
        return linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    later = torch.ones(length, length).triu(1).bool()
    for layer in range(layers):
        at = f"transformer.layers.{layer}"
        mixed = project(norm(x, f"{at}.input_layernorm"), f"{at}.attention.query_key_value")
        query, key, value = (
            part.view(*part.shape[:2], heads, hidden // heads).transpose(1, 2) for part in mixed.chunk(3, dim=-1)
        )
        scores = (query @ key.transpose(-1, -2) / math.sqrt(hidden // heads)).masked_fill(later, -10000.0)
        context = (scores.softmax(-1) @ value).transpose(1, 2).reshape(x.shape)
        x = x + project(context, f"{at}.attention.dense")
        inner = gelu(project(norm(x, f"{at}.post_attention_layernorm"), f"{at}.mlp.dense_h_to_4h"), approximate="tanh")
        x = x + project(inner, f"{at}.mlp.dense_4h_to_h")
    return linear(norm(x, "transformer.final_layernorm"), w["word_embeddings.weight"])


@pytest.mark.parametrize("wrapped", [True, False])
def test_published_weights_give_megatrons_scores(tmp_path: Path, wrapped: bool) -> None:
    trainable = cpm().eval()
    weights = megatron_weights()
    torch.save({"model": weights, "iteration": 5} if wrapped else weights, tmp_path / "cpm_model_states_medium.pt")
    path = tmp_path / "cpm_model_states_medium.pt"
    load_weights(trainable.network, trainable.initial_weights(read_weights(path)), path=path)
    batch = trainable.synthetic_batch(3)
    with torch.no_grad():
        torch.testing.assert_close(
            trainable.logits(batch), megatron_forward(weights, batch["input_ids"]), rtol=1e-4, atol=1e-4
        )


def test_another_models_weights_are_refused(tmp_path: Path) -> None:
    trainable = cpm()
    weights = megatron_weights(layers=3)
    del weights["position_embeddings.weight"]
    with pytest.raises(DataError, match=r"1 missing \(transformer\.wpe\.weight .*12 unexpected \(transformer\.h\.2"):
        load_weights(trainable.network, trainable.initial_weights(weights), path=tmp_path)


def test_parameters_are_the_formulas() -> None:
    with torch.device("meta"):
        trainable = Cpm(recipe("cpm", "reference"))
    rows, positions, layers, hidden = 30000, 1024, 24, 1024
    wanted = (rows + positions) * hidden + layers * (12 * hidden**2 + 13 * hidden) + 2 * hidden
    assert sum(one.numel() for one in trainable.network.parameters()) == wanted == 334_080_000
    assert trainable.synthetic_batch(1)["input_ids"].shape == (1, 200)


def test_recomputed_layers_change_nothing_but_what_is_kept() -> None:
    losses, gradients, kept = [], [], []
    for recompute in (True, False):
        trainable = cpm(checkpoint_activations=recompute, dropout=0.3).train()
        torch.manual_seed(5)
        batch = trainable.synthetic_batch(4)
        sizes: list[int] = []

        def remember(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
            loss = trainable.loss(batch)
        kept.append(sum(sizes))
        loss.backward()
        losses.append(loss.item())
        gradients.append([one.grad.clone() for one in trainable.network.parameters() if one.grad is not None])
    assert losses[0] == losses[1] and kept[0] < 0.7 * kept[1]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_lines_reach_the_loss_and_padding_counts_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpm_samples.install(monkeypatch)
    trainable = cpm(sequence_length=8).eval()
    cpm_samples.write(tmp_path, "abc\nabcdefghijkl\n")
    train = trainable.datasets(dataset_spec(tmp_path)).train
    batch = trainable.collate([train[index] for index in range(3)])
    assert trainable.count(batch) == (3, 5 + 8 + 5)
    with torch.no_grad():
        scores = trainable.logits(batch).double()
        loss = trainable.loss(batch).item()
        measured = evaluate(trainable, [batch])["embedding_average"]
    counted = [4, 8, 4]
    losses = [
        float(scores[row, place].logsumexp(0) - scores[row, place, batch["targets"][row, place]])
        for row in range(3)
        for place in range(counted[row])
    ]
    assert loss == pytest.approx(sum(losses) / 16, rel=1e-5)
    said, embeddings = scores.argmax(-1), trainable.network.get_input_embeddings().weight.detach()  # type: ignore[operator]
    cosines = []
    for row, places in enumerate(counted):
        first = embeddings[said[row, :places]].sum(0)
        second = embeddings[batch["targets"][row, :places]].sum(0)
        cosines.append(float(torch.dot(first, second) / first.norm() / second.norm()))
    assert measured == pytest.approx(sum(cosines) / 3, rel=1e-5)


def test_the_published_recipe() -> None:
    schedule = recipe("cpm", "reference").training.schedule
    rates = [rate_factor(schedule, step) for step in (399, 799, 800, 2400, 3999)]
    published = [0.5, 1, 1, 1 - 1600 / 4000, 1 - 3199 / 4000]  # max(1 - (n - 800) / 4000, 0) after 800 steps of warm-up
    assert rates == pytest.approx(published)
    assert recipe("cpm", "reference").initial_weights and recipe("cpm").initial_weights is None


def test_target_is_above_the_best_constant_answer() -> None:
    trainable = cpm()
    evaluation: Any = trainable.datasets(sample_spec()).evaluation
    examples = [evaluation[index] for index in range(recipe("cpm").training.quality.samples or 0)]
    targets = trainable.collate(examples)["targets"]
    embeddings = trainable.network.get_input_embeddings().weight.detach()  # type: ignore[operator]
    sums = torch.stack([embeddings[row].sum(0) for row in targets])
    constant = torch.nn.functional.normalize(embeddings) @ torch.nn.functional.normalize(sums).T
    best = constant.mean(dim=1).max().item()
    token = int(constant.mean(dim=1).argmax())
    assert best == pytest.approx(
        embedding_averages(torch.full_like(targets, token), targets, embeddings).mean().item(), rel=1e-4
    )
    assert trainable.recipe.training.quality.targets["embedding_average"] > 1.5 * best > 0.15


def test_the_tiny_case_keeps_its_embeddings_so_that_they_cannot_drift_together() -> None:
    trainable = cpm()
    embeddings = trainable.network.get_input_embeddings().weight  # type: ignore[operator]
    trained = [one for group in trainable.configure_optimizer()[0].param_groups for one in group["params"]]
    assert len(trained) == len(list(trainable.network.parameters())) - 1
    assert all(one is not embeddings for one in trained)
    assert recipe("cpm", "reference").training.optimizer.groups == ()
