"""Sample data for text to speech: a small voice of our own, made on any machine without a network.

Each letter has its own sound, as in a source-filter model of the vocal tract: a source (pulses at the voice's pitch, or
noise) through three resonances, the formants, with its own duration and loudness. A clip is a few made-up words; its
pitch falls from a start that differs between clips. All random numbers come from the clip's index, so the data is the
same on every machine up to rounding.
"""

from __future__ import annotations

import functools
import string
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter
from torch import Tensor
from torch.utils.data import Dataset

from models.datasets.audio.ljspeech import Utterance, encode
from models.datasets.audio.mels import HOP, SAMPLE_RATE_HZ, log_mel

VOWELS = "aeiou"
TRAINING_CLIPS = 512
EVALUATION_CLIPS = 64
SAMPLE_CLIPS = range(192), range(192, 224)
"""Training and evaluation clips where sound alone is wanted."""


class Sound(NamedTuple):
    """How a letter sounds."""

    formants_hz: tuple[float, float, float]
    voiced: float
    """Share of pulses in the source; the rest is noise."""
    loudness: float
    frames: int
    """Duration in hops."""


@functools.cache
def sounds() -> dict[str, Sound]:
    """The voice: a sound for each letter, and near-silence for the space. Vowels are longer, louder and voiced."""
    random = np.random.default_rng(1712_05884)
    voice = {}
    for letter in string.ascii_lowercase:
        vowel = letter in VOWELS
        formants = random.uniform(280, 900), random.uniform(950, 2300), random.uniform(2500, 5500)
        voiced = 1.0 if vowel else float(random.choice([0.0, 0.7]))
        loudness = random.uniform(0.7, 1.0) if vowel else random.uniform(0.2, 0.5)
        frames = int(random.integers(6, 10) if vowel else random.integers(3, 7))
        voice[letter] = Sound(formants, voiced, float(loudness), frames)
    return voice | {" ": Sound((500.0, 1500.0, 2500.0), 0.0, 0.01, 4)}


def text_of(random: np.random.Generator, length: int) -> str:
    """Made-up words of two or three syllables, exactly `length` characters, beginning and ending with a letter."""
    consonants = [letter for letter in string.ascii_lowercase if letter not in VOWELS]
    text = ""
    while len(text) < length:
        syllables = (
            "".join(random.choice(part) for part in (consonants, list(VOWELS))) for _ in range(random.integers(2, 4))
        )
        text += "".join(syllables) + " "
    text = text[:length]
    return text if text[-1] != " " else text[:-1] + str(random.choice(list(VOWELS)))


def synthesise(text: str, random: np.random.Generator) -> NDArray[np.float64]:
    """The voice says `text` (letters and spaces): samples at 22 050 Hz, within -1 and 1 but for rare noise peaks."""
    voice = [sounds()[letter] for letter in text]
    edges = np.cumsum([0, *[sound.frames * HOP for sound in voice]])
    progress = np.arange(edges[-1]) / edges[-1]
    pitch_hz = random.uniform(110, 140) * (1 - 0.2 * progress)
    phase = np.cumsum(pitch_hz / SAMPLE_RATE_HZ)
    # A pulse each time the phase passes a whole number; its height makes the source's power that of unit noise.
    pulses = np.diff(np.floor(phase), prepend=0.0) * np.sqrt(SAMPLE_RATE_HZ / pitch_hz)
    noise = random.standard_normal(edges[-1])
    clip = np.zeros(edges[-1])
    for sound, start, end in zip(voice, edges[:-1], edges[1:], strict=True):
        source = sound.voiced * pulses[start:end] + (1 - sound.voiced) * noise[start:end]
        # Raised ends keep neighbours from clicking into each other.
        envelope = np.minimum(1.0, np.hanning(end - start) * 4)
        clip[start:end] = sound.loudness * envelope * _through_formants(source, sound.formants_hz)
    spoken: NDArray[np.float64] = clip * 0.1 + 2e-4 * noise
    return spoken


def _through_formants(source: NDArray[np.float64], formants_hz: tuple[float, ...]) -> NDArray[np.float64]:
    """Sum of two-pole resonators, each with unit gain at its centre and a bandwidth of 60 Hz plus a twentieth of it."""
    total = np.zeros_like(source)
    for centre_hz in formants_hz:
        radius = np.exp(-np.pi * (60 + centre_hz / 20) / SAMPLE_RATE_HZ)
        angle = 2 * np.pi * centre_hz / SAMPLE_RATE_HZ
        poles = np.array([1.0, -2 * radius * np.cos(angle), radius**2])
        gain = abs(np.polyval(poles[::-1], np.exp(-1j * angle)))
        total += lfilter([gain], poles, source) * np.sqrt(1000 / centre_hz)
    return total


def spoken_clip(index: int, symbols: int) -> tuple[str, Tensor]:
    """Text of about `symbols` characters (give or take a quarter) and how it sounds: float32 samples (N,)."""
    random = np.random.default_rng([index, symbols])
    text = text_of(random, int(random.integers(max(3, symbols * 3 // 4), symbols * 5 // 4 + 1)))
    return text, torch.from_numpy(synthesise(text, random).astype(np.float32))


@functools.cache
def spoken_clips(clips: range, symbols: int) -> tuple[Tensor, ...]:
    """How the clips of these numbers sound, made once for all who use them."""
    return tuple(spoken_clip(index, symbols)[1] for index in clips)


class SpeechSample(Dataset[Utterance]):
    """Clips of the voice, all made at once: their cost must not fall into a measured step."""

    def __init__(self, *, clips: int, first_clip: int, symbols_per_clip: int, mels: int) -> None:
        self.texts: list[str] = []
        self.utterances: list[Utterance] = []
        for index in range(first_clip, first_clip + clips):
            text, audio = spoken_clip(index, symbols_per_clip)
            self.texts.append(text)
            self.utterances.append(Utterance(encode(text), log_mel(audio, mels=mels)))

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, index: int) -> Utterance:
        return self.utterances[index]


def speech_sample(*, symbols_per_clip: int, mels: int = 80) -> tuple[SpeechSample, SpeechSample]:
    """512 training and 64 other, evaluation clips; texts of `symbols_per_clip` characters, give or take a quarter."""
    train = SpeechSample(clips=TRAINING_CLIPS, first_clip=0, symbols_per_clip=symbols_per_clip, mels=mels)
    evaluation = SpeechSample(
        clips=EVALUATION_CLIPS, first_clip=TRAINING_CLIPS, symbols_per_clip=symbols_per_clip, mels=mels
    )
    return train, evaluation
