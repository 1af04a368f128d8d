"""Sound files and their lists, in the forms of LJSpeech and LibriSpeech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile


def write_sound(path: Path, samples: int, *, rate_hz: int, kind: str = "PCM_16", channels: int = 1) -> np.ndarray:
    """A file of quiet noise in 16 bits; its samples, as float32 and mean of the channels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = np.random.default_rng(samples).integers(-9000, 9000, (samples, channels))
    soundfile.write(path, whole / 32768, rate_hz, subtype=kind, format=path.suffix[1:].upper())
    mean: np.ndarray = (whole / 32768).astype(np.float32).mean(1)
    return mean


def write_ljspeech(root: Path, lengths: list[int], *, split: str = "train", ending: str = ".wav") -> Path:
    """Recordings and the list of a split; the list says .wav whatever the files' `ending`."""
    listed = root / "filelists" / f"ljs_audio_text_{split}_filelist.txt"
    listed.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, samples in enumerate(lengths):
        name = f"LJSpeech-1.1/wavs/LJ001-{split}{number:04}"
        write_sound(root / f"{name}{ending}", samples, rate_hz=22_050)
        lines.append(f"{name}.wav|Printing, in the only sense\r\n")
    listed.write_text("\ufeff" + "".join(lines), encoding="utf-8", newline="")
    return listed


def write_librispeech(root: Path, lengths: list[int], *, subset: str, folder: str = "/nowhere/LibriSpeech") -> Path:
    """Utterances in .flac and their manifest, whose first line is a folder of the machine that wrote it."""
    lines = [folder]
    for number, samples in enumerate(lengths):
        name = f"{subset}/103/1240/103-1240-{number:04}.flac"
        write_sound(root / name, samples, rate_hz=16_000)
        lines.append(f"{name}\t{samples}")
    manifest = root / f"{subset}.tsv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest
