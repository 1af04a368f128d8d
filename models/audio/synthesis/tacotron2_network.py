"""Tacotron 2's spectrogram predictor: characters in, mel frames out.

Written from the paper (Shen et al. 2018, arXiv 1712.05884, section 2.2). Where the published training case is more
precise than the paper, it follows that case (FlagPerf training/tacotron2): location features see the previous weights
beside the cumulative ones, and prenet and attention have no biases. Zoneout is the paper's, on the decoder's cells; the
encoder's LSTM has none, and the published case has dropout in zoneout's place.
Padding is masked with tensors made from lengths alone, so the network also runs on the meta device.

Shapes: B clips, S symbols, T mel frames, M mel channels, E encoder width.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)

from models.audio.synthesis.tacotron2_attention import EncodedText, LocationSensitiveAttention, linear


@dataclass(kw_only=True, slots=True)
class Tacotron2Architecture:
    """Widths, depths and regularisation; `conf/model/tacotron2.yaml` gives the values of both scales."""

    symbols: int
    embedding: int
    encoder_convolutions: int
    kernel_size: int
    prenet: int
    attention_rnn: int
    decoder_rnn: int
    attention: int
    location_filters: int
    location_kernel_size: int
    postnet: int
    postnet_convolutions: int
    mels: int
    prenet_dropout: float
    convolution_dropout: float
    zoneout: float
    mask_padding: bool
    """Whether padded mel frames are hidden from the postnet and left out of the loss. The published case counts them:
    it asks for silence (0) and a shut gate after the end of each clip."""
    symbols_per_clip: int
    """Mean length of sample data; every length of a synthetic batch."""
    frames_per_clip: int
    """Length of every clip in a synthetic batch."""


class Prediction(NamedTuple):
    """What the network says about each frame under teacher forcing."""

    decoded: Tensor
    """(B, T, M) log-mel frames of the decoder."""
    refined: Tensor
    """(B, T, M) the same with the postnet's correction."""
    gate: Tensor
    """(B, T) logit of "this is the last frame"."""
    alignment: Tensor
    """(B, T, S) attention weights in float32, one row per frame."""


class State(NamedTuple):
    """What one decoder step hands to the next."""

    attention_hidden: Tensor
    attention_cell: Tensor
    decoder_hidden: Tensor
    decoder_cell: Tensor
    context: Tensor
    weights: Tensor
    cumulative: Tensor


def padding_mask(lengths: Tensor, size: int) -> Tensor:
    """(B, size) true where a row of length `lengths` has ended."""
    return torch.arange(size, device=lengths.device) >= lengths.unsqueeze(1)


def _convolution(inputs: int, outputs: int, kernel_size: int, gain: str) -> nn.Sequential:
    convolution = nn.Conv1d(inputs, outputs, kernel_size, padding=kernel_size // 2)
    nn.init.xavier_uniform_(convolution.weight, gain=nn.init.calculate_gain(gain))  # type: ignore[arg-type]
    return nn.Sequential(convolution, nn.BatchNorm1d(outputs))


class Encoder(nn.Module):
    """Embedding, convolutions and a bidirectional LSTM."""

    def __init__(self, config: Tacotron2Architecture) -> None:
        super().__init__()
        width = config.embedding
        self.dropout = config.convolution_dropout
        self.embedding = nn.Embedding(config.symbols, width)
        nn.init.xavier_uniform_(self.embedding.weight, gain=nn.init.calculate_gain("relu"))
        self.convolutions = nn.ModuleList(
            _convolution(width, width, config.kernel_size, "relu") for _ in range(config.encoder_convolutions)
        )
        self.forward_lstm = nn.LSTM(width, width // 2, batch_first=True)
        self.backward_lstm = nn.LSTM(width, width // 2, batch_first=True)

    def forward(self, symbols: Tensor, lengths: Tensor) -> Tensor:
        """Encode (B, S) symbol ids of the given lengths as (B, S, E); rows are 0 after their end."""
        padded = padding_mask(lengths, symbols.shape[1])
        hidden = self.embedding(symbols).transpose(1, 2)
        for convolution in self.convolutions:
            hidden = convolution(hidden.masked_fill(padded.unsqueeze(1), 0))
            hidden = F.dropout(F.relu(hidden), self.dropout, self.training)
        hidden = hidden.transpose(1, 2).masked_fill(padded.unsqueeze(2), 0)
        # Each row is turned round within its own length, so that the backward pass begins at its last symbol and not at
        # padding. A packed sequence does the same, but needs the lengths on the host.
        position = torch.arange(symbols.shape[1], device=symbols.device)
        turned = torch.where(padded, position, lengths.unsqueeze(1) - 1 - position).unsqueeze(2)
        onward, _ = self.forward_lstm(hidden)
        back, _ = self.backward_lstm(hidden.gather(1, turned.expand(-1, -1, hidden.shape[2])))
        back = back.gather(1, turned.expand(-1, -1, back.shape[2]))
        return torch.cat([onward, back], 2).masked_fill(padded.unsqueeze(2), 0)


class DecoderStep(nn.Module):
    """One frame: attention LSTM, attention, decoder LSTM."""

    def __init__(self, config: Tacotron2Architecture) -> None:
        super().__init__()
        self.zoneout = config.zoneout
        self.attention_lstm = nn.LSTMCell(config.prenet + config.embedding, config.attention_rnn)
        self.attention = LocationSensitiveAttention(
            query=config.attention_rnn,
            memory=config.embedding,
            width=config.attention,
            filters=config.location_filters,
            kernel_size=config.location_kernel_size,
        )
        self.decoder_lstm = nn.LSTMCell(config.attention_rnn + config.embedding, config.decoder_rnn)

    def _keep(self, old: Tensor, new: Tensor, kept: Tensor | None) -> Tensor:
        """Zoneout: a unit keeps its old value with a set probability; in evaluation, the expectation of that."""
        if kept is not None:
            return torch.where(kept, old, new)
        return new + (old - new) * self.zoneout if self.zoneout and not self.training else new

    def forward(self, frame: Tensor, memory: EncodedText, state: State, kept: tuple[Tensor, ...] | None) -> State:
        """Take one step.

        Args:
            frame: (B, prenet) the previous frame, after the prenet.
            memory: the text, from `attention.remember`.
            state: that of the step before.
            kept: four masks (B, width), the units that zoneout leaves alone; None when nothing is zoned out.
        """
        zoned = kept or (None, None, None, None)
        hidden, cell = self.attention_lstm(
            torch.cat([frame, state.context], 1), (state.attention_hidden, state.attention_cell)
        )
        hidden = self._keep(state.attention_hidden, hidden, zoned[0])
        cell = self._keep(state.attention_cell, cell, zoned[1])
        context, weights = self.attention(hidden, memory, state.weights, state.cumulative)
        decoder_hidden, decoder_cell = self.decoder_lstm(
            torch.cat([hidden, context], 1), (state.decoder_hidden, state.decoder_cell)
        )
        decoder_hidden = self._keep(state.decoder_hidden, decoder_hidden, zoned[2])
        decoder_cell = self._keep(state.decoder_cell, decoder_cell, zoned[3])
        return State(hidden, cell, decoder_hidden, decoder_cell, context, weights, state.cumulative + weights)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _evaluation_mask(layer: int, size: torch.Size, dropout: float) -> Tensor:
    """(T, prenet) factors of dropout, 0 or 1 ÷ (1 - dropout): for each frame and unit the same in every evaluation.

    Drawn as they come, they would give each clip other ones with every batch size, number of ranks and device, and the
    validation loss would depend on them.
    """
    drawn = torch.rand(size, generator=torch.Generator("cpu").manual_seed(layer), device="cpu")
    return (drawn >= dropout).float() / (1 - dropout)


class MelDecoder(nn.Module):
    """Prenet, the steps over time, and the projections to mel frames and gate."""

    def __init__(self, config: Tacotron2Architecture) -> None:
        super().__init__()
        self.config = config
        self.prenet = nn.ModuleList(
            [linear(config.mels, config.prenet, "relu"), linear(config.prenet, config.prenet, "relu")]
        )
        self.step = DecoderStep(config)
        width = config.decoder_rnn + config.embedding
        self.projection = linear(width, config.mels, "linear", bias=True)
        self.gate = linear(width, 1, "sigmoid", bias=True)

    def _previous(self, mels: Tensor) -> Tensor:
        """(B, T, prenet) the frame before each; dropout stays on in evaluation, as in the paper."""
        hidden, dropout = F.pad(mels[:, :-1], (0, 0, 1, 0)), self.config.prenet_dropout
        for number, layer in enumerate(self.prenet):
            hidden = F.relu(layer(hidden))
            if self.training:
                hidden = F.dropout(hidden, dropout)
            else:
                hidden = hidden * _evaluation_mask(number, hidden.shape[1:], dropout).to(hidden)
        return hidden

    def _start(self, text: Tensor) -> State:
        batch, length, width = text.shape
        attention, decoder = (text.new_zeros(batch, n) for n in (self.config.attention_rnn, self.config.decoder_rnn))
        weights = text.new_zeros(batch, length, dtype=torch.float32)
        return State(attention, attention, decoder, decoder, text.new_zeros(batch, width), weights, weights)

    def _zoneout_masks(self, text: Tensor, steps: int) -> list[tuple[Tensor, ...]] | None:
        """All random masks in one draw each: hundreds of small draws would cost more than the steps they serve."""
        if not (self.training and self.config.zoneout):
            return None
        widths = (self.config.attention_rnn,) * 2 + (self.config.decoder_rnn,) * 2
        masks = [
            torch.empty(steps, text.shape[0], width, dtype=torch.bool, device=text.device)
            .bernoulli_(self.config.zoneout)
            .unbind()
            for width in widths
        ]
        return list(zip(*masks, strict=True))

    # A compiler that follows the loop would unroll hundreds of steps; left outside, it compiles one step and reuses it.
    @torch.compiler.disable(recursive=False)  # type: ignore[no-untyped-call, untyped-decorator]
    def _unroll(self, frames: Tensor, text: Tensor, padded: Tensor) -> tuple[Tensor, Tensor]:
        memory = self.step.attention.remember(text, padded)
        state = self._start(text)
        masks = self._zoneout_masks(text, frames.shape[1])
        outputs, alignment = [], []
        for index, frame in enumerate(frames.unbind(1)):
            state = self.step(frame, memory, state, masks[index] if masks else None)
            outputs.append(torch.cat([state.decoder_hidden, state.context], 1))
            alignment.append(state.weights)
        return torch.stack(outputs, 1), torch.stack(alignment, 1)

    def forward(self, text: Tensor, padded: Tensor, mels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mel frames (B, T, M), gate logits (B, T) and alignment (B, T, S): each frame of `mels` from those before."""
        hidden, alignment = self._unroll(self._previous(mels), text, padded)
        return self.projection(hidden), self.gate(hidden).squeeze(2), alignment


class Postnet(nn.Module):
    """Convolutions over the whole spectrogram that predict what the decoder missed."""

    def __init__(self, config: Tacotron2Architecture) -> None:
        super().__init__()
        self.dropout = config.convolution_dropout
        widths = [config.mels, *[config.postnet] * (config.postnet_convolutions - 1), config.mels]
        last = config.postnet_convolutions - 1
        self.convolutions = nn.ModuleList(
            _convolution(inputs, outputs, config.kernel_size, "linear" if index == last else "tanh")
            for index, (inputs, outputs) in enumerate(pairwise(widths))
        )

    def forward(self, mels: Tensor, padded: Tensor | None) -> Tensor:
        """Correction (B, T, M) of frames (B, T, M); padded frames (B, T), where given, are silent to every layer."""
        hidden = mels.transpose(1, 2)
        for index, convolution in enumerate(self.convolutions):
            hidden = hidden if padded is None else hidden.masked_fill(padded.unsqueeze(1), 0)
            hidden = convolution(hidden)
            hidden = torch.tanh(hidden) if index < len(self.convolutions) - 1 else hidden
            hidden = F.dropout(hidden, self.dropout, self.training)
        return hidden.transpose(1, 2)


class Tacotron2(nn.Module):
    """The whole network, trained with teacher forcing."""

    def __init__(self, config: Tacotron2Architecture) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = MelDecoder(config)
        self.postnet = Postnet(config)

    def forward(self, symbols: Tensor, symbol_lengths: Tensor, mels: Tensor, mel_lengths: Tensor) -> Prediction:
        """Predict each frame of a clip from its text and the true frames before it.

        Args:
            symbols: (B, S) ids, any value after a row's length.
            symbol_lengths: (B,) at least 1.
            mels: (B, T, M) log-mel frames.
            mel_lengths: (B,) at least 1.
        """
        text = self.encoder(symbols, symbol_lengths)
        text_padding = padding_mask(symbol_lengths, symbols.shape[1])
        mel_padding = padding_mask(mel_lengths, mels.shape[1]) if self.config.mask_padding else None
        frames = mels.to(self.decoder.projection.weight.dtype)
        decoded, gate, alignment = self.decoder(text, text_padding, frames)
        return Prediction(decoded, decoded + self.postnet(decoded, mel_padding), gate, alignment)
