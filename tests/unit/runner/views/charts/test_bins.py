"""Thinning keeps extremes and edges."""

from __future__ import annotations

import pytest

from runner.views.charts.parts.bins import Observation, binned, histogram, shares


def points(*values: float) -> list[Observation]:
    return [Observation(x, y) for x, y in enumerate(values)]


def test_a_short_series_is_drawn_as_it_is() -> None:
    rows, size = binned([points(3, 1), points(5)], most=3)
    assert size == 1
    assert rows == [
        {"x": 0, "mean": 3, "low": 3, "high": 3},
        {"x": 1, "mean": 1, "low": 1, "high": 1},
        {"x": 0, "mean": 5, "low": 5, "high": 5},
    ]


def test_no_bin_spans_an_edge_and_no_extreme_is_lost() -> None:
    first, second = points(*[1.0] * 6, 99.0), [Observation(7 + place, 2.0) for place in range(5)]
    rows, size = binned([first, [], second], most=4)
    assert size == 3, "12 observations in at most 4 bins, and one more for each group"
    assert [(row["x"], row["low"], row["high"]) for row in rows] == [
        (1, 1, 1), (4, 1, 1), (6, 99, 99), (8, 2, 2), (10.5, 2, 2)
    ]  # fmt: skip


def test_a_mean_is_weighted() -> None:
    # 10 samples in 1 s, then 10 samples in 4 s: 20 samples in 5 s.
    rows, _ = binned([[Observation(1, 10.0, 1.0), Observation(5, 2.5, 4.0)]], most=1)
    assert rows == [{"x": 3, "mean": 4.0, "low": 2.5, "high": 10.0}]


def test_a_mean_of_equal_numbers_is_in_their_range() -> None:
    rows, _ = binned([[Observation(x, 0.1, 0.1) for x in range(7)]], most=1)
    assert rows[0]["low"] <= rows[0]["mean"] <= rows[0]["high"]


def test_nothing_is_no_row() -> None:
    assert binned([[], []]) == ([], 1)


def test_a_histogram_counts_everything() -> None:
    found = histogram([1.0, 1.5, 2.0, 2.5, 5.0], most=4)
    assert found.rows == [
        {"x": 1.0, "end": 2.0, "count": 2}, {"x": 2.0, "end": 3.0, "count": 2}, {"x": 3.0, "end": 4.0, "count": 0},
        {"x": 4.0, "end": 5.0, "count": 1},
    ]  # fmt: skip
    assert found.beyond == 0


def test_one_far_value_does_not_press_the_others_into_a_line() -> None:
    found = histogram([float(value) for value in range(10, 29)] + [5000.0], most=5)
    assert found.rows[-1]["end"] == 84.0, "three times the 90th percentile"
    assert found.beyond == 1 and sum(row["count"] for row in found.rows) == 20
    assert found.rows[-1]["count"] == 1


@pytest.mark.parametrize("value", [5.0, 0.0])
def test_equal_values_are_one_bar(value: float) -> None:
    found = histogram([value] * 3)
    assert [row["count"] for row in found.rows] == [3]
    assert found.rows[0]["x"] <= value < found.rows[0]["end"]


def test_shares_go_up_to_all() -> None:
    assert shares([30.0, 10.0, 20.0, 40.0]) == [
        {"x": 10, "share": 25}, {"x": 20, "share": 50}, {"x": 30, "share": 75}, {"x": 40, "share": 100}
    ]  # fmt: skip
    many = shares([float(value) for value in range(10_000)], most=100)
    assert len(many) == 100 and many[0] == {"x": 0, "share": 0.01} and many[-1] == {"x": 9999, "share": 100}
    assert all(row["share"] == pytest.approx((row["x"] + 1) / 100) for row in many), "points lie on the curve"
