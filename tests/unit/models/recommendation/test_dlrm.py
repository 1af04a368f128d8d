"""DLRM-DCNv2: the network against loops over samples, its costs by hand, its optimizer, what its sample teaches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from language_samples import evaluate, recipe, sample_spec
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from torch import Tensor

from models.costs.account import count
from models.recommendation.dlrm import Dlrm
from models.schedules import rate_factor


def small(**architecture: Any) -> Dlrm:
    torch.manual_seed(0)
    case = recipe("dlrm")
    case.architecture |= {"rows": [5, 7, 4], "lookups": [3, 1, 2]} | architecture
    return Dlrm(case)


def by_hand(model: Dlrm, dense: Tensor, ids: Tensor) -> list[float]:
    """One sample after another, from the formulas: pooled rows, x0 (U V x + b) + x, and layers of max(0, W x + b)."""
    weights = {name: value.double().numpy() for name, value in model.network.state_dict().items()}

    def layers(part: str, x: np.ndarray, last: int) -> np.ndarray:
        for place in range(0, last + 1, 2):
            x = weights[f"{part}.{place}.weight"] @ x + weights[f"{part}.{place}.bias"]
            x = x if part == "top" and place == last else np.maximum(x, 0)
        return x

    logits = []
    for counts, row in zip(dense.double().numpy(), ids.tolist(), strict=True):
        places = np.split(np.array(row), np.cumsum(model.sizes.lookups)[:-1])
        pooled = [weights[f"tables.{i}.weight"][part].sum(axis=0) for i, part in enumerate(places)]
        x0 = x = np.concatenate([layers("bottom", counts, 2 * len(model.sizes.bottom) - 2), *pooled])
        for layer in range(model.sizes.cross_layers):
            low = weights[f"cross.down.{layer}.weight"] @ x
            x = x0 * (weights[f"cross.up.{layer}.weight"] @ low + weights[f"cross.up.{layer}.bias"]) + x
        logits.append(layers("top", x, 2 * len(model.sizes.top) - 2).item())
    return logits


def test_network_is_what_the_formulas_say() -> None:
    model = small()
    batch = model.synthetic_batch(6)
    batch["ids"][0] = torch.tensor([2, 2, 4, 6, 3, 0])  # a row that is looked up twice counts twice
    logits = by_hand(model, batch["dense"], batch["ids"])
    assert model.logits(batch).tolist() == pytest.approx(logits, rel=1e-4, abs=1e-6)
    clicks = batch["clicked"].tolist()
    loss = [math.log1p(math.exp(-logit if click else logit)) for logit, click in zip(logits, clicks, strict=True)]
    assert model.loss(batch).item() == pytest.approx(sum(loss) / 6, rel=1e-5)


def test_tables_begin_as_torchrecs() -> None:
    table = small(rows=[10_000, 7, 4]).network.tables[0].weight  # type: ignore[union-attr]
    assert float(table.detach().abs().max()) == pytest.approx(0.01, rel=1e-3)
    assert float(table.detach().std()) == pytest.approx(0.01 / 3**0.5, rel=0.01)  # type: ignore[operator]


def test_metrics_are_scikit_learns_whatever_the_batches() -> None:
    model = small()
    batch = model.synthetic_batch(50)
    scores, clicks = model.logits(batch).detach(), batch["clicked"]
    parts = [{name: value[first : first + 7] for name, value in batch.items()} for first in range(0, 50, 7)]
    measured = evaluate(model, parts)
    assert measured["auc"] == pytest.approx(roc_auc_score(clicks, scores), abs=1e-12)
    assert measured["log_loss"] == pytest.approx(log_loss(clicks, scores.sigmoid().double()), rel=1e-6)


def costs(**changes: Any) -> Any:
    case = recipe("dlrm", "reference")
    case.architecture |= changes
    return count(Dlrm, case, weights_dtype="float32", autocast_dtype=None)


def test_reference_costs_by_hand() -> None:
    """MLPerf's: 204,184,588 rows of 128; 214 ids a sample; lookups are no products."""
    dense = 13 * 512 + 512 * 256 + 256 * 128 + 3 * 2 * 27 * 128 * 512
    dense += 27 * 128 * 1024 + 1024 * 1024 + 1024 * 512 + 512 * 256 + 256
    biases = 512 + 256 + 128 + 3 * 27 * 128 + 1024 + 1024 + 512 + 256 + 1
    found = costs()
    assert found.parameters == 204_184_588 * 128 + dense + biases
    assert found.flops_forward_per_sample == 2 * dense
    assert found.flops_per_sample == 6 * dense - 2 * 13 * 512
    tensors = 26 + 2 * 3 + 3 * 3 + 2 * 5
    assert found.optimizer_state_bytes == 4 * (found.parameters + tensors)  # a sum for each, and how many steps
    rows = 8192 * 214
    assert found.gradient_bytes == 4 * (dense + biases) + rows * (4 * 128 + 8)
    # Of the tables nothing. The rest: weights for two passes, biases for one, gradients written and read, and weights
    # and sums read and written.
    least = 4 * (2 * dense + biases + 6 * (dense + biases)) / 8192
    assert found.minimum_bytes_per_sample == pytest.approx(least + found.input_bytes_per_sample, rel=0.01)
    assert found.input_bytes_per_sample == 4 * 13 + 8 * 214 + 4


def test_dense_gradients_are_as_large_as_the_tables() -> None:
    assert costs(sparse_gradients=False).gradient_bytes == costs().parameter_bytes


def test_sparse_gradients_train_the_same_weights() -> None:
    trained = []
    for sparse in (False, True):
        model = small(sparse_gradients=sparse)
        optimizer, _ = model.configure_optimizer()
        torch.manual_seed(1)
        for _ in range(3):
            batch = model.synthetic_batch(9)
            optimizer.zero_grad()
            model.loss(batch).backward()
            assert all(table.weight.grad.is_sparse == sparse for table in model.network.tables)  # type: ignore[union-attr]
            optimizer.step()
        trained.append(torch.cat([weight.flatten() for weight in model.network.parameters()]))
    assert torch.allclose(*trained, atol=1e-6)


def test_recipe_is_mlperfs() -> None:
    train = recipe("dlrm", "reference").training
    assert train.batch_size * 8 == 65536
    assert train.quality.every_samples == 4_195_197_692 // (65536 * 20) * 65536
    model = small()
    model.recipe.training.optimizer = train.optimizer
    (group,) = model.configure_optimizer()[0].param_groups[:1]
    assert type(model.configure_optimizer()[0]) is torch.optim.Adagrad
    assert (group["lr"], group["eps"], group["initial_accumulator_value"]) == (0.004, 1e-8, 0)
    assert rate_factor(train.schedule, 0) == rate_factor(train.schedule, 64_000) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lookups": [1]}, "1 numbers for 3 tables"),
        ({"bottom": [8]}, "must end in the width of the tables"),
        ({"top": [8, 2]}, "must end in 1"),
        ({"row": [1]}, "(?m)^row$"),
    ],
)
def test_a_wrong_architecture_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        small(**change)


def test_target_of_the_sample_is_beyond_what_the_dense_features_tell() -> None:
    model = Dlrm(recipe("dlrm"))
    train, evaluation = (data.clicks for data in model.datasets(sample_spec()))  # type: ignore[attr-defined]
    simple = LogisticRegression().fit(train.dense, train.clicked)
    reached = roc_auc_score(evaluation.clicked, simple.decision_function(evaluation.dense))
    assert 0.55 < reached < model.recipe.training.quality.targets["auc"] - 0.2
    assert not (train.dense[:1] == evaluation.dense).all(axis=1).any()
