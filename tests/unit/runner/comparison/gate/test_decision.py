"""The gate's test: exact numbers, and by simulation how often it cries wolf and how often it sleeps."""

import math

import numpy as np
import pytest

from runner.comparison.gate.decision import decide
from runner.comparison.gate.noise import RunNoise, learn, location

LIMIT = 0.97


def test_noise_of_repeats_alone():
    """One run of 100, 102: ln 1.02 = 0.0198026, variance 1.96072e-4; P = that / 2 repeats * (1 + 1/1); one degree."""
    found = learn([(100.0, 102.0)], [(100.0, 102.0)], count=2)
    assert found is not None
    assert found.variance == pytest.approx(1.96072e-4, rel=1e-4) and found.freedom == 1 and found.runs == 1


def test_runs_and_repeats_are_weighed_by_their_degrees_of_freedom():
    """Repeats without spread say 0 with weight 4; locations of ln 1, 1.01, 1.02 have 9.8049e-5, weight 2."""
    runs = [(1.0, 1.0, 1.0), (1.01, 1.01, 1.01), (1.02, 1.02, 1.02)]
    found = learn(runs, runs, count=3)
    assert found is not None and found.freedom == 6
    assert found.variance == pytest.approx(2 * 9.8049e-5 / 6, rel=1e-3)


def test_the_more_runs_are_known_the_less_is_assumed():
    """Four runs alike: S² = 0; s² = 1.96072e-4 of two repeats: P = s² / 2 * (1 + 1/4), 4 of 7 degrees."""
    runs = [(100.0, 102.0)] * 4
    found = learn(runs, runs, count=2)
    assert found is not None and found.freedom == 7
    assert found.variance == pytest.approx(4 * (1.96072e-4 / 2 * 1.25) / 7, rel=1e-4)


def test_single_measurements_tell_noise_only_between_runs():
    assert learn([(1.0,)], [(1.0,), (1.1,)], count=1) is None
    found = learn([(1.0,), (1.02,), (1.01,)], [(1.0,), (1.02,), (1.01,)], count=1)
    assert found is not None and found.freedom == 2


def test_runs_of_fewer_repeats_tell_nothing_of_runs_of_more():
    runs = [(1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (2.0,)]
    found = learn(runs, runs, count=3)
    assert found is not None and (found.runs, found.variance) == (2, 0.0)


@pytest.mark.parametrize(
    ("loss", "noise", "outcome"),
    [
        (0.02, 0.001, "pass"),  # inside what is allowed
        (0.031, 0.001, "fail"),
        (0.05, 0.005, "fail"),  # reach = t(0.9975; 10) * 0.005 * sqrt(2) = 3.5814 * 0.0070711 = 2.53 %
        (0.05, 0.012, "undecided"),  # reach 6.1 %
        (0.0, 0.012, "undecided"),  # 1.8125 * 0.012 * sqrt(2) = 3.08 % > 3.05 %: not quite ruled out
        (0.0, 0.011, "pass"),  # 2.82 %: it is
        (-0.1, 0.03, "pass"),  # so much better that a loss is ruled out
        (0.0, 0.03, "undecided"),
    ],
)
def test_outcomes(loss, noise, outcome):
    known = RunNoise(variance=noise**2, freedom=10, runs=5)
    found = decide(math.log1p(-loss), known, LIMIT, new_runs=1, baseline_runs=1)
    assert found.outcome == outcome
    assert found.ratio == pytest.approx(1 - loss)


def test_what_the_gate_can_see_is_told():
    """M = 0.02^2, one run against four: error = 0.0223607; t(0.9975; 10) = 3.5814, t(0.9; 10) = 1.3722."""
    found = decide(0.0, RunNoise(variance=4e-4, freedom=10, runs=5), LIMIT, new_runs=1, baseline_runs=4)
    assert found.smallest_loss == pytest.approx(1 - math.exp(-3.5814 * 0.0223607), abs=1e-5)
    assert found.mostly_seen == pytest.approx(1 - math.exp(-(3.5814 + 1.3722) * 0.0223607), abs=1e-5)


def outcomes(*, slower: float, baseline: int, sigma: float, tau: float, trials: int = 600):
    """Of simulated gates: runs of three repeats, each with a drift of `tau`, each repeat with noise `sigma`."""
    rng = np.random.default_rng(20261126)

    def run(shift: float = 0.0):
        return tuple(np.exp(rng.normal(0, tau) + rng.normal(0, sigma, 3) + shift))

    found = []
    for _ in range(trials):
        held, new = [run() for _ in range(baseline)], run(math.log1p(-slower))
        noise = learn(held, [*held, new], count=3)
        assert noise is not None
        difference = location(new) - float(np.mean([location(one) for one in held]))
        found.append(decide(difference, noise, LIMIT, new_runs=1, baseline_runs=baseline).outcome)
    return {outcome: found.count(outcome) / trials for outcome in ("pass", "fail", "undecided")}


@pytest.mark.parametrize("sigma", [0.004, 0.01, 0.03])
@pytest.mark.parametrize("baseline", [5, 10])
def test_it_does_not_cry_wolf(sigma, baseline):
    """Less than 0.5 % of gates, so that ten in a row pass in 95 of 100 rows; 600 gates tell no more than 1 %."""
    assert outcomes(slower=0.0, baseline=baseline, sigma=sigma, tau=sigma / 2)["fail"] <= 0.01


@pytest.mark.parametrize(("sigma", "baseline", "seen"), [(0.004, 1, 0.95), (0.01, 3, 0.85), (0.01, 5, 0.95)])
def test_it_does_not_sleep(sigma, baseline, seen):
    """A loss of 5 %, three repeats, a noise of 0.4 % or 1 % among them and half of that between runs."""
    assert outcomes(slower=0.05, baseline=baseline, sigma=sigma, tau=sigma / 2)["fail"] >= seen


def test_what_it_cannot_see_it_does_not_pass():
    found = outcomes(slower=0.05, baseline=5, sigma=0.03, tau=0.03)
    assert found["pass"] <= 0.05 and found["undecided"] >= 0.7
