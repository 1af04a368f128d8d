"""The moving average of weights, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from runner.frameworks.averaging import WeightAverage


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


def test_averages_of_narrow_weights_are_kept_in_float32() -> None:
    """2,000 steps from 1 to 2 at 0.999: 2 - 0.999^2000 = 1.8648; in bfloat16 every one of them is rounded away."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    average = WeightAverage(network, decay=0.999)
    nn.ModuleList([network, average]).to(torch.bfloat16)
    nn.init.constant_(network.weight, 2.0)
    for _ in range(1000):
        average.update(network)
    average.swap(network)
    assert network.weight.dtype == torch.bfloat16
    average.swap(network)
    assert network.weight.item() == 2.0
    for _ in range(1000):
        average.update(network)
    (kept,) = average.buffers()
    assert (kept.dtype, kept.item()) == (torch.float32, pytest.approx(2 - 0.999**2000, rel=1e-5))


def test_averages_follow_their_network_to_its_device() -> None:
    network = nn.Linear(1, 1)
    average = WeightAverage(network, decay=0.5).to("meta")
    assert {(kept.device.type, kept.dtype) for kept in average.buffers()} == {("meta", torch.float32)}
