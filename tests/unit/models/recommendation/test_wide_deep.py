"""Wide & deep: the network against a plain formula, and its three metrics by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from served_language import answered, first_batch, inferable


def test_the_logit_is_the_sum_of_both_parts() -> None:
    model, batch = inferable("wide_deep"), first_batch("wide_deep")
    values = {name: one.double().numpy() for name, one in model.network.state_dict().items()}
    (logits,) = answered("wide_deep", batch)
    dense, ids = batch["dense"].double().numpy(), batch["ids"].numpy()
    for row in range(len(ids)):
        places = [40 * column + int(one) for column, one in enumerate(ids[row])]
        wide = values["wide.weight"][places].sum() + values["wide_dense.weight"][0] @ dense[row]
        hidden = np.concatenate([dense[row], *(values["table.weight"][place] for place in places)])
        for layer in (0, 2):
            hidden = np.maximum(values[f"deep.{layer}.weight"] @ hidden + values[f"deep.{layer}.bias"], 0)
        deep = values["deep.4.weight"][0] @ hidden + values["deep.4.bias"][0]
        assert logits[row].item() == pytest.approx(wide + values["wide_dense.bias"][0] + deep, rel=1e-5, abs=1e-5)


def test_metrics_by_hand() -> None:
    model = inferable("wide_deep")
    for metric in model.metrics.values():
        metric.reset()
    model.score((torch.tensor([2.0, -1.0]).half(),), {"clicked": torch.tensor([1.0, 1.0])})
    model.score((torch.tensor([1.0, -3.0]).half(),), {"clicked": torch.tensor([0.0, 0.0])})
    found = {name: float(metric.compute()) for name, metric in model.metrics.items()}
    losses = [math.log1p(math.exp(-2)), math.log1p(math.exp(1)), math.log1p(math.exp(1)), math.log1p(math.exp(-3))]
    # Right are the first and the last; of four pairs of a click and none, (2, 1), (2, -3), (-1, -3) are in order.
    assert found == pytest.approx({"auc": 3 / 4, "accuracy": 2 / 4, "log_loss": sum(losses) / 4})
