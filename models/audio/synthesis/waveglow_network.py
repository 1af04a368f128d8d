"""WaveGlow: an invertible network between speech and Gaussian noise, told by mel spectrograms what is spoken.

Written from the paper (Prenger et al. 2018, arXiv 1811.00002, section 2). Where the published training case is more
precise than the paper, it follows that case (NVIDIA DeepLearningExamples, PyTorch/SpeechSynthesis/Tacotron2).

Shapes: B segments, N samples, G samples of a group, T = N / G groups, M mel channels, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)
from torch.nn.utils.parametrizations import weight_norm

from models.datasets.audio.mels import HOP

UPSAMPLING_KERNEL = 4 * HOP


@dataclass(kw_only=True, slots=True)
class WaveGlowArchitecture:
    """Depths and widths; `conf/model/WaveGlow.yaml` gives the values of both scales."""

    mels: int
    flows: int
    group: int
    """Samples that are transformed together, as channels."""
    early_every: int
    """After so many flows the first `early_size` channels are done and leave the network."""
    early_size: int
    layers: int
    """Of each coupling's network; the dilation doubles from one to the next."""
    channels: int
    kernel_size: int
    segment_length: int
    """Samples of a training example."""
    symbols_per_clip: int
    """Mean length of sample data's texts."""


class Noise(NamedTuple):
    """What speech becomes, and how much the way there stretches space."""

    values: Tensor
    """(B, G, T)."""
    log_determinant: Tensor
    """Scalar, float32: log |det| of the Jacobian of `values` in the samples, over all segments together."""


class CouplingNetwork(nn.Module):
    """Scale and shift of one half of the channels, from the other half and the mels: dilated, gated convolutions."""

    def __init__(self, half: int, config: WaveGlowArchitecture) -> None:
        super().__init__()
        channels = config.channels
        condition = config.mels * config.group
        self.start = weight_norm(nn.Conv1d(half, channels, 1))
        self.dilated, self.conditions, self.outputs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for number in range(config.layers):
            last = number == config.layers - 1
            dilated = nn.Conv1d(channels, 2 * channels, config.kernel_size, dilation=2**number, padding="same")
            self.dilated.append(weight_norm(dilated))
            self.conditions.append(weight_norm(nn.Conv1d(condition, 2 * channels, 1)))
            self.outputs.append(weight_norm(nn.Conv1d(channels, channels if last else 2 * channels, 1)))
        self.end = nn.Conv1d(channels, 2 * half, 1)
        nn.init.zeros_(self.end.weight)  # at first a coupling does nothing
        nn.init.zeros_(self.end.bias)  # type: ignore[arg-type]

    def forward(self, kept: Tensor, mels: Tensor) -> tuple[Tensor, Tensor]:
        """Log of the scale, and the shift, both (B, half, T), from `kept` (B, half, T) and `mels` (B, M * G, T)."""
        hidden = self.start(kept)
        skipped: list[Tensor] = []
        for dilated, condition, output in zip(self.dilated, self.conditions, self.outputs, strict=True):
            filtered, gate = (dilated(hidden) + condition(mels)).chunk(2, dim=1)
            out = output(torch.tanh(filtered) * torch.sigmoid(gate))
            if out.shape[1] > hidden.shape[1]:
                onward, out = out.chunk(2, dim=1)
                hidden = hidden + onward
            skipped.append(out)
        shift, log_scale = self.end(torch.stack(skipped).sum(0)).chunk(2, dim=1)
        return log_scale, shift


class Flow(nn.Module):
    """One invertible step: the channels are mixed, then one half is scaled and shifted by what the other half says."""

    def __init__(self, channels: int, config: WaveGlowArchitecture) -> None:
        super().__init__()
        self.mixing = nn.Conv1d(channels, channels, 1, bias=False)
        nn.init.orthogonal_(self.mixing.weight)
        self.coupling = CouplingNetwork(channels // 2, config)

    def forward(self, audio: Tensor, mels: Tensor) -> Noise:
        """Towards noise: `audio` is (B, channels, T)."""
        segments, _, groups = audio.shape
        mixed = torch.linalg.slogdet(self._matrix()).logabsdet * (segments * groups)
        kept, changed = self.mixing(audio).chunk(2, dim=1)
        log_scale, shift = self.coupling(kept, mels)
        values = torch.cat([kept, log_scale.exp() * changed + shift], dim=1)
        return Noise(values, mixed + log_scale.float().sum())

    def inverse(self, values: Tensor, mels: Tensor) -> Tensor:
        """Towards speech."""
        kept, changed = values.chunk(2, dim=1)
        log_scale, shift = self.coupling(kept, mels)
        mixed = torch.cat([kept, (changed - shift) * (-log_scale).exp()], dim=1)
        return F.conv1d(mixed, torch.linalg.inv(self._matrix()).to(mixed.dtype).unsqueeze(2))

    def _matrix(self) -> Tensor:
        """How the channels are mixed, in float32 at least."""
        weight = self.mixing.weight.squeeze(2)
        return weight.to(torch.promote_types(weight.dtype, torch.float32))


class WaveGlow(nn.Module):
    """Speech to noise, and noise to speech."""

    def __init__(self, config: WaveGlowArchitecture) -> None:
        super().__init__()
        self.config = config
        self.upsampling = nn.ConvTranspose1d(config.mels, config.mels, UPSAMPLING_KERNEL, stride=HOP)
        left = [config.group - self.config.early_size * (k // config.early_every) for k in range(config.flows)]
        self.flows = nn.ModuleList(Flow(channels, config) for channels in left)

    def forward(self, audio: Tensor, mels: Tensor) -> Noise:
        """The noise of `audio` (B, N) whose `mels` are (B, M, frames); N is a multiple of G."""
        values = _grouped(audio.unsqueeze(1), self.config.group)
        conditions = self._conditions(mels, audio.shape[1])
        done: list[Tensor] = []
        total = torch.zeros((), device=audio.device)
        for number, flow in enumerate(self.flows):
            if self._leaves(number):
                done.append(values[:, : self.config.early_size])
                values = values[:, self.config.early_size :]
            values, log_determinant = flow(values, conditions)
            total = total + log_determinant
        return Noise(torch.cat([*done, values], dim=1), total)

    def inverse(self, values: Tensor, mels: Tensor) -> Tensor:
        """The speech (B, N) of noise (B, G, T): what `forward` undoes."""
        conditions = self._conditions(mels, values.shape[1] * values.shape[2])
        early = self.config.early_size * sum(self._leaves(number) for number in range(len(self.flows)))
        done, audio = values[:, :early], values[:, early:]
        for number in reversed(range(len(self.flows))):
            audio = self.flows[number].inverse(audio, conditions)  # type: ignore[operator]
            if self._leaves(number):
                left = done.shape[1] - self.config.early_size
                audio, done = torch.cat([done[:, left:], audio], dim=1), done[:, :left]
        return audio.transpose(1, 2).flatten(1)

    def _leaves(self, number: int) -> bool:
        """Whether channels leave before this flow."""
        return number > 0 and number % self.config.early_every == 0

    def _conditions(self, mels: Tensor, samples: int) -> Tensor:
        """(B, M * G, T): for each group of samples the upsampled mels of all of them."""
        return _grouped(self.upsampling(mels)[:, :, :samples], self.config.group)


def _grouped(values: Tensor, group: int) -> Tensor:
    """(B, C * G, T) from (B, C, N): each G neighbours in time become channels, a channel's own together."""
    segments, channels, _ = values.shape
    return values.reshape(segments, channels, -1, group).transpose(2, 3).flatten(1, 2)
