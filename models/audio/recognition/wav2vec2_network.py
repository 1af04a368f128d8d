"""wav2vec 2.0: speech frames, an hourglass of transformer layers that sees some of them hidden, and quantised targets.

Written from the paper (Baevski et al. 2020, arXiv 2006.11477) and, where it is more precise, fairseq's base model; the
hourglass is the published case's (NVIDIA DeepLearningExamples, PyTorch/SpeechRecognition/wav2vec2): after a few layers
each `shortening` frames are averaged, and after most layers repeated, added to what there was and refined. It has no
weights of its own: there are as many as in fairseq's base. All utterances of a batch are equally long.

Shapes: B utterances, N samples, T frames, M hidden frames, H hidden values, D final values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)
from torch.nn.utils.parametrizations import weight_norm

from models.audio.recognition.quantiser import Quantised, Quantiser


@dataclass(kw_only=True, slots=True)
class Wav2Vec2Architecture:
    """Sizes, regularisation, masking and loss; `conf/model/wav2vec2.yaml` gives the values of both scales."""

    convolutions: list[tuple[int, int, int]]
    """Channels, kernel and stride of each."""
    hidden: int
    feed_forward: int
    heads: int
    depths: tuple[int, int, int]
    """Layers before the hourglass's waist, in it and after it."""
    shortening: int
    """Frames that become one in the waist."""
    position_kernel: int
    position_groups: int
    dropout: float
    """Of inputs, targets, attention, and each layer's two outputs; there is none inside the feed-forward part."""
    layer_dropout: float
    feature_gradient: float
    """The convolutions' gradients are scaled by it."""
    codebooks: int
    codes: int
    final: int
    temperature: tuple[float, float, float]
    """Of the quantiser: first, last, and factor per update."""
    mask_share: float
    mask_length: int
    negatives: int
    logit_temperature: float
    loss_weights: tuple[float, float]
    """Of the codes that are not made use of, and of the features' mean square."""
    longest: int
    """Samples that training utterances are cut to."""
    shortest: int
    """Samples below which an utterance is not trained on."""
    symbols_per_clip: int
    """Mean length of sample data's texts."""

    @property
    def layers(self) -> int:
        """Transformer layers in all."""
        return sum(self.depths)


class HiddenPrediction(NamedTuple):
    """What the network says about the hidden frames."""

    context: Tensor
    """(B, M, D)."""
    targets: Quantised
    """`vectors` (B, M, D) and `codes` (B, M)."""
    penalty: Tensor
    """Scalar: mean square of the convolutions' output."""


class ScaledGradient(torch.autograd.Function):
    """The identity, whose gradient is scaled."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        """The values."""
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The gradient times the factor."""
        return gradients[0] * ctx.factor, None


class FrameEncoder(nn.Sequential):
    """Samples (B, 1, N) to frames (B, C, T): convolutions with GELU, the first one's channels normalised over time."""

    def __init__(self, convolutions: Sequence[tuple[int, int, int]]) -> None:
        steps: list[nn.Module] = []
        before = 1
        for channels, kernel, stride in convolutions:
            convolution = nn.Conv1d(before, channels, kernel, stride, bias=False)
            nn.init.kaiming_normal_(convolution.weight)
            steps += [convolution, *([] if steps else [nn.GroupNorm(channels, channels)]), nn.GELU()]
            before = channels
        super().__init__(*steps)


class ContextLayer(nn.Module):
    """A transformer layer that normalises after each of its two parts."""

    def __init__(self, config: Wav2Vec2Architecture) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.projections = nn.Linear(config.hidden, 3 * config.hidden)
        self.output = nn.Linear(config.hidden, config.hidden)
        self.attention_norm = nn.LayerNorm(config.hidden)
        self.feed_forward = nn.Sequential(
            nn.Linear(config.hidden, config.feed_forward), nn.GELU(), nn.Linear(config.feed_forward, config.hidden)
        )
        self.output_norm = nn.LayerNorm(config.hidden)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, H) to the same."""
        dropped = self.dropout if self.training else 0.0
        query, key, value = self.projections(frames).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, dropout_p=dropped)
        attended = self.output(seen.transpose(1, 2).flatten(2))
        frames = self.attention_norm(frames + F.dropout(attended, dropped))
        normalised: Tensor = self.output_norm(frames + F.dropout(self.feed_forward(frames), dropped))
        return normalised

    def left_out(self, frames: Tensor) -> Tensor:
        """The frames as they are, with gradients of zero for the layer: data parallel waits for every parameter."""
        return frames + 0 * torch.stack([parameter.sum() for parameter in self.parameters()]).sum()


class Hourglass(nn.Module):
    """Positions, then transformer layers, most of them over averaged frames."""

    def __init__(self, config: Wav2Vec2Architecture) -> None:
        super().__init__()
        self.config = config
        kernel = config.position_kernel
        positions = nn.Conv1d(config.hidden, config.hidden, kernel, padding=kernel // 2, groups=config.position_groups)
        nn.init.normal_(positions.weight, std=(4 / (kernel * config.hidden)) ** 0.5)
        nn.init.zeros_(positions.bias)  # type: ignore[arg-type]
        self.positions = weight_norm(positions, dim=2)
        self.norm = nn.LayerNorm(config.hidden)
        self.layers = nn.ModuleList(ContextLayer(config) for _ in range(config.layers))
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, frames: Tensor, kept: Sequence[bool]) -> Tensor:
        """(B, T, H) to the same; `kept` says for each layer whether it takes part."""
        length = frames.shape[1]
        before, waist, _ = self.config.depths
        after = before + waist
        positions = self.positions(frames.transpose(1, 2))[:, :, :length]  # an even kernel gives one too many
        frames = self.norm(frames + F.gelu(positions).transpose(1, 2))
        frames = F.dropout(frames, self.config.dropout, self.training)
        frames = self._through(frames, kept, 0, before)
        if waist:
            frames = frames + self._shortened(frames, kept, before, after)
        return self._through(frames, kept, after, len(self.layers))

    def _shortened(self, frames: Tensor, kept: Sequence[bool], first: int, end: int) -> Tensor:
        """What layers make of the averages of neighbours; frames of zero fill up the last average."""
        (rows, length, width), factor = frames.shape, self.config.shortening
        filled = F.pad(frames, (0, 0, 0, -length % factor))
        short = self._through(filled.reshape(rows, -1, factor, width).mean(2), kept, first, end)
        return short.repeat_interleave(factor, dim=1)[:, :length]

    def _through(self, frames: Tensor, kept: Sequence[bool], first: int, end: int) -> Tensor:
        for number in range(first, end):
            layer: Any = self.layers[number]
            frames = layer(frames) if kept[number] else layer.left_out(frames)
        return frames


class Wav2Vec2(nn.Module):
    """From samples to what the network makes of hidden frames, and the targets to tell from one another."""

    def __init__(self, config: Wav2Vec2Architecture, *, passes_per_update: int = 1) -> None:
        super().__init__()
        self.config = config
        channels = config.convolutions[-1][0]
        self.frames = FrameEncoder(config.convolutions)
        self.norm = nn.LayerNorm(channels)
        self.projection = nn.Linear(channels, config.hidden)
        self.hidden_frame = nn.Parameter(torch.rand(config.hidden))
        self.encoder = Hourglass(config)
        self.quantiser = Quantiser(
            channels,
            codebooks=config.codebooks,
            codes=config.codes,
            width=config.final,
            temperature=config.temperature,
            passes_per_update=passes_per_update,
        )
        self.target_projection = nn.Linear(config.final, config.final)
        self.context_projection = nn.Linear(config.hidden, config.final)

    def forward(self, audio: Tensor, masked: Tensor, kept: Sequence[bool]) -> HiddenPrediction:
        """Predict.

        Args:
            audio: (B, N) samples.
            masked: (B, M) int64, the hidden frames.
            kept: for each transformer layer whether it takes part.
        """
        features = self.frames(audio.unsqueeze(1))
        if self.training:
            features = ScaledGradient.apply(features, self.config.feature_gradient)
        penalty = features.float().square().mean()
        features = self.norm(features.transpose(1, 2))
        inputs = F.dropout(self.projection(features), self.config.dropout, self.training)
        targets = F.dropout(features, self.config.dropout, self.training)
        quantised = self.quantiser(_at(targets, masked))
        hidden = torch.zeros(inputs.shape[:2], dtype=torch.bool, device=inputs.device).scatter(1, masked, True)
        inputs = torch.where(hidden.unsqueeze(2), self.hidden_frame.to(inputs.dtype), inputs)
        context = self.context_projection(_at(self.encoder(inputs, kept), masked))
        vectors = self.target_projection(quantised.vectors)
        return HiddenPrediction(context, quantised._replace(vectors=vectors), penalty)


def _at(frames: Tensor, places: Tensor) -> Tensor:
    """(B, M, C) of (B, T, C) at (B, M)."""
    return frames.gather(1, places.unsqueeze(2).expand(-1, -1, frames.shape[2]))
