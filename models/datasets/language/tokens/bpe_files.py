"""A byte-level BPE on disk, as GPT-2 and CLIP have theirs: `vocab.json` beside `merges.txt`."""

from __future__ import annotations

from pathlib import Path

from models.datasets.reading import Reader

LARGEST_ID = 2**31
"""Ids of tokenizers are 32-bit numbers."""
VOCABULARY, MERGES = "vocab.json", "merges.txt"


def read_bpe(root: Path, reader: Reader) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The id of each token, and the pairs that are merged, the first before the others.

    Raises:
        DataError: a file is missing or malformed, or they do not belong together.
    """
    vocabulary_path, merges_path = root / VOCABULARY, root / MERGES
    vocabulary = reader.json(vocabulary_path)
    if not isinstance(vocabulary, dict) or not set(map(type, vocabulary.values())) <= {int}:
        raise reader.error("Not an object of ids", vocabulary_path)
    ids = sorted(vocabulary.values())
    if len(set(ids)) < len(ids) or not all(0 <= number < LARGEST_ID for number in ids):
        raise reader.error("Ids stand twice, or are negative or far too large", vocabulary_path)
    lines = reader.text(merges_path).split("\n")
    merges = []
    for line in lines:
        if line and not line.startswith("#version"):
            first, _, second = line.partition(" ")
            merges.append((first, second))
    for first, second in merges:
        if not {first, second, first + second} <= vocabulary.keys():
            problem = f"Merge {f'{first} {second}'!r} does not fit the vocabulary in {vocabulary_path.name}"
            raise reader.error(problem, merges_path)
    return vocabulary, merges
