"""What wav2vec 2.0 draws for each utterance: which frames are hidden, and which others each of them is told from.

Drawn on the host, so that a training step never waits for the device. fairseq's way, `compute_mask_indices` (static
spans that may overlap) and `sample_negatives`; written from what they do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEWEST_SPANS = 2


def masked_frames(
    random: np.random.Generator, *, rows: int, frames: int, share: float, length: int
) -> NDArray[np.int64]:
    """Hidden frames (rows, masked) of utterances of one length, rising; every row has as many.

    As many spans are drawn as would hide `share` of the frames if none overlapped, at least two, each beginning
    somewhere else. Rows that then hide more than another give up some of their frames.
    """
    spans = max(FEWEST_SPANS, int(share * frames / length + random.random()))
    shortest = length if frames - length > spans else frames - spans - 1
    hidden = []
    for _ in range(rows):
        starts = random.choice(frames - shortest, spans, replace=False)
        places = np.unique(starts[:, None] + np.arange(length))
        hidden.append(places[places < frames])
    fewest = min(map(len, hidden))
    chosen = [places if len(places) == fewest else random.choice(places, fewest, replace=False) for places in hidden]
    return np.sort(np.stack(chosen), axis=1)


def distractors(random: np.random.Generator, *, rows: int, masked: int, count: int) -> NDArray[np.int64]:
    """For each hidden frame `count` others of the same utterance, with repetition: (rows, masked, count).

    They are given by their place among the hidden frames, 0 to `masked` - 1.
    """
    drawn = random.integers(0, masked - 1, (rows, masked, count))
    return np.asarray(drawn + (drawn >= np.arange(masked)[:, None]))


def frames_of(samples: int, kernels_and_strides: list[tuple[int, int]]) -> int:
    """Frames that convolutions without padding make of so many samples."""
    for kernel, stride in kernels_and_strides:
        samples = (samples - kernel) // stride + 1
    return samples
