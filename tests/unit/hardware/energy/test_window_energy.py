"""Several segments as one window: what is added, and how many readings a figure needs."""

import pytest

from hardware.energy.energy import measure
from hardware.energy.window_energy import over_window


def segment(begin_s, end_s, readings, *, watts=100.0, **options):
    """Constant power, read so many times at even distances."""
    period_s = (end_s - begin_s) / readings
    samples = [(begin_s + i * period_s, watts, None) for i in range(readings)]
    return measure(samples, start_s=begin_s, end_s=end_s, scope="device", period_s=period_s, **options)


@pytest.mark.parametrize(("readings", "flags"), [(20, ()), (10, ()), (9, ("few_samples",)), (3, ("few_samples",))])
def test_fewer_than_ten_readings_are_said(readings, flags):
    window = over_window([segment(0, 30, readings)])
    assert (window.joules, window.mean_w, window.peak_w) == (pytest.approx(3000.0), pytest.approx(100.0), 100.0)
    assert (window.n_samples, window.flags) == (readings, flags)


@pytest.mark.parametrize("readings", [1, 2])
def test_fewer_than_three_readings_are_no_figure(readings):
    window = over_window([segment(0, 30, readings)])
    assert (window.joules, window.mean_w, window.peak_w, window.method) == (None, None, None, "none")
    assert f"read {readings} times" in window.reason


def test_segments_count_together():
    window = over_window([segment(0, 10, 6), segment(50, 60, 6, watts=300.0)])
    assert (window.joules, window.seconds, window.mean_w) == (pytest.approx(4000.0), 20.0, pytest.approx(200.0))
    assert (window.peak_w, window.n_samples, window.flags) == (300.0, 12, ())


def test_one_unknown_segment_makes_the_window_unknown():
    unknown = measure([], start_s=50, end_s=60, scope="device")
    window = over_window([segment(0, 10, 6), unknown])
    assert (window.joules, window.reason) == (None, "no energy counter was read; no power was sampled")


def test_a_counter_needs_its_edges_alone():
    counter = measure([(0.0, None, 10.0), (30.0, None, 3010.0)], start_s=0, end_s=30, scope="package")
    window = over_window([counter])
    assert (window.joules, window.method, window.flags) == (3000.0, "counter", ())


def test_what_holds_for_a_minor_part_is_not_said_of_the_window():
    assert over_window([segment(0, 30, 30), segment(40, 41, 2, watts=300.0)]).flags == ()
    assert over_window([segment(0, 3, 30), segment(40, 41, 10)]).flags == ("short_window",), "4 s together"
    assert over_window([segment(0, 3, 30), segment(40, 43, 30)]).flags == (), "6 s together"


def test_uncertainties_of_segments_add_by_their_squares():
    samples = [(round(0.1 * i, 1), None, 60.0 * i) for i in range(600)]
    parts = [measure(samples, start_s=t, end_s=t + 1.0, scope="device", period_s=0.1) for t in (5.0, 10.0, 15.0, 20.0)]
    window = over_window(parts)
    assert window.joules == pytest.approx(2400.0)
    assert (window.uncertainty_j, window.uncertainty) == (pytest.approx(120.0), pytest.approx(0.05))
    assert window.renewed_s == pytest.approx(0.1)
