"""Sound files, .wav or .flac, as float32 samples within -1 and 1."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from models.datasets.reading import Reader

RIFF_HEADER = 8
"""Bytes before what a .wav file counts as its size."""
LARGEST = 1.0


def find_sound(path: Path) -> Path | None:
    """The file, or the one with its ending in capitals; None where neither is."""
    candidates = (path, path.with_suffix(path.suffix.upper()), path.with_suffix(path.suffix.lower()))
    return next((one for one in candidates if one.is_file()), None)


def read_sound(
    path: Path, reader: Reader, *, rate_hz: int, span: Callable[[int], tuple[int, int]] | None = None
) -> Tensor:
    """Samples (N,) of a file with one channel, or the mean of several.

    Args:
        path: .wav, .flac or whatever else libsndfile decodes.
        reader: says what belongs there when something is wrong.
        rate_hz: samples per second that the file must have.
        span: from the file's length in samples to the first that is wanted and how many; None: all of them.

    Raises:
        DataError: the file is missing, damaged, cut off, empty, of another rate, or holds values that are not finite or
            beyond 1.
    """
    import soundfile

    with reader.reading(path, "Sound cannot be read"):
        _check_whole(path, reader)
        with soundfile.SoundFile(path) as file:
            if file.samplerate != rate_hz:
                raise reader.error(f"Sound has {file.samplerate} samples per second, not {rate_hz}", path)
            if file.frames == 0:
                raise reader.error("Sound is empty", path)
            first, wanted = span(file.frames) if span else (0, file.frames)
            file.seek(first)
            values = file.read(wanted, dtype="float32", always_2d=True)
    if len(values) < wanted:
        raise reader.error(f"Sound ends after {first + len(values)} of {first + wanted} samples", path)
    audio = torch.from_numpy(values.mean(axis=1))
    if not audio.isfinite().all():
        raise reader.error("Sound holds values that are not finite", path)
    if float(audio.abs().max()) > LARGEST:
        raise reader.error("Sound reaches beyond -1 and 1", path)
    return audio


def _check_whole(path: Path, reader: Reader) -> None:
    """A .wav file that was cut off reads like a shorter one: only its header tells."""
    with path.open("rb") as file:
        header = file.read(RIFF_HEADER)
    if header[:4] == b"RIFF" and len(header) == RIFF_HEADER:
        promised = struct.unpack("<I", header[4:])[0] + RIFF_HEADER
        if (there := path.stat().st_size) < promised:
            raise reader.error(f"Sound is cut off: {there} of {promised} bytes", path)
