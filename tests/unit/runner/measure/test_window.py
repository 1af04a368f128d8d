"""Warm-up ends when the speed is steady or at a cap; the window is planned before it is run."""

import pytest

from runner.config.schema import WarmUp, WindowSpec
from runner.measure.window import WarmUpWatch, steps_for


def watch(**changes: float) -> WarmUpWatch:
    values = {"block_steps": 5, "blocks": 3, "tolerance": 0.05, "max_steps": 50, "max_s": 100.0} | changes
    return WarmUpWatch(spec=WarmUp(**values))  # type: ignore[arg-type]


def test_steady_needs_the_last_blocks_to_agree() -> None:
    seen = watch()
    for mean in (3.0, 1.0, 1.02):
        seen.add(mean, 5)
        assert not seen.steady
    seen.add(0.99, 5)
    assert seen.steady and seen.over and seen.reason is None


def test_drifting_speed_ends_at_the_cap_and_says_so() -> None:
    seen, mean = watch(), 1.0
    while not seen.over:
        seen.add(mean, 5)
        mean *= 0.8
    assert not seen.steady and seen.steps == 50
    assert (seen.reason or "").startswith("the last 3 blocks of 5 steps still differed by more than 5% after 50 steps")
    assert (seen.reason or "").endswith("when the cap of 50 steps ended warm-up")


def test_a_slow_model_ends_warm_up_by_time() -> None:
    seen = watch(max_s=20.0)
    seen.add(9.0, 5)
    assert seen.over and not seen.steady
    assert seen.reason == (
        "the cap of 20 s ended warm-up after 5 steps (45 s), with 1 of the 3 blocks of 5 steps by which steadiness is "
        "judged"
    )


def test_skipped_blocks_bring_the_cap_nearer_and_say_nothing_about_the_speed() -> None:
    seen = watch(max_steps=20)
    for _ in range(4):
        assert not seen.over
        seen.add(1.0, 5, no_speed=True)
    assert seen.over and not seen.steady and seen.steps == 20
    assert "the cap of 20 steps" in (seen.reason or "") and "with 0 of the 3 blocks" in (seen.reason or "")


def test_blocks_cut_short_by_evaluations_still_end_warm_up() -> None:
    seen = watch()
    for _ in range(3):
        seen.add(1.0, 2)
    assert seen.over and seen.steps == 6


WINDOW = WindowSpec(min_s=30.0, min_steps=50, max_s=600.0)


@pytest.mark.parametrize(
    ("step_s", "expected"),
    [(0.01, 3060), (1.0, 50), (100.0, 6)],
    ids=["fast: by time", "slow: by count", "very slow: capped by time"],
)
def test_steps_are_planned_from_the_expected_speed(step_s: float, expected: int) -> None:
    assert steps_for(WINDOW, step_s) == expected


def test_a_window_that_fell_short_goes_on_and_a_full_one_ends() -> None:
    assert steps_for(WINDOW, 0.1, done_steps=300, done_s=29.0) == 11
    assert steps_for(WINDOW, 0.1, done_steps=300, done_s=30.0) == 0
    assert steps_for(WINDOW, 1.0, done_steps=40, done_s=600.0) == 0
