"""Random choices about an example, such as where a clip is cut: new in every pass, the same again after a resume."""

from __future__ import annotations

import numpy as np


class Visit(int):
    """The index of an example, which also knows the seed of the run and the pass over the data it is visited in.

    Samplers of training data yield these. A dataset that makes no random choices takes it for the integer it is.
    """

    entropy: tuple[int, int]

    def __new__(cls, index: int, *entropy: int) -> Visit:
        """Index, then seed and pass; a bare copy, as pickle makes one, gets its `entropy` afterwards."""
        visit = super().__new__(cls, index)
        visit.entropy = (entropy[0], entropy[1]) if entropy else (0, 0)
        return visit


def generator_of(index: int) -> np.random.Generator:
    """Random numbers of (seed, pass, index); of the index alone where it is a plain integer, as in evaluation."""
    return np.random.default_rng([*getattr(index, "entropy", (0, 0)), int(index)])
