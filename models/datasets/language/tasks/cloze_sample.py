"""Made-up cloze questions: who of those present is of a kind? Which names are of which kind must be learned."""

from __future__ import annotations

import numpy as np
from torch.utils.data import Dataset

from models.datasets.base import Datasets
from models.datasets.language.tasks.cloze import ClozeQuestion, Marks, cloze_question

MARKS = Marks(begin=1, mask=2, end=0, start_of_blank=3, end_of_blank=4)
KINDS, NAMES = 6, 48
"""Kinds, and names over all of them; a name is two tokens, and each token is in names of several kinds."""
SYLLABLES = 12
FIRST_KIND = MARKS.end_of_blank + 1
FIRST_SYLLABLE = FIRST_KIND + KINDS
FEWEST, MOST = 4, 8
"""Candidates of a question."""
TRAINING, EVALUATION = 20_000, 1_000


class ClozeSample(Dataset[ClozeQuestion]):
    """Questions of a fixed seed. In training the one right candidate comes first, as in ReCoRD's files."""

    def __init__(self, *, length: int, vocabulary: int, train: bool) -> None:
        assert vocabulary >= FIRST_SYLLABLE + SYLLABLES and length >= 2 * MOST + 8, "the sample needs more room"
        self.length, self.train = length, train
        drawn = np.random.default_rng(0).permutation(SYLLABLES**2)[:NAMES]
        self.names = [[FIRST_SYLLABLE + int(n) // SYLLABLES, FIRST_SYLLABLE + int(n) % SYLLABLES] for n in drawn]

    def __len__(self) -> int:
        return TRAINING if self.train else EVALUATION

    def __getitem__(self, index: int) -> ClozeQuestion:
        """One question: the names of all who are there, then "the [MASK] is a" and a kind.

        In evaluation, up to two are right.
        """
        generator = np.random.default_rng([index, self.train])
        kind = int(generator.integers(KINDS))
        rights = 1 if self.train else int(generator.integers(1, 3))
        numbers = np.arange(NAMES)
        inside = generator.choice(numbers[numbers % KINDS == kind], rights, replace=False)
        others = int(generator.integers(FEWEST, MOST + 1)) - rights
        outside = generator.choice(numbers[numbers % KINDS != kind], others, replace=False)
        present = [self.names[number] for number in (*inside, *outside)]
        order = range(len(present)) if self.train else generator.permutation(len(present)).tolist()
        told = generator.permutation(len(present)).tolist()
        return cloze_question(
            [token for number in told for token in present[number]],
            [FIRST_KIND + kind],
            [present[number] for number in order],
            [place for place, number in enumerate(order) if number < rights],
            marks=MARKS,
            length=self.length,
        )


def sample_questions(*, sequence_length: int, vocabulary: int) -> Datasets:
    """Questions to train and to evaluate on."""
    train, evaluation = (
        ClozeSample(length=sequence_length, vocabulary=vocabulary, train=part) for part in (True, False)
    )
    return Datasets(train, evaluation)
