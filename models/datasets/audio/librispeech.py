"""LibriSpeech as fairseq's manifests list it, and wav2vec 2.0's utterances.

Root holds `train-full-960.tsv` and `dev-other.tsv`: the first line is the folder of the sound files, each other line
`relative path<TAB>samples`. That folder is where the manifest's maker had the files: where it is not there, the paths
are taken below the root. The transcriptions beside them (.ltr, .wrd) are not read: pre-training needs none.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from models.datasets.audio.speech import SAMPLE_CLIPS, spoken_clips
from models.datasets.audio.waves import find_sound, read_sound
from models.datasets.base import Datasets
from models.datasets.catalogue import find_dataset
from models.datasets.reading import Reader
from models.datasets.visits import generator_of

RATE_HZ = 16_000
TRAINING, EVALUATION = "train-full-960", "dev-other"


class SpokenUtterance(NamedTuple):
    """What somebody said, whole."""

    audio: Tensor
    """(N,) float32 samples within -1 and 1."""
    seed: int
    """Of all that is drawn about it."""
    whole: bool
    """Whether it is evaluated on, by itself and uncut."""


class LibriSpeech(Dataset[SpokenUtterance]):
    """One manifest. It is read at once, each sound file when it is asked for."""

    expected: ClassVar[str] = (
        f"{TRAINING}.tsv and {EVALUATION}.tsv, each a line with the folder of the sound files and lines of "
        "`path below it<TAB>samples`, and each file with 16 000 Hz and as many samples"
    )
    source: ClassVar[str] = find_dataset("librispeech").described

    def __init__(self, root: Path | str, subset: str, *, shortest: int, longest: int, whole: bool) -> None:
        """Read a manifest.

        Args:
            root: folder of the manifests.
            subset: name of a manifest.
            shortest: utterances of fewer samples are left out of training, and are an error in evaluation.
            longest: samples that training utterances are cut to, here for `sizes` alone.
            whole: evaluation.

        Raises:
            DataError: there is no such manifest, it lists nothing, or a line is malformed.
        """
        self.longest, self.whole = longest, whole
        self.reader = Reader(expected=self.expected, source=self.source)
        self.manifest = Path(root) / f"{subset}.tsv"
        folder, *lines = self.reader.text(self.manifest, "Manifest cannot be read").splitlines() or [""]
        named = Path(folder.strip())
        self.folder = named if named.is_absolute() and named.is_dir() else Path(root)
        listed = [self._parse(number, line) for number, line in enumerate(lines, 2) if line.strip()]
        kept = [(name, samples) for name, samples in listed if samples >= shortest]
        if not kept or (whole and len(kept) < len(listed)):
            found = f"{len(listed) - len(kept)} of {len(listed)} utterances have fewer than {shortest} samples"
            raise self.reader.error(f"Manifest has too little: {found}", self.manifest)
        self.names = np.array([name for name, _ in kept], dtype=np.bytes_)  # one block: workers share it
        self.samples = np.array([samples for _, samples in kept], dtype=np.int64)

    def _parse(self, number: int, line: str) -> tuple[bytes, int]:
        name, _, samples = line.strip().partition("\t")
        if not (samples.isascii() and samples.isdigit()):
            raise self.reader.error("Line is no path, tab and number of samples", f"{self.manifest}, line {number}")
        return name.encode(), int(samples)

    def sizes(self) -> list[int]:
        """Samples of each utterance that are trained on."""
        cut: list[int] = self.samples.clip(max=self.longest).tolist()
        return cut

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> SpokenUtterance:
        path = self.folder / self.names[index].decode()
        with self.reader.reading(path, "Name of a sound file cannot be used"):
            found = find_sound(path)
        if found is None:
            raise self.reader.error("Sound file not found", path)
        audio = read_sound(found, self.reader, rate_hz=RATE_HZ)
        if len(audio) != self.samples[index]:
            raise self.reader.error(f"Sound has {len(audio)} samples, its manifest says {self.samples[index]}", path)
        return SpokenUtterance(audio, _seed(index), self.whole)


class SampleUtterances(Dataset[SpokenUtterance]):
    """Clips of the sample voice, all made at once; played as if they had 16 000 Hz, a little low."""

    def __init__(self, clips: range, *, symbols_per_clip: int, longest: int, whole: bool) -> None:
        self.clips = spoken_clips(clips, symbols_per_clip)
        self.longest, self.whole = longest, whole

    def sizes(self) -> list[int]:
        """Samples of each clip that are trained on."""
        return [min(len(clip), self.longest) for clip in self.clips]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> SpokenUtterance:
        return SpokenUtterance(self.clips[index], _seed(index), self.whole)


def sample_utterances(*, symbols_per_clip: int, longest: int) -> Datasets:
    """192 training and 32 other, evaluation clips of the sample voice."""
    train, evaluation = (
        SampleUtterances(part, symbols_per_clip=symbols_per_clip, longest=longest, whole=part is SAMPLE_CLIPS[1])
        for part in SAMPLE_CLIPS
    )
    return Datasets(train, evaluation)


def _seed(index: int) -> int:
    return int(generator_of(index).integers(2**62))
