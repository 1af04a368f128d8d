"""Energy arithmetic against profiles whose joules are known exactly."""

import math

import pytest

from hardware.energy.energy import EnergyReading, combine, measure
from hardware.energy.power import clean, hold_steps, peak_of_sum


def powers(*pairs):
    return [(time_s, watts, None) for time_s, watts in pairs]


def every(period_s, until_s, *, watts=None, joules=None, begin_s=0.0):
    """Samples on a grid; `watts` and `joules` are functions of time."""
    count = round((until_s - begin_s) / period_s) + 1
    times = [begin_s + i * period_s for i in range(count)]
    return [(t, watts and watts(t), joules and joules(t)) for t in times]


def device(samples, start_s, end_s, **options):
    return measure(samples, start_s=start_s, end_s=end_s, scope="device", **options)


def test_constant_power_integrates_exactly():
    reading = device(every(0.1, 10, watts=lambda t: 300.0), 0, 10, period_s=0.1)
    assert reading.joules == pytest.approx(3000.0, abs=1e-9)
    assert (reading.method, reading.flags, reading.reason) == ("integral", (), None)
    assert reading.coverage == pytest.approx(1.0, abs=1e-9)
    assert reading.mean_w == pytest.approx(300.0, abs=1e-9)
    assert reading.peak_w == 300.0
    assert (reading.n_samples, reading.period_s, reading.scope) == (101, 0.1, "device")


def test_power_that_never_changes_value_is_not_removed():
    # Tools that drop repeated values find 0 J here (facts: peers.md 2.3, item 4).
    assert device(powers((0, 300.0), (5, 300.0), (10, 300.0)), 0, 10, period_s=5).joules == 3000.0


def test_a_step_is_exact_under_the_hold_rule():
    reading = device(powers((0, 100.0), (5, 400.0)), 0, 10, period_s=5)
    assert reading.joules == 100 * 5 + 400 * 5
    assert reading.peak_w == 400.0


def test_the_value_before_the_window_holds_at_its_start_and_the_last_one_to_its_end():
    samples = powers((-0.5, 100.0), (2, 200.0), (7, 50.0), (10.5, 999.0))
    reading = device(samples, 0, 10, period_s=5)
    assert reading.joules == 100 * 2 + 200 * 5 + 50 * 3
    assert reading.peak_w == 200.0
    assert reading.n_samples == 2


def test_samples_may_come_in_any_order():
    samples = powers((7, 50.0), (-0.5, 100.0), (2, 200.0))
    assert device(samples, 0, 10, period_s=5).joules == 100 * 2 + 200 * 5 + 50 * 3


def test_a_stretch_before_the_first_sample_is_held_but_not_covered():
    reading = device(powers((2, 100.0), (4, 100.0), (6, 100.0), (8, 100.0)), 0, 10, period_s=2)
    assert reading.joules == 1000.0
    assert reading.coverage == pytest.approx(0.8)
    assert reading.flags == ("low_coverage",)


def test_a_gap_lowers_coverage_and_is_flagged():
    samples = every(0.1, 2, watts=lambda t: 100.0) + every(0.1, 10, watts=lambda t: 200.0, begin_s=5)
    reading = device(samples, 0, 10, period_s=0.1)
    assert reading.joules == pytest.approx(100 * 5 + 200 * 5)
    assert reading.coverage == pytest.approx((2 + 0.5 + 5) / 10)  # a value held for longer than 1/20 of 10 s is old
    assert reading.flags == ("low_coverage",)


def test_coverage_of_a_slow_sensor_follows_its_own_period():
    reading = device(powers(*((t, 70.0) for t in range(0, 61, 5))), 0, 60)
    assert reading.period_s == 5
    assert (reading.coverage, reading.flags, reading.joules) == (1.0, (), 4200.0)


def test_a_card_that_falls_off_the_bus_leaves_no_number():
    reading = device(every(0.1, 3, watts=lambda t: 250.0), 0, 10, period_s=0.1)
    assert reading.joules is None
    assert reading.mean_w is None
    assert reading.method == "none"
    assert "35%" in reading.reason  # 3 s of readings and half a second


def test_a_stale_value_from_before_the_window_is_no_peak():
    reading = device(
        [*powers((-20.0, 999.0)), *every(0.1, 10, begin_s=0.5, watts=lambda t: 100.0)], 0, 10, period_s=0.1
    )
    assert reading.peak_w == 100.0
    assert reading.coverage == pytest.approx(0.95)


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -5.0])
def test_a_value_that_is_no_measurement_counts_as_missing(bad):
    samples = powers((0, 100.0), (1, bad), (2, 100.0))
    reading = device(samples, 0, 3, period_s=1)
    assert reading.joules == 300.0
    assert reading.peak_w == 100.0


@pytest.mark.parametrize("samples", [[], powers((0, None), (5, None)), powers((11, 300.0))])
def test_no_power_and_no_counter_is_null_with_a_reason(samples):
    reading = device(samples, 0, 10)
    assert (reading.joules, reading.method, reading.coverage, reading.peak_w) == (None, "none", 0.0, None)
    assert reading.reason == "no energy counter was read; no power was sampled"


def test_a_short_window_is_flagged():
    assert device(every(0.1, 5, watts=lambda t: 10.0), 0, 4.9, period_s=0.1).flags == ("short_window",)
    assert device(every(0.1, 5, watts=lambda t: 10.0), 0, 5.0, period_s=0.1).flags == ()


@pytest.mark.parametrize("end_s", [0.0, -1.0])
def test_a_window_must_have_a_length(end_s):
    with pytest.raises(ValueError, match="must end after its start"):
        device([], 0.0, end_s)


def test_a_counter_is_read_at_both_edges():
    samples = [(0.0, None, 1000.0), (3.0, None, 1700.5), (10.0, None, 4000.25)]
    reading = device(samples, 0, 10)
    assert reading.joules == 3000.25
    assert (reading.method, reading.coverage, reading.flags) == ("counter", 1.0, ())
    assert reading.mean_w == 300.025
    assert reading.peak_w is None


def test_a_counter_between_two_readings_is_taken_from_their_line():
    samples = every(0.4, 12, joules=lambda t: 50.0 + 200.0 * t)
    assert device(samples, 1.1, 9.3, period_s=0.4).joules == pytest.approx(200.0 * 8.2, abs=1e-9)


@pytest.mark.parametrize(
    ("begin_s", "until_s", "edge"), [(2.0, 12.0, "at the window's start"), (0.0, 8.0, "at the window's end")]
)
def test_a_counter_without_a_reading_at_an_edge_is_not_used(begin_s, until_s, edge):
    samples = every(0.1, until_s, begin_s=begin_s, joules=lambda t: 100 * t, watts=lambda t: 100.0)
    reading = device(samples, 0.5, 10, period_s=0.1)
    assert reading.method == "integral"
    assert "counter_gap" in reading.flags
    alone = device([(t, None, joules) for t, _, joules in samples], 0.5, 10, period_s=0.1)
    assert alone.joules is None
    assert edge in alone.reason


def test_a_counter_reading_far_from_the_edge_is_not_used():
    samples = [(-30.0, None, 0.0), (5.0, None, 3500.0), (10.0, None, 4000.0)]
    reading = device(samples, 0, 10, period_s=1)
    assert reading.joules is None
    assert "near the window's edge" in reading.reason


def test_a_counter_that_wraps_is_continued():
    wrap_j = 1000.0
    samples = every(1, 30, joules=lambda t: (900.0 + 60.0 * t) % wrap_j)  # wraps at 1.67, 18.3 …
    reading = device(samples, 0, 30, energy_wrap_j=wrap_j)
    assert reading.joules == pytest.approx(1800.0, abs=1e-9)
    assert reading.method == "counter"


def test_a_wrap_that_could_have_gone_unseen_is_not_used():
    samples = [(0.0, None, 100.0), (100.0, None, 300.0)]
    reading = device(samples, 0, 100, energy_wrap_j=65_536.0)
    assert reading.joules is None
    assert "wrapped unseen" in reading.reason


@pytest.mark.parametrize("wrap_j", [None, 262_144.0])
def test_a_counter_that_was_reset_is_not_used(wrap_j):
    samples = every(1, 10, joules=lambda t: 5000.0 + 300 * t if t < 5 else 300 * (t - 5), watts=lambda t: 300.0)
    reading = device(samples, 0, 10, energy_wrap_j=wrap_j)
    assert (reading.joules, reading.method, reading.flags) == (3000.0, "integral", ("counter_reset",))
    alone = device([(t, None, joules) for t, _, joules in samples], 0, 10, energy_wrap_j=wrap_j)
    assert alone.joules is None
    assert "went down" in alone.reason


@pytest.mark.parametrize("end_s", [10.0, 2.0])
def test_a_stuck_counter_is_not_used(end_s):
    reading = device(every(0.5, 10, joules=lambda t: 777.0, watts=lambda t: 40.0), 0, end_s)
    assert (reading.joules, reading.method) == (40.0 * end_s, "integral")
    assert "counter_stuck" in reading.flags
    alone = device(every(0.5, 10, joules=lambda t: 777.0), 0, end_s)
    assert (alone.joules, alone.flags[0]) == (None, "counter_stuck")


@pytest.mark.parametrize(
    ("ratio", "method"),
    [(0.69, "integral"), (0.71, "counter"), (1.0, "counter"), (1.29, "counter"), (1.31, "integral")],
)
def test_a_counter_must_agree_with_power(ratio, method):
    samples = every(0.1, 10, joules=lambda t: ratio * 200 * t, watts=lambda t: 200.0)
    reading = device(samples, 0, 10, period_s=0.1)
    assert reading.method == method
    assert reading.joules == pytest.approx(2000.0 * (ratio if method == "counter" else 1.0), abs=1e-9)
    assert reading.flags == (() if method == "counter" else ("counter_disagrees",))
    assert reading.counter_over_integral == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("ratio", "joules", "flags"),
    [
        (0.5, 100.0, ("counter_unchecked",)),
        (2.0, 400.0, ("counter_unchecked",)),
        (0.2, 200.0, ("counter_disagrees", "short_window")),
        (5.0, 200.0, ("counter_disagrees", "short_window")),
        (1000.0, 200.0, ("counter_reset", "short_window")),
    ],
)
def test_a_short_window_judges_the_counter_in_a_wider_band(ratio, joules, flags):
    samples = every(0.1, 1.1, joules=lambda t: ratio * 200 * t, watts=lambda t: 200.0)
    reading = device(samples, 0, 1, period_s=0.1)
    assert reading.joules == pytest.approx(joules)  # the counter's, else the 200 J of 200 W in one second
    assert reading.flags == flags


def ticking(t):
    """A counter of 600 W that is renewed every 0.1 s, 30 ms after each tenth of a second."""
    return 60.0 * math.floor((t - 0.03) / 0.1 + 1e-9)


def test_a_counter_that_is_renewed_seldom_tells_how_uncertain_it_is():
    samples = every(0.1, 40, joules=ticking, watts=lambda t: 600.0)
    short = device(samples, 10.0, 11.0, period_s=0.1)
    assert (short.method, short.flags) == ("counter", ("counter_unchecked",))
    assert short.renewed_s == pytest.approx(0.1)
    assert short.uncertainty == pytest.approx(0.1)
    assert short.counter_over_integral is None, "one step is 10 %: it cannot be said to agree"
    long = device(samples, 5.0, 35.0, period_s=0.1)
    assert (long.flags, long.uncertainty) == ((), pytest.approx(0.1 / 30))
    assert long.counter_over_integral == pytest.approx(1.0, abs=0.01)


def test_the_stated_uncertainty_holds_wherever_the_window_lies():
    samples = every(0.1, 12, joules=ticking, watts=lambda t: 600.0)
    for i in range(50):
        start_s, end_s = 2 + 0.013 * i, 3.03 + 0.017 * i
        exact_j = 600.0 * (end_s - start_s)
        edges = [(t, 600.0, ticking(t)) for t in (start_s, end_s)]
        reading = device(samples + edges, start_s, end_s, period_s=0.1)
        assert reading.method == "counter"
        assert abs(reading.joules - exact_j) <= reading.uncertainty_j * 1.01


def test_power_at_rest_is_that_of_its_readings():
    # One step of the counter is a tenth of the second: it says 110 W, every reading of the power 100 W.
    samples = [(round(10 + 0.1 * i, 1), 100.0, 10.0 * i + (10.0 if i >= 5 else 0.0)) for i in range(-50, 51)]
    rest = device(samples, 10.0, 11.0, period_s=0.1, steady=True)
    assert (rest.method, rest.mean_w, rest.uncertainty_j) == ("integral", pytest.approx(100.0), None)
    assert device(samples, 10.0, 11.0, period_s=0.1).mean_w == pytest.approx(110.0)
    fine = every(0.1, 30, joules=lambda t: 101.0 * t, watts=lambda t: 100.0)
    assert device(fine, 5.0, 25.0, period_s=0.1, steady=True).method == "counter", "its step is 0.5 % of 20 s"
    counted = [(t, None, joules) for t, _, joules in samples]
    assert device(counted, 10.0, 11.0, period_s=0.1, steady=True).method == "counter"


def test_a_stretch_between_two_renewals_does_not_make_the_counter_stuck():
    samples = every(0.1, 12, joules=ticking, watts=lambda t: 600.0)
    edges = [(t, 600.0, ticking(t)) for t in (5.04, 5.06)]
    reading = device(samples + edges, 5.04, 5.06, period_s=0.1)
    assert (reading.method, reading.flags) == ("integral", ("short_window",))


def test_uncertainties_of_independent_sources_add_by_their_squares():
    one = device(every(0.1, 40, joules=ticking, watts=lambda t: 600.0), 10.0, 11.0, period_s=0.1)
    both = combine({"a": one, "b": one})
    assert both.uncertainty_j == pytest.approx(60.0 * math.sqrt(2))
    assert both.renewed_s == one.renewed_s


def test_a_counter_beside_power_with_gaps_says_that_it_was_not_checked():
    samples = every(1, 10, joules=lambda t: 100 * t) + every(1, 3, watts=lambda t: 100.0)
    reading = device(samples, 0, 10, period_s=1)
    assert (reading.joules, reading.flags) == (1000.0, ("counter_unchecked",))
    assert reading.counter_over_integral is None


def test_a_counter_a_thousand_times_too_high_is_not_believed_beside_gaps():
    samples = every(1, 10, joules=lambda t: 1e5 * t) + every(1, 3, watts=lambda t: 100.0)
    reading = device(samples, 0, 10, period_s=1)
    assert reading.joules is None
    assert "more than can be drawn" in reading.reason


def test_a_reset_is_no_wrap():
    # 200 W from a counter that was reset at 196,999 J: taken for a wrap, the step is 65,163 J in a tenth of a second.
    wrap_j = 262_144.0
    samples = every(0.1, 60, joules=lambda t: 191_000 + 200 * t if t < 30 else 200 * (t - 30))
    reading = measure(samples, start_s=0, end_s=60, scope="package", period_s=0.1, energy_wrap_j=wrap_j)
    assert (reading.joules, reading.flags) == (None, ("counter_reset",))
    assert "65,1" in reading.reason
    wraps = every(0.1, 60, joules=lambda t: (260_000 + 200 * t) % wrap_j)
    reading = measure(wraps, start_s=0, end_s=60, scope="package", period_s=0.1, energy_wrap_j=wrap_j)
    assert reading.joules == pytest.approx(12_000.0)


def test_a_sensor_that_says_0_w_is_no_sensor():
    reading = device(every(0.1, 10, watts=lambda t: 0.0), 0, 10, period_s=0.1)
    assert (reading.joules, reading.peak_w, reading.coverage) == (None, None, 0.0)
    counted = device(every(0.1, 10, watts=lambda t: 0.0, joules=lambda t: 300 * t), 0, 10, period_s=0.1)
    assert (counted.joules, counted.method) == (pytest.approx(3000.0), "counter")


def test_what_was_drawn_before_the_window_is_no_part_of_it():
    # At rest with 70 W until 2 s before the window, then 600 W: 30 s of 600 W are 18,000 J.
    def watts(t):
        return 70.0 if t < -2 else 600.0

    slow = [(t, watts(t), None) for t in (-13.0, -3.0, 7.0, 17.0, 27.0, 37.0)]
    reading = device(slow, 0, 30, period_s=1.5)
    assert reading.joules == 18_000.0
    assert reading.peak_w == 600.0
    at_edges = sorted([*slow, (0.0, 600.0, None), (30.0, 600.0, None)])
    assert device(at_edges, 0, 30, period_s=10.0).joules == 18_000.0
    often = [(t, watts(t), None) for t in (-1.4, *(0.1 + 1.5 * i for i in range(20)))]
    reading = device(often, 0, 30, period_s=1.5)
    assert (reading.joules, reading.flags) == (pytest.approx(18_000.0), ())


def test_a_value_is_known_for_one_period():
    reading = device(powers((0, 100.0), (1, 100.0), (2, 100.0), (8, 100.0), (9, 100.0)), 0, 10, period_s=1)
    assert reading.coverage == pytest.approx(0.5)
    assert reading.flags == ("low_coverage",)


def part(joules, *, scope="device", method="integral", **values):
    base = {"seconds": 10.0, "period_s": 0.1, "coverage": 1.0, "n_samples": 100, "peak_w": 50.0}
    mean_w = None if joules is None else joules / 10
    reason = "sensor broken" if joules is None else None
    return EnergyReading(joules=joules, scope=scope, method=method, mean_w=mean_w, reason=reason, **(base | values))


def test_devices_are_added_never_averaged():
    total = combine({"a": part(100.0, flags=("x",)), "b": part(300.0, coverage=0.96, period_s=1.0)}, peak_w=77.0)
    assert (total.joules, total.mean_w, total.seconds, total.peak_w) == (400.0, 40.0, 10.0, 77.0)
    assert (total.coverage, total.period_s, total.n_samples, total.flags) == (0.96, 1.0, 100, ("x",))
    assert total.method == "integral"


def test_peaks_of_different_moments_are_not_added():
    assert combine({"a": part(1.0), "b": part(1.0)}).peak_w is None
    assert combine({"a": part(1.0)}).peak_w == 50.0


def test_a_sum_of_counters_is_a_counter():
    assert combine({"a": part(1.0, method="counter"), "b": part(2.0, method="counter")}).method == "counter"
    assert combine({"a": part(1.0, method="counter"), "b": part(2.0)}).method == "integral"


def test_one_unknown_device_makes_the_sum_unknown_and_is_named():
    total = combine({"GPU-a": part(100.0), "GPU-b": part(None)})
    assert (total.joules, total.mean_w, total.method) == (None, None, "none")
    assert total.reason == "GPU-b: sensor broken"


@pytest.mark.parametrize("readings", [{"a": part(1.0), "n": part(5.0, scope="node")}, {}])
def test_scopes_are_never_mixed(readings):
    with pytest.raises(ValueError, match="one scope"):
        combine(readings)


def test_the_peak_of_a_sum_is_that_of_one_moment():
    one = hold_steps(clean(powers((0, 100.0), (4, 300.0), (6, 100.0))), start_s=0, end_s=10, period_s=5)
    two = hold_steps(clean(powers((0, 250.0), (5, 50.0))), start_s=0, end_s=10, period_s=5)
    assert peak_of_sum([one, two]) == 300.0 + 250.0
    two = hold_steps(clean(powers((0, 250.0), (4, 50.0))), start_s=0, end_s=10, period_s=5)
    assert peak_of_sum([one, two]) == 350.0
    assert peak_of_sum([one, []]) is None
    assert peak_of_sum([]) is None
