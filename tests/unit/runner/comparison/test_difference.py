import math
from dataclasses import replace
from pathlib import Path

import pytest
from report_samples import report

from runner.comparison.cost import with_cost
from runner.comparison.difference import difference
from runner.comparison.result import RunResult
from runner.comparison.sample import Sample, sample_of
from runner.record.report import Figure


def sample(*values: float) -> Sample:
    figure = Figure(value=sum(values) / len(values), unit="images/s", repeats=values)
    made = sample_of(figure, {})
    assert made is not None
    return made


def test_ratio_and_interval_are_welchs_on_the_log_scale():
    """By hand: s/m = 0.02 and 0.01, n = 3 each: variances 1.3333e-4 and 3.3333e-5, sum 1.6667e-4, error 0.012910; df =
    2.7778e-8 / (8.8889e-9 + 5.5556e-10) = 2.9412; t(0.975; 2.9412) = 3.2196; half = 0.041565."""
    found = difference(sample(98, 100, 102), sample(118.8, 120, 121.2), "higher")
    assert found.ratio == pytest.approx(1.2)
    assert found.freedom == pytest.approx(2.9412, abs=1e-4)
    assert found.interval == pytest.approx((1.2 * math.exp(-0.041565), 1.2 * math.exp(0.041565)), rel=2e-4)
    assert found.outcome == "better" and found.sure and found.counts == (3, 3)


def test_lower_is_better_turns_the_verdict_not_the_ratio():
    found = difference(sample(98, 100, 102), sample(118.8, 120, 121.2), "lower")
    assert (found.ratio, found.outcome) == (pytest.approx(1.2), "worse")
    assert difference(sample(98, 100, 102), sample(118.8, 120, 121.2), None).outcome == "changed"


def test_an_interval_that_holds_one_shows_no_difference():
    found = difference(sample(95, 100, 105), sample(96, 101, 106), "higher")
    assert found.outcome == "no difference shown" and not found.sure
    assert found.interval is not None and found.interval[0] < 1 < found.interval[1]


def test_measured_once_is_said():
    found = difference(sample(98, 100, 102), sample(300), "higher")
    assert (found.ratio, found.interval, found.outcome) == (3.0, None, "no interval")
    assert found.reason == "measured once: chance is not ruled out"


def test_equal_repeats_have_an_exact_ratio():
    assert difference(sample(100, 100), sample(110, 110), "higher").interval == pytest.approx((1.1, 1.1))
    assert difference(sample(100, 100), sample(100, 100), "higher").outcome == "no difference shown"


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_no_ratio_of_what_is_not_above_zero(value):
    found = difference(sample(1.0, 1.0), sample(value, value), "lower")
    assert (found.outcome, found.ratio) == ("not compared", None)


def test_a_bootstrap_needs_five_repeats():
    few = difference(sample(98, 100, 102), sample(118, 120, 122), "higher", "bootstrap")
    assert few.outcome == "no interval" and "needs 5 repeats" in (few.reason or "")
    five = difference(sample(98, 99, 100, 101, 102), sample(118, 119, 120, 121, 122), "higher", "bootstrap")
    assert five.outcome == "better" and five.interval is not None
    assert 1.17 < five.interval[0] < 1.2 < five.interval[1] < 1.23
    assert five == difference(sample(98, 99, 100, 101, 102), sample(118, 119, 120, 121, 122), "higher", "bootstrap")


def test_older_reports_tell_their_spread_by_interval_and_repeats():
    """t(0.975; 2) = 4.30265: a half width of 10 over three repeats is s = 10 / 4.30265 * sqrt(3) = 4.02559."""
    figure = Figure(value=500.0, unit="images/s", interval=(490.0, 510.0))
    found = sample_of(figure, {"repeats": 3})
    assert found is not None and found.count == 3 and found.deviation == pytest.approx(4.02559, abs=1e-4)
    alone = sample_of(figure, {"repeats": 1})
    assert alone is not None and alone.deviation is None
    assert sample_of(Figure(value=None, unit="s", reason="x"), report().case) is None


def test_the_ratio_of_costs_is_the_inverse_of_that_of_the_speeds():
    told = {"a": (100.0, 140.0, 60.0, 120.0, 80.0), "b": (100.0, 100.5, 99.5, 100.2, 99.8)}
    speeds = {
        name: Figure(value=100.0, unit="images/s", interval=(1.0, 2.0), repeats=values) for name, values in told.items()
    }
    costs = {
        name: with_cost(
            RunResult(report=replace(report(), figures={"throughput/steady": speed}), folder=Path(name)),
            2.0, "USD", "throughput/steady",
        ).report.figures["cost/per_million_samples"]
        for name, speed in speeds.items()
    }  # fmt: skip
    assert costs["a"].value == costs["b"].value == pytest.approx(2.0 / 0.36)
    speed, cost = (
        difference(*(sample_of(one[name], {"repeats": 5}) for name in ("a", "b")), better)
        for one, better in ((speeds, "higher"), (costs, "lower"))
    )
    assert (speed.ratio, cost.ratio) == (pytest.approx(1.0), pytest.approx(1.0))
    assert speed.interval == pytest.approx((1 / cost.interval[1], 1 / cost.interval[0]))
