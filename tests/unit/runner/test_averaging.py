"""The moving average of weights, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from runner.frameworks.lightning.averaging import WeightAverage


def test_average_and_exchange() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    average = WeightAverage(network, decay=0.75)
    nn.init.constant_(network.weight, 5.0)
    average.update(network)  # 0.75 * 1 + 0.25 * 5
    average.swap(network)
    assert network.weight.item() == pytest.approx(2.0)
    average.swap(network)
    assert network.weight.item() == pytest.approx(5.0)


def test_statistics_of_normalisation_are_averaged_and_counters_are_not() -> None:
    network = nn.BatchNorm1d(1)
    average = WeightAverage(network, decay=0.5)
    network.running_mean = torch.tensor([4.0])
    average.update(network)
    average.swap(network)
    assert network.running_mean.tolist() == [2.0]
    assert sum(1 for _ in average.buffers()) == 4, "weight, bias, mean, variance"
