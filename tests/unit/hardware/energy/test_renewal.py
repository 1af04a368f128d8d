"""How often a counter is renewed, from readings of one whose renewal is known."""

import math
import random

import pytest

from hardware.energy.renewal import renewal_s


def readings(times_s, renewed_s):
    return [(t, None, 50.0 * math.floor(t / renewed_s)) for t in sorted(times_s)]


def test_read_often_it_is_the_time_between_changes():
    assert renewal_s(readings([0.02 * i + 0.001 for i in range(1000)], 0.1)) == pytest.approx(0.1)


def test_read_seldom_the_close_pairs_tell():
    """A reader of 1.5 s sees a change every time; marks beside its readings do not."""
    jitter = random.Random(1)
    times = [1.5 * i + 0.001 for i in range(40)]
    times += [t + jitter.uniform(0.01, 0.3) for t in times]
    assert 0.08 < renewal_s(readings(times, 0.1)) < 0.3


def test_read_seldom_without_close_pairs_it_is_the_readers_period():
    assert renewal_s(readings([1.5 * i + 0.001 for i in range(40)], 0.1)) == pytest.approx(1.5)


def test_a_counter_that_is_never_seen_standing_is_renewed_about_as_often_as_it_was_read():
    """A processor's is renewed every millisecond."""
    jitter = random.Random(1)
    times = [0.1 * i for i in range(200)]
    times += [t + jitter.uniform(0.004, 0.02) for t in times[::4]]
    assert renewal_s(readings(times, 0.001)) < 0.02


@pytest.mark.parametrize("samples", [[], [(0.0, 1.0, None)], [(0.0, None, 5.0), (1.0, None, 6.0), (2.0, None, 6.0)]])
def test_without_two_changes_nobody_knows(samples):
    assert renewal_s(samples) is None
