"""WMT14 English to German as NVIDIA's and FlagPerf's `run_preprocessing.sh` leave it: fairseq's binarised sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from models.datasets.language.tokens.token_stream import Tokens, check_vocabulary
from models.datasets.language.translation.dictionary import END, PAD, Dictionary, read_dictionary
from models.datasets.language.translation.fairseq_index import Sentences, read_sentences
from models.datasets.language.translation.pairs import Pair
from models.datasets.reading import Reader

SOURCE, TARGET = "en", "de"
REFERENCES = "test.raw.de"
LAYOUT = (
    "<root>/{train,test}.en-de.{en,de}.{bin,idx}, <root>/dict.{en,de}.txt (the same dictionary twice) and "
    f"<root>/{REFERENCES} (a line for each test sentence)"
)


class SentencePairs(Dataset[Pair]):
    """Pairs of one split; those with more than `longest` ids in a language are left out of the training split."""

    def __init__(
        self,
        source: Sentences,
        target: Sentences,
        *,
        vocabulary: int,
        longest: int,
        references: list[str] | None = None,
    ) -> None:
        self.source, self.target, self.vocabulary, self.references = source, target, vocabulary, references
        self._sizes = np.maximum(source.lengths, target.lengths)
        self._kept = np.flatnonzero(self._sizes <= longest)

    def __len__(self) -> int:
        return len(self._kept)

    def sizes(self) -> NDArray[np.int64]:
        """Ids of the longer sentence of each pair, its end included: fairseq's measure of a batch."""
        return self._sizes[self._kept]

    def __getitem__(self, index: int) -> Pair:
        """One pair.

        Raises:
            DataError: an id is outside the dictionary, or a sentence has no end or has it, or padding, inside.
        """
        number = int(self._kept[index])
        source, target = self._read(self.source, number), self._read(self.target, number)
        return Pair(source, target, None if self.references is None else self.references[number])

    def _read(self, sentences: Sentences, number: int) -> Tokens:
        ids, path = sentences.read(number), sentences.tokens.path
        check_vocabulary(ids, self.vocabulary, path, f"Sentence {number}:")
        if ids[-1] != END or np.isin(ids[:-1], (END, PAD)).any():
            raise Reader(expected=LAYOUT).error(f"Sentence {number} does not end with its only {END}", path)
        return ids


def fairseq_pairs(
    root: Path, *, vocabulary: int, longest: int, source: str
) -> tuple[SentencePairs, SentencePairs, Dictionary]:
    """Training pairs, test pairs with references, and the joined dictionary.

    Raises:
        DataError: a file is missing or damaged, the dictionaries differ or are of another size than `vocabulary`, or
            the files of a split have not as many sentences.
    """
    reader = Reader(expected=LAYOUT, source=source)
    dictionary, other = (read_dictionary(root / f"dict.{name}.txt", reader=reader) for name in (SOURCE, TARGET))
    if dictionary.symbols != other.symbols:
        raise reader.error("Not a joined dictionary: it differs from that of the other language", root / "dict.de.txt")
    if len(dictionary) != vocabulary:
        problem = f"{len(dictionary)} symbols with the special ones; model.architecture.vocabulary is {vocabulary}"
        raise reader.error(problem, root / "dict.en.txt")
    if further := sorted(root.glob("train1.*.idx")):
        raise reader.error("Training data in several parts is not read; binarise it as one", further[0])
    references = reader.text(root / REFERENCES).removesuffix("\n").split("\n")
    train = SentencePairs(*_split(root, "train", reader), vocabulary=vocabulary, longest=longest)
    test = SentencePairs(*_split(root, "test", reader), vocabulary=vocabulary, longest=longest, references=references)
    if len(test.source) != len(references):
        raise reader.error(f"{len(references)} lines for {len(test.source)} test sentences", root / REFERENCES)
    for part, wanted in ((train, 1), (test, len(references))):
        if len(part) < wanted:
            problem = f"Only {len(part)} of {len(part.source)} pairs have no more than {longest} ids in each language"
            raise reader.error(problem, part.source.tokens.path)
    return train, test, dictionary


def _split(root: Path, name: str, reader: Reader) -> tuple[Sentences, Sentences]:
    source, target = (
        read_sentences(root / f"{name}.{SOURCE}-{TARGET}.{language}", reader=reader) for language in (SOURCE, TARGET)
    )
    if len(source) != len(target):
        problem = f"{len(target)} sentences beside {len(source)} of the other language"
        raise reader.error(problem, target.tokens.path)
    return source, target
