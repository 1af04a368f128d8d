"""Mel spectrograms as NVIDIA's Tacotron 2 and WaveGlow compute them."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

SAMPLE_RATE_HZ = 22050
FFT_SIZE = 1024
HOP = 256
MAX_MEL_HZ = 8000.0
FLOOR = 1e-5
"""Smallest mel amplitude before the logarithm. These five are the published case's (FlagPerf, NVIDIA's Tacotron 2)."""


@functools.cache
def _filters(mels: int) -> Tensor:
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(
        num_frequency_bins=FFT_SIZE // 2 + 1,
        num_mel_filters=mels,
        min_frequency=0.0,
        max_frequency=MAX_MEL_HZ,
        sampling_rate=SAMPLE_RATE_HZ,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(np.asarray(bank, dtype=np.float32))


def log_mel(audio: Tensor, *, mels: int = 80) -> Tensor:
    """Natural log of mel amplitudes: (T, mels) float32 for samples (N,), with T = 1 + N // 256.

    The published front end: magnitude of a 1024-point Fourier transform with a Hann window every 256 samples, reflected
    at the ends, through Slaney's mel filters from 0 to 8 kHz (librosa's default), not below 1e-5.
    """
    window = torch.hann_window(FFT_SIZE, device=audio.device)
    spectrum = torch.stft(audio, FFT_SIZE, HOP, window=window, center=True, pad_mode="reflect", return_complex=True)
    return (spectrum.abs().T @ _filters(mels)).clamp(min=FLOOR).log()
