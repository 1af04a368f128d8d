"""SAMSum (Gliwa et al. 2019): dialogues with summaries, as prompts of Meta's llama-recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.datasets.reading import Reader

LAYOUT = (
    "<root>/samsum_dataset/train.json (or <root>/train.json): a list of objects with the texts dialogue and summary; "
    "<root>/tokenizer.json (or <root>/llama2_7b_hf/tokenizer.json): Llama 2's, in Hugging Face's form"
)
PROMPT = "Summarize this dialog:\n{dialogue}\n---\nSummary:\n{summary}{end}"
END = "</s>"
"""Ends a document; Llama 2's tokenizer reads it as one token."""


def samsum_documents(path: Path, tokenizer: Any, *, source: str) -> list[list[int]]:
    """Token ids of every dialogue with its summary.

    Args:
        path: one of `train.json`, `val.json`, `test.json`.
        tokenizer: a `tokenizers.Tokenizer`; what it puts before a text by itself stays.
        source: where the data set is to be had.

    Raises:
        DataError: the file is missing or malformed; says which entry.
    """
    reader = Reader(expected=LAYOUT, source=source)
    entries = reader.json(path)
    if not isinstance(entries, list) or not entries:
        raise reader.error("Not a list of dialogues", path)
    texts = []
    for number, entry in enumerate(entries):
        parts = {key: entry.get(key) for key in ("dialogue", "summary")} if isinstance(entry, dict) else {}
        if not parts or not all(isinstance(part, str) for part in parts.values()):
            raise reader.error(f"Entry {number} has no texts dialogue and summary", path)
        texts.append(PROMPT.format(**parts, end=END))
    return [encoded.ids for encoded in tokenizer.encode_batch(texts)]


def llama_tokenizer(path: Path, *, source: str) -> Any:
    """A `tokenizers.Tokenizer` from a `tokenizer.json`.

    Raises:
        DataError: the file is missing or malformed, or reads `</s>` as several tokens.
    """
    reader = Reader(expected=LAYOUT, source=source)
    tokenizer = reader.tokenizer(path)
    if tokenizer.token_to_id(END) is None:
        raise reader.error(f"The tokenizer has no {END}", path)
    return tokenizer


def first_that_is_there(root: Path, *names: str) -> Path:
    """The first of the files below `root`; the first name where none is there, for the error to come."""
    return next((root / name for name in names if (root / name).exists()), root / names[0])
