"""CLIP's tokenizer: lower-case byte-level BPE whose tokens know where a word ends."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.datasets.language.tokens.bpe_files import VOCABULARY, read_bpe
from models.datasets.reading import Reader

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
PADDING = 0
"""OpenCLIP pads with id 0; OpenAI's CLIP with the end marker."""
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What a caption is cut into before its bytes are merged (Radford et al. 2021, `simple_tokenizer.py`)."""


class ClipTokenizer:
    """Captions to ids of one length, as OpenCLIP does but for `ftfy`, which mends broken Unicode there."""

    def __init__(
        self, vocabulary: dict[str, int], merges: list[tuple[str, str]], *, length: int, pad_with_end: bool = False
    ) -> None:
        """Of a vocabulary that has both markers; `pad_with_end`: as OpenAI's CLIP pads.

        Raises:
            Exception: the merges and the vocabulary do not belong together; of tokenizers' own kind.
        """
        from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

        tokenizer: Any = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix=WORD_END))
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
        cut = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, to_bytes])
        self.tokenizer, self.length = tokenizer, length
        self.begin, self.end = vocabulary[BEGIN], vocabulary[END]
        self.padding = self.end if pad_with_end else PADDING

    def __call__(self, caption: str) -> Tensor:
        """Ids int64 (length,): the begin marker, as much of the caption as fits, the end marker, padding."""
        text = html.unescape(html.unescape(caption))
        words = self.tokenizer.encode(text).ids[: self.length - 2]
        ids = [self.begin, *words, self.end]
        return torch.tensor(ids + [self.padding] * (self.length - len(ids)))


def read_clip_tokenizer(
    root: Path, reader: Reader, *, vocabulary: int, length: int, pad_with_end: bool = False
) -> ClipTokenizer:
    """The tokenizer of `vocab.json` and `merges.txt` under `root`.

    Raises:
        DataError: a file is missing or malformed, they do not belong together, or their ids are not the model's.
    """
    ids, merges = read_bpe(root, reader)
    if sorted(ids.values()) != list(range(vocabulary)):
        raise reader.error(f"{len(ids)} ids, not those from 0 to {vocabulary - 1}", root / VOCABULARY)
    if not {BEGIN, END} <= ids.keys():
        raise reader.error(f"No {BEGIN} or no {END}", root / VOCABULARY)
    with reader.reading(root / VOCABULARY, "No tokenizer can be made of it"):
        return ClipTokenizer(ids, merges, length=length, pad_with_end=pad_with_end)


def random_captions(rows: int, *, length: int, vocabulary: int) -> Tensor:
    """Ids int64 (rows, length) in OpenAI's form, on torch's default device: begin marker, words, end markers.

    Words are any, and as many as happen; the markers are the vocabulary's last two ids, as in CLIP's own.
    """
    places = torch.arange(length)
    words = torch.randint(vocabulary - 2, (rows, length))
    counts = torch.randint(1, length - 1, (rows, 1))
    ids = torch.where(places <= counts, words, vocabulary - 1)
    return torch.where(places == 0, vocabulary - 2, ids)


def word_merges(words: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A small vocabulary in CLIP's form: all bytes, alone and at a word's end, and each of `words` as one token."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = letters + [letter + WORD_END for letter in letters]
    merges: list[tuple[str, str]] = []
    for word in words:
        parts = [*word[:-1], word[-1] + WORD_END]
        made = parts[0]
        for part in parts[1:]:
            if (made, part) not in merges:
                merges.append((made, part))
            made += part
    tokens += [first + second for first, second in merges if first + second not in tokens]
    return {token: number for number, token in enumerate([*tokens, BEGIN, END])}, merges
