"""Last words: passages whose last word must be predicted, from LAMBADA's file or from the sample corpus."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from models.datasets.language.samples.text_sample import corpus_files, held_out, read_documents
from models.datasets.language.tokens.bpe_files import VOCABULARY, read_bpe
from models.datasets.language.tokens.next_token import IGNORED, TokenExample
from models.datasets.language.tokens.token_stream import Tokens, check_vocabulary
from models.datasets.reading import Reader

FILE = "lambada_test.json"
LAYOUT = (
    f'<root>/{FILE}: one JSON object per line, {{"text": "a passage with its last word"}}; beside it GPT-2\'s '
    "vocab.json (token to id) and merges.txt (one pair per line)"
)
PASSAGES = 1024
"""Passages taken from the sample corpus."""
LAST_WORD = re.compile(r" ([A-Za-z]{2,})(?=\s)")
"""How the sample's passages end: a plain word after one space, which byte-level BPE encodes as it would in the text."""


class LastWords(Dataset[TokenExample]):
    """Passages as inputs padded to one length; targets are the last word's tokens alone."""

    def __init__(self, passages: list[tuple[Tokens, int]], sequence_length: int) -> None:
        """Passages longer than the model's context lose their beginning.

        Args:
            passages: ids of a passage with its last word, and how many of them are the last word.
            sequence_length: length of inputs and targets.
        """
        self.passages = [(ids[-sequence_length - 1 :], word) for ids, word in passages]
        self.sequence_length = sequence_length

    def __len__(self) -> int:
        return len(self.passages)

    def __getitem__(self, index: int) -> TokenExample:
        """One passage. Padding comes last, where causal attention cannot see it from a counted place."""
        ids, word = self.passages[index]
        tokens = len(ids) - 1
        inputs = np.zeros(self.sequence_length, dtype=np.int64)
        targets = np.full(self.sequence_length, IGNORED, dtype=np.int64)
        inputs[:tokens] = ids[:-1]
        targets[tokens - word : tokens] = ids[-word:]
        return TokenExample(inputs, targets, tokens)


def lambada_passages(root: Path, sequence_length: int, vocabulary: int, *, source: str) -> LastWords:
    """LAMBADA's test passages (Paperno et al. 2016) in GPT-2's tokens.

    The passage without its last word and the word with one space before it are encoded apart, as GPT-2's own
    evaluation does.

    Raises:
        DataError: a file is missing or malformed; says which line.
    """
    path, reader = root / FILE, Reader(expected=LAYOUT, source=source)
    tokenizer = gpt2_tokenizer(root, source=source)
    passages = []
    for number, text in _lambada_texts(path, reader):
        if len(parts := text.rsplit(maxsplit=1)) < 2:  # noqa: PLR2004 - context and word
            raise reader.error(f"Line {number} has fewer than two words", path)
        with reader.reading(path, f"Line {number} cannot be encoded"):
            context, word = (_encoded(tokenizer, part) for part in (parts[0].lstrip(), f" {parts[1]}"))
        if not context or not 1 <= len(word) <= sequence_length:
            problem = f"Line {number} has {len(context)} tokens and then {len(word)} of its last word"
            raise reader.error(f"{problem}, of which the context of {sequence_length} must hold the word", path)
        passages.append((np.array(context + word, dtype=np.int64), len(word)))
    if not passages:
        raise reader.error("No passage", path)
    check_vocabulary(np.concatenate([ids for ids, _ in passages]), vocabulary, path)
    return LastWords(passages, sequence_length)


def _encoded(tokenizer: Any, text: str) -> list[int]:
    """Ids of a text; byte-level BPE leaves out what its vocabulary lacks, which would change the task unseen."""
    encoding = tokenizer.encode(text)
    if sum(map(len, encoding.tokens)) != len(text.encode()):  # a character for each byte
        raise ValueError("the vocabulary lacks some of its bytes")
    ids: list[int] = encoding.ids
    return ids


def _lambada_texts(path: Path, reader: Reader) -> list[tuple[int, str]]:
    texts = []
    for number, line in enumerate(reader.text(path).split("\n"), start=1):
        if not line.strip():
            continue
        with reader.reading(path, f'Line {number} is no JSON object with a "text"'):
            text = json.loads(line)["text"]
        if not isinstance(text, str):
            raise reader.error(f'"text" in line {number} is no string', path)
        texts.append((number, text))
    return texts


def gpt2_tokenizer(root: Path, *, source: str) -> Any:
    """GPT-2's byte-level BPE (`tokenizers.Tokenizer`) from `vocab.json` and `merges.txt`.

    Raises:
        DataError: one of them is missing, or they do not belong together.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    reader = Reader(expected=LAYOUT, source=source)
    vocabulary, merges = read_bpe(root, reader)
    with reader.reading(root / VOCABULARY, "No tokenizer can be made of it"):
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def sample_passages(tokenizer: Any, sequence_length: int) -> LastWords:
    """Passages of held-out standard-library text that end in a plain word, spread evenly over it, in mixed order."""
    documents = read_documents(path for path in corpus_files() if held_out(path))
    places = [(text, match) for text in documents for match in LAST_WORD.finditer(text, pos=sequence_length)]
    chosen = np.random.default_rng(0).permutation(np.linspace(0, len(places) - 1, PASSAGES, dtype=np.int64))
    passages = []
    for text, match in (places[place] for place in chosen):
        context = text[max(0, match.start() - 8 * sequence_length) : match.start()]
        before, word = tokenizer.encode(context).ids, tokenizer.encode(match.group()).ids
        passages.append((np.array(before + word, dtype=np.int64), len(word)))
    return LastWords(passages, sequence_length)
