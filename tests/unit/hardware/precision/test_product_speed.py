"""How a narrow type's products compare with float32's, on a device whose products take a set time."""

from __future__ import annotations

import pytest
import torch
from toy import ManualClock

from hardware.precision.product_speed import LEAST_S, time_to_float32

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("slower", "first_s", "order"),
    [(25.0, 0.01, 256), (0.5, 0.01, 256), (25.0, LEAST_S / 60, 1024), (1.0, 0.0, 2048)],
)
def test_the_ratio_is_that_of_equal_products(
    slower: float, first_s: float, order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, orders = ManualClock(), []

    def product(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        orders.append(len(one))
        seconds = 1e-6 + first_s * (len(one) / 256) ** 3
        # The first product of a kind prepares what the others find done.
        clock.advance(
            seconds * (1 if one.dtype == torch.float32 else slower) * (9 if orders.count(len(one)) == 1 else 1)
        )
        return one

    monkeypatch.setattr(torch.Tensor, "__matmul__", product)
    assert time_to_float32(torch.bfloat16, CPU, lambda: None, clock=clock) == pytest.approx(slower)
    assert max(orders) == order


def test_the_device_is_waited_for_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, queued = ManualClock(), [0.0]

    def product(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        queued[0] += 0.1 if one.dtype == torch.float32 else 0.3
        return one

    def synchronize() -> None:
        clock.advance(queued[0])
        queued[0] = 0.0

    monkeypatch.setattr(torch.Tensor, "__matmul__", product)
    assert time_to_float32(torch.float16, CPU, synchronize, clock=clock) == pytest.approx(3.0)


def test_a_real_product_is_timed() -> None:
    assert time_to_float32(torch.float32, CPU, lambda: None) > 0
