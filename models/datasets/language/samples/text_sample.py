"""Text on any machine: the sources of Python's standard library, with tokenizers trained on them.

Both are made once and kept under the cache folder; which files there are and how large they are is part of the key.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import sysconfig
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from models.datasets.base import DataError
from models.datasets.cache import prepared, temporary_folder
from models.datasets.language.tokens.token_stream import TokenFile, check_vocabulary, open_npy
from models.datasets.reading import Reader

Kind = Literal["wordpiece", "bpe"]
SPECIAL = {"wordpiece": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], "bpe": ["<|endoftext|>"]}
"""Special tokens by kind; their ids are their places here. The last of BPE and `[SEP]` end a document."""
LEFT_OUT = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idlelib", "turtledemo", "encodings", "pydoc_data"}
)
"""Folders that distributions leave out (tests, IDLE) or that hold tables instead of text."""
EVALUATION_SHARE = 10
"""Every tenth file, by a hash of its name, is held out."""
MINIMUM_BYTES = 1_000_000
CACHED, AGAIN = "tokenizer.json, train.npy and evaluation.npy", "a new run, once this folder is deleted"
FORMAT = 1
"""Raise it when what is kept in the cache changes."""


@dataclass(kw_only=True, slots=True)
class TextSample:
    """A tokenizer and the two parts of the corpus as its token ids."""

    tokenizer: Any
    """`tokenizers.Tokenizer`."""
    train: TokenFile
    evaluation: TokenFile


def corpus_files(root: Path | None = None) -> list[Path]:
    """The standard library's source files, sorted.

    Raises:
        DataError: this Python comes without readable sources.
    """
    root = root or Path(sysconfig.get_path("stdlib"))
    found = [path for path in root.rglob("*.py") if not LEFT_OUT.intersection(path.relative_to(root).parts)]
    if sum(path.stat().st_size for path in found) < MINIMUM_BYTES:
        raise DataError(
            "Python's standard library has too few source files for data=sample",
            where=root,
            expected=f"at least {MINIMUM_BYTES:,} bytes of .py files",
            source="a Python that was installed with its sources, or use data=synthetic",
        )
    return sorted(found)


def held_out(path: Path) -> bool:
    """Whether a corpus file belongs to the evaluation part; depends on its name and folder alone."""
    return zlib.crc32(f"{path.parent.name}/{path.name}".encode()) % EVALUATION_SHARE == 0


def read_documents(files: Iterable[Path]) -> list[str]:
    """The files' texts; bytes that are not UTF-8 are replaced."""
    return [path.read_text(encoding="utf-8", errors="replace") for path in files]


def text_sample(cache: Path, kind: Kind, vocabulary: int) -> TextSample:
    """The corpus tokenised with a vocabulary of at most `vocabulary` entries.

    Several ranks may ask at once (see `models.datasets.cache.prepared`).
    Where the cache cannot be written, or what it holds is damaged, the user's temporary folder takes its place.

    Args:
        cache: folder for prepared data, made when missing.
        kind: `wordpiece` (BERT's, lower case) or `bpe` (GPT-2's, on bytes).
        vocabulary: entries, special tokens included.

    Raises:
        DataError: no sources, or nowhere to keep what is made of them.
    """
    files = corpus_files()
    name = f"text_{kind}_{vocabulary}_{_digest(files)}"
    places: list[Callable[[], Path]] = [lambda: cache, temporary_folder]
    for place in places:
        try:
            return _kept(place() / name, files, kind, vocabulary)
        except (OSError, DataError) as error:
            problem = error
            logging.getLogger(__name__).warning("Prepared text cannot be kept or read in the cache: %s", error)
    raise DataError(f"Prepared text can be kept nowhere ({problem})", where=cache, expected=CACHED, source=AGAIN)


def _kept(folder: Path, files: list[Path], kind: Kind, vocabulary: int) -> TextSample:
    """What is in `folder`, prepared first where it is missing."""
    return _load(prepared(folder, lambda draft: _prepare(draft, files, kind, vocabulary)))


def _digest(files: list[Path]) -> str:
    described = [sys.version, str(FORMAT), *(f"{path}:{path.stat().st_size}" for path in files)]
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:16]


def _prepare(folder: Path, files: list[Path], kind: Kind, vocabulary: int) -> None:
    parts = {
        "train": read_documents(path for path in files if not held_out(path)),
        "evaluation": read_documents(path for path in files if held_out(path)),
    }
    tokenizer = train_tokenizer(parts["train"], kind, vocabulary)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")  # its own `save` hides a full disk
    end = tokenizer.token_to_id("[SEP]" if kind == "wordpiece" else SPECIAL[kind][-1])
    for name, documents in parts.items():
        encoded = tokenizer.encode_batch_fast(documents, add_special_tokens=False)
        ids = [np.array([*document.ids, end], dtype=np.int32) for document in encoded]
        np.save(folder / f"{name}.npy", np.concatenate(ids))


def train_tokenizer(documents: list[str], kind: Kind, vocabulary: int) -> Any:
    """A `tokenizers.Tokenizer` trained on `documents`."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer: Any
    make_trainer: Any
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        make_trainer = partial(trainers.WordPieceTrainer, limit_alphabet=vocabulary // 8)
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        make_trainer = partial(trainers.BpeTrainer, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    trainer = make_trainer(vocab_size=vocabulary, special_tokens=SPECIAL[kind], show_progress=False)
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def _load(folder: Path) -> TextSample:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    reader = Reader(expected=CACHED, source=AGAIN)
    with reader.reading(path, "Damaged cache"):
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    train, evaluation = (open_npy(folder / name, source=AGAIN) for name in ("train.npy", "evaluation.npy"))
    for part in (train, evaluation):
        check_vocabulary(part.read(0, part.length), tokenizer.get_vocab_size(), part.path)
    return TextSample(tokenizer=tokenizer, train=train, evaluation=evaluation)
