"""Percentiles only where the data carry them; intervals only over repeats."""

import pytest

from runner.core.statistics import quantile, t_interval, variation


@pytest.mark.parametrize(("fraction", "least"), [(0.5, 2), (0.9, 10), (0.99, 100)])
def test_a_quantile_needs_one_expected_value_beyond_it(fraction: float, least: int) -> None:
    assert quantile([1.0] * (least - 1), fraction) is None
    assert quantile([1.0] * least, fraction) == 1.0


def test_quantiles_interpolate() -> None:
    assert quantile([4, 1, 3, 2], 0.5) == 2.5
    assert quantile([float(n) for n in range(101)], 0.99) == pytest.approx(99.0)


def test_variation_is_sample_deviation_over_mean() -> None:
    assert variation([1.0, 3.0]) == pytest.approx(2**0.5 / 2)
    assert variation([1.0]) is None


def test_t_interval_of_three_repeats_against_the_table() -> None:
    low, high = t_interval([9.0, 10.0, 11.0]) or (0, 0)
    half = 4.302653 / 3**0.5  # t(0.975, 2) from the table, times the standard error
    assert (low, high) == (pytest.approx(10 - half, rel=1e-6), pytest.approx(10 + half, rel=1e-6))
    assert t_interval([10.0]) is None
