from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.datasets.audio.ljspeech import SYMBOLS
from models.datasets.audio.mels import FLOOR, HOP, MAX_MEL_HZ, SAMPLE_RATE_HZ, log_mel
from models.datasets.audio.speech import VOWELS, SpeechSample, sounds, speech_sample, synthesise, text_of


def mel_of_hz(hz: float) -> float:
    """Slaney's scale: 3 mel per 200 Hz up to 1 kHz, then 27 mel for each factor 6.4."""
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


@pytest.mark.parametrize("hz", [250.0, 700.0, 1500.0, 4000.0, 7000.0])
def test_a_tone_lights_up_its_own_mel(hz: float) -> None:
    time_s = torch.arange(SAMPLE_RATE_HZ // 2) / SAMPLE_RATE_HZ
    mel = log_mel(torch.sin(2 * math.pi * hz * time_s) * 0.5)
    # 80 triangles over equal steps of the scale: the n-th peaks at n + 1 of 81 steps.
    expected = mel_of_hz(hz) / mel_of_hz(MAX_MEL_HZ) * 81 - 1
    assert abs(int(mel[10].argmax()) - expected) <= 1


def test_level_and_floor() -> None:
    assert torch.all(log_mel(torch.zeros(4096)) == torch.tensor(FLOOR).log())
    tone = torch.sin(2 * math.pi * 700 * torch.arange(8192) / SAMPLE_RATE_HZ)
    louder = log_mel(tone)[8].max() - log_mel(tone / 10)[8].max()
    assert float(louder) == pytest.approx(math.log(10), abs=1e-3)  # natural log of an amplitude, not of a power


def test_level_of_a_tone_matches_the_filters_area() -> None:
    """A tone of amplitude 1 has magnitude sum(window) / 2 = 256 at its bin; Slaney's filters peak at 2 / bandwidth."""
    tone = torch.sin(2 * math.pi * 28 * SAMPLE_RATE_HZ / 1024 * torch.arange(8192) / SAMPLE_RATE_HZ)
    step_hz = mel_of_hz(MAX_MEL_HZ) / 81 * 200 / 3
    summed = log_mel(tone)[8].exp().sum()
    # The window spreads the line over three bins (1/2, 1, 1/2), and overlapping triangles sum to the peak's height.
    assert float(summed) == pytest.approx(256 * 2 / (2 * step_hz) * 2, rel=0.02)


def test_frames_cover_the_clip() -> None:
    assert log_mel(torch.zeros(10 * HOP)).shape == (11, 80)
    assert log_mel(torch.zeros(10 * HOP + HOP - 1), mels=20).shape == (11, 20)


def test_every_letter_has_its_own_sound() -> None:
    voice = sounds()
    assert len(voice) == 27
    assert len({sound.formants_hz for sound in voice.values()}) == 27
    spectra = torch.stack(
        [
            log_mel(torch.from_numpy(synthesise(letter * 8, np.random.default_rng(0))).float()).mean(0)
            for letter in voice
        ]
    )
    distance = torch.cdist(spectra, spectra) + torch.eye(27) * 1e9
    assert float(distance.min()) > 1.0


def test_vowels_have_a_pitch_and_unvoiced_sounds_have_none() -> None:
    def periodicity(letter: str) -> float:
        audio = synthesise(letter * 10, np.random.default_rng(1))[2000:8000]
        spectrum = abs(np.fft.rfft(audio * np.hanning(len(audio)), 2 * len(audio))) ** 2
        correlation = np.fft.irfft(spectrum)
        lags = slice(SAMPLE_RATE_HZ // 150, SAMPLE_RATE_HZ // 80)
        return float(correlation[lags].max() / correlation[0])

    unvoiced = [letter for letter, sound in sounds().items() if sound.voiced == 0 and letter != " "]
    assert unvoiced
    assert min(periodicity(letter) for letter in VOWELS) > max(periodicity(letter) for letter in unvoiced)


def test_duration_follows_the_text() -> None:
    text = "bade no"
    audio = synthesise(text, np.random.default_rng(0))
    assert len(audio) == HOP * sum(sounds()[letter].frames for letter in text)
    assert float(np.abs(audio).max()) < 1


@pytest.mark.parametrize("length", [3, 10, 101])
def test_text_has_its_length_and_is_speakable(length: int) -> None:
    for seed in range(20):
        text = text_of(np.random.default_rng(seed), length)
        assert len(text) == length
        assert set(text) <= set(sounds())
        assert text == text.strip()
        assert "  " not in text


def test_sample_is_the_same_every_time_and_matches_its_text() -> None:
    first, again = (SpeechSample(clips=3, first_clip=5, symbols_per_clip=10, mels=80) for _ in range(2))
    assert first.texts == again.texts
    for text, one, two in zip(first.texts, first, again, strict=False):
        assert torch.equal(one.mel, two.mel)
        assert "".join(SYMBOLS[i] for i in one.symbols) == text
        assert one.mel.shape == (1 + sum(sounds()[letter].frames for letter in text), 80)
        assert one.mel.dtype == torch.float32
        assert torch.isfinite(one.mel).all()


def test_splits_have_the_stated_size_and_share_no_clip() -> None:
    train, evaluation = speech_sample(symbols_per_clip=10)
    assert (len(train), len(evaluation)) == (512, 64)
    sums = {float(utterance.mel.double().sum()) for data in (train, evaluation) for utterance in data.utterances}
    assert len(sums) == 576
    lengths = [len(text) for text in train.texts]
    assert (min(lengths), max(lengths)) == (7, 12)
    # Frames per character as in LJSpeech (5.66): the reference scale's sample is as long as the real clips.
    frames = sum(len(utterance.mel) for utterance in train.utterances) / sum(lengths)
    assert frames == pytest.approx(5.66, rel=0.1)
