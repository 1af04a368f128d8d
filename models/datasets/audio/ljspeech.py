"""LJSpeech as FlagPerf's Tacotron 2 reads it: ready-made log-mels beside file lists of `path|text`.

Root holds `filelists/ljs_mel_text_{train,val}_filelist.txt`; each line names a `.pt` file, relative to the root, and
the words spoken in it (NVIDIA's lists say `LJSpeech-1.1/mels/LJ001-0001.pt|Printing, in the only sense …`).
A `.pt` file is a tensor (80, frames) of natural-log mel amplitudes.
"""

from __future__ import annotations

import re
import string
import unicodedata
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.datasets.base import DataError
from models.datasets.catalogue import find_dataset
from models.datasets.reading import Reader

PADDING = "_"
SYMBOLS = PADDING + "-" + "!'(),.:;? " + string.ascii_uppercase + string.ascii_lowercase
"""Characters by id. The published table goes on with 84 ARPAbet phonemes (148 in all), which plain text never uses."""
IDS = {symbol: index for index, symbol in enumerate(SYMBOLS) if symbol != PADDING}

# Marks that are not spoken and have no symbol; the published front end drops them too.
UNSPOKEN = str.maketrans(
    dict.fromkeys('"\u201c\u201d[]') | dict.fromkeys("\u2018\u2019", "'") | dict.fromkeys("\u2013\u2014", "-")
)

# LJSpeech keeps these written short although the reader says them in full (its README lists them). "No.", for
# "number", is left out: at the end of a sentence it is a word of its own.
ABBREVIATIONS = {
    "mr": "mister", "mrs": "misess", "dr": "doctor", "st": "saint", "co": "company", "jr": "junior",
    "maj": "major", "gen": "general", "drs": "doctors", "rev": "reverend", "lt": "lieutenant", "hon": "honorable",
    "sgt": "sergeant", "capt": "captain", "esq": "esquire", "ltd": "limited", "col": "colonel", "ft": "fort",
}  # fmt: skip
_SHORT = re.compile(rf"\b({'|'.join(ABBREVIATIONS)})\.")


LARGEST = 100.0
"""Beyond any natural logarithm of a mel amplitude; those of speech lie between -12 and 5."""


class Utterance(NamedTuple):
    """A text and how it sounds."""

    symbols: Tensor
    """(S,) int64 ids."""
    mel: Tensor
    """(T, M) float32 natural-log mel amplitudes."""


def clean(text: str) -> str:
    """Lower-case text in plain letters: no accents, quotation marks or double spaces, short titles written out."""
    plain = unicodedata.normalize("NFKD", text.translate(UNSPOKEN))
    letters = "".join(char for char in plain if not unicodedata.combining(char)).lower()
    spelled = _SHORT.sub(lambda found: ABBREVIATIONS[found[1]], letters)
    return re.sub(r"\s+", " ", spelled).strip()


def encode(text: str) -> Tensor:
    """Ids (S,) of a text, cleaned first.

    Raises:
        ValueError: nothing is left of it, or a character has no symbol; names them.
    """
    cleaned = clean(text)
    unknown = sorted(set(cleaned) - IDS.keys())
    if unknown:
        raise ValueError(f"no symbol for {' '.join(map(repr, unknown))} (numbers must be written out in words)")
    if not cleaned:
        raise ValueError("no text")
    return torch.tensor([IDS[symbol] for symbol in cleaned])


class LJSpeech(Dataset[Utterance]):
    """One split. The lists are read and checked at once, each mel when it is asked for."""

    expected: ClassVar[str] = (
        "filelists/ljs_mel_text_train_filelist.txt and filelists/ljs_mel_text_val_filelist.txt with lines "
        "`path of a mel below data.root|text`, and each mel as a saved float tensor (80, frames)"
    )
    source: ClassVar[str] = find_dataset("ljspeech").described

    def __init__(self, root: Path | str, split: str, *, mels: int = 80) -> None:
        self.root, self.mels = Path(root), mels
        self.reader = Reader(expected=self.expected, source=self.source)
        self.list = self.root / "filelists" / f"ljs_mel_text_{split}_filelist.txt"
        if not self.list.exists():
            raise self._error("File list not found", self.list)
        lines = self.reader.text(self.list, "File list cannot be read").splitlines()
        self.clips = [self._parse(number, line) for number, line in enumerate(lines, 1) if line.strip()]
        if not self.clips:
            raise self._error("File list is empty", self.list)

    def _error(self, problem: str, where: Path | str) -> DataError:
        return self.reader.error(problem, where)

    def _parse(self, number: int, line: str) -> tuple[Path, Tensor]:
        where = f"{self.list}, line {number}"
        name, bar, text = line.partition("|")
        if not bar:
            raise self._error("Line without `|`", where)
        with self.reader.reading(where, "Name of a mel file cannot be used"):
            found = (path := self.root / name.strip()).is_file()
        if not found:
            raise self._error(f"Mel file {path} not found", where)
        try:
            return path, encode(text)
        except ValueError as error:
            raise self._error(f"Text cannot be used: {error}", where) from error

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Utterance:
        path, symbols = self.clips[index]
        with self.reader.reading(path, "Mel file cannot be read"):
            return Utterance(symbols, self._checked(torch.load(path, map_location="cpu", weights_only=True), path))

    def _checked(self, mel: Any, path: Path) -> Tensor:
        """The mel as (T, M) float32."""
        if not isinstance(mel, Tensor):
            raise self._error(f"Mel file holds a {type(mel).__name__}, not a tensor", path)
        if mel.ndim != 2 or mel.shape[0] != self.mels or mel.shape[1] == 0:  # noqa: PLR2004 (mels by frames)
            raise self._error(f"Mel has shape {tuple(mel.shape)}, not ({self.mels}, frames)", path)
        if not mel.is_floating_point():
            raise self._error(f"Mel has type {mel.dtype}, not a floating-point one", path)
        amplitudes = mel.detach().float()
        if not amplitudes.isfinite().all():
            raise self._error("Mel holds values that are not finite", path)
        if (largest := float(amplitudes.abs().max())) > LARGEST:
            raise self._error(f"Mel reaches {largest:g}, which is no natural logarithm of an amplitude", path)
        return amplitudes.T.contiguous()
