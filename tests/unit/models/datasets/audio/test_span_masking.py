from __future__ import annotations

import numpy as np
import pytest

from models.datasets.audio.masking import distractors, frames_of, masked_frames


def hidden(rows: int, frames: int, seed: int = 0, share: float = 0.65, length: int = 10) -> np.ndarray:
    return masked_frames(np.random.default_rng(seed), rows=rows, frames=frames, share=share, length=length)


def test_about_half_of_the_frames_are_hidden() -> None:
    """65 in 1000 begin a span: a frame is hidden unless none of the ten before it does, 1 - 0.935^10 = 0.489."""
    shares = [hidden(1, 780, seed).shape[1] / 780 for seed in range(200)]
    assert np.mean(shares) == pytest.approx(0.489, abs=0.01)


def test_rows_hide_as_many_frames_as_the_one_that_hides_fewest() -> None:
    masked = hidden(20, 780)
    assert masked.shape[0] == 20 and 0.4 < masked.shape[1] / 780 < 0.489
    assert masked.min() >= 0 and masked.max() < 780 and (np.diff(masked, axis=1) > 0).all()
    assert not np.array_equal(masked[0], masked[1])


def test_one_row_is_spans_of_full_length() -> None:
    for seed in range(20):
        (masked,) = hidden(1, 200, seed)
        runs = np.split(masked, np.flatnonzero(np.diff(masked) > 1) + 1)
        assert min(len(run) for run in runs) >= 10


def test_the_number_of_spans_is_rounded_at_random() -> None:
    """6.5 % of 115 frames in spans of length 1 are 7.475 spans."""
    counts = [hidden(1, 115, seed, share=0.065, length=1).shape[1] for seed in range(400)]
    assert set(counts) == {7, 8} and np.mean(counts) == pytest.approx(7.475, abs=0.08)


@pytest.mark.parametrize("frames", [4, 5, 9, 10, 11, 12, 13, 49])
def test_short_utterances_have_two_spans_at_least(frames: int) -> None:
    for seed in range(20):
        masked = hidden(2, frames, seed)
        assert masked.shape[1] >= 2 and masked.max() < frames


def test_distractors_are_the_other_hidden_frames_alike_often() -> None:
    drawn = distractors(np.random.default_rng(0), rows=3, masked=5, count=20_000)
    assert drawn.shape == (3, 5, 20_000)
    for place in range(5):
        counts = np.bincount(drawn[:, place].ravel(), minlength=5)
        assert counts[place] == 0 and counts.sum() == 60_000
        assert np.delete(counts, place) == pytest.approx(15_000, rel=0.05)


def test_a_frame_is_20_ms() -> None:
    published = [(10, 5), *[(3, 2)] * 4, *[(2, 2)] * 2]
    assert frames_of(400, published) == 1 and frames_of(719, published) == 1 and frames_of(720, published) == 2
    assert frames_of(250_000, published) == 781
