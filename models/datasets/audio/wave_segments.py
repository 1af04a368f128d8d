"""WaveGlow's examples: a segment of speech and its mel spectrogram, from LJSpeech's files or from the sample voice.

LJSpeech's root holds `filelists/ljs_audio_text_{train,val}_filelist.txt`; each line names a .wav file, relative to the
root, and the words spoken in it (NVIDIA's lists say `LJSpeech-1.1/wavs/LJ001-0001.wav|Printing, in the only …`).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)
from torch.utils.data import Dataset

from models.datasets.audio.mels import SAMPLE_RATE_HZ, log_mel
from models.datasets.audio.speech import SAMPLE_CLIPS, spoken_clips
from models.datasets.audio.waves import find_sound, read_sound
from models.datasets.base import Datasets
from models.datasets.catalogue import find_dataset
from models.datasets.reading import Reader
from models.datasets.visits import generator_of


class SpeechSegment(NamedTuple):
    """A piece of a clip, cut at random."""

    audio: Tensor
    """(N,) float32 samples at 22 050 Hz within -1 and 1; silence after the end of a clip that is too short."""
    mel: Tensor
    """(M, 1 + N // 256) float32 natural-log mel amplitudes, of the segment alone."""


def cut(index: int, samples: int, length: int) -> tuple[int, int]:
    """Where a segment of `length` begins in a clip of `samples`, and how much of it there is."""
    first = int(generator_of(index).integers(max(0, samples - length) + 1))
    return first, min(length, samples)


def segment_of(audio: Tensor, length: int, mels: int) -> SpeechSegment:
    """A segment of samples that are no more than `length`, padded with silence."""
    padded = F.pad(audio, (0, length - len(audio)))
    return SpeechSegment(padded, log_mel(padded, mels=mels).T.contiguous())


class LJSpeechWaves(Dataset[SpeechSegment]):
    """One split. The list is read at once, of each file only the segment, when it is asked for."""

    expected: ClassVar[str] = (
        "filelists/ljs_audio_text_train_filelist.txt and filelists/ljs_audio_text_val_filelist.txt with lines "
        "`path of a .wav file below data.root|text`, and each file with one channel of 22 050 Hz"
    )
    source: ClassVar[str] = find_dataset("ljspeech_waves").described

    def __init__(self, root: Path | str, split: str, *, length: int, mels: int) -> None:
        self.root, self.length, self.mels = Path(root), length, mels
        self.reader = Reader(expected=self.expected, source=self.source)
        listed = self.root / "filelists" / f"ljs_audio_text_{split}_filelist.txt"
        lines = self.reader.text(listed, "File list cannot be read").splitlines()
        names = [self._name(f"{listed}, line {number}", line) for number, line in enumerate(lines, 1) if line.strip()]
        if not names:
            raise self.reader.error("File list is empty", listed)
        self.names = np.array(names, dtype=np.bytes_)  # one block: workers share it

    def _name(self, where: str, line: str) -> bytes:
        name, bar, _ = line.partition("|")
        if not bar:
            raise self.reader.error("Line without `|`", where)
        with self.reader.reading(where, "Name of a sound file cannot be used"):
            found = find_sound(self.root / name.strip())
        if found is None:
            raise self.reader.error(f"Sound file {self.root / name.strip()} not found", where)
        return str(found.relative_to(self.root)).encode()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> SpeechSegment:
        path = self.root / self.names[index].decode()
        audio = read_sound(
            path, self.reader, rate_hz=SAMPLE_RATE_HZ, span=lambda samples: cut(index, samples, self.length)
        )
        return segment_of(audio, self.length, self.mels)


class SpokenSegments(Dataset[SpeechSegment]):
    """Segments of the sample voice's clips, which are all made at once."""

    def __init__(self, clips: range, *, symbols_per_clip: int, length: int, mels: int) -> None:
        self.clips = spoken_clips(clips, symbols_per_clip)
        self.length, self.mels = length, mels

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> SpeechSegment:
        first, wanted = cut(index, len(self.clips[index]), self.length)
        return segment_of(self.clips[index][first : first + wanted], self.length, self.mels)


def spoken_segments(*, symbols_per_clip: int, length: int, mels: int) -> Datasets:
    """192 training and 32 other, evaluation clips of the sample voice."""
    train, evaluation = (
        SpokenSegments(part, symbols_per_clip=symbols_per_clip, length=length, mels=mels) for part in SAMPLE_CLIPS
    )
    return Datasets(train, evaluation)
