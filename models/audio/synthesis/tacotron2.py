"""Tacotron 2: mel spectrograms from text. FlagPerf training/tacotron2 (arXiv 1712.05884, LJSpeech).

A sample is a real (not padded) mel frame. The loss is FlagPerf's: the squared error of the frames before and after the
postnet plus the cross-entropy of the gate. Evaluation uses teacher forcing as well, as in the published case.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (torch's own name for it)
from torch.nn.utils.rnn import pad_sequence

from models.audio.synthesis.tacotron2_network import Tacotron2, Tacotron2Architecture, padding_mask
from models.datasets.audio.ljspeech import LJSpeech, Utterance
from models.datasets.audio.speech import SpeechSample, speech_sample
from models.datasets.base import Batch, Counts, Datasets
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.metrics import Mean
from models.recipe import Recipe
from models.trainable import Trainable


class Tacotron2Trainable(Trainable):
    """Text to mel frames, trained and evaluated with teacher forcing.

    A batch holds `symbols` (B, S) int64, `symbol_lengths` (B,) int64, `mels` (B, T, M) float32, `mel_lengths` (B,)
    int64, and `frames`, the sum of `mel_lengths`, as a Python integer.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.config = Tacotron2Architecture(**recipe.architecture)
        self.network = Tacotron2(self.config)
        self.metrics = {"validation_loss": Mean()}
        self.evaluation_frames = 0

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss per frame: of the real frames, or with `mask_padding` off of all frames of the padded batch."""
        mels, lengths = batch["mels"].float(), batch["mel_lengths"]
        prediction = self.network(batch["symbols"], batch["symbol_lengths"], batch["mels"], lengths)
        error = (prediction.decoded.float() - mels).square() + (prediction.refined.float() - mels).square()
        ended = padding_mask(lengths - 1, mels.shape[1])  # true from the last frame on
        gate = F.binary_cross_entropy_with_logits(prediction.gate.float(), ended.float(), reduction="none")
        per_frame = error.mean(2) + gate
        if self.config.mask_padding:
            per_frame = per_frame.masked_fill(padding_mask(lengths, mels.shape[1]), 0)
        mean: Tensor = per_frame.sum() / self.loss_frames(batch)
        return mean

    def loss_frames(self, batch: Batch) -> int:
        """Frames that the loss of this batch is the mean over."""
        rows, columns = batch["mels"].shape[:2]
        return int(batch["frames"] if self.config.mask_padding else rows * columns)

    def evaluate(self, batch: Batch) -> None:
        """Add the batch's loss, weighted by its frames: exact over batches and ranks.

        Where padding counts, every clip is padded to the longest of the evaluation set, as if the set were one batch:
        padded to the longest of its own batch, the loss would depend on which clips come together.
        """
        missing = 0 if self.config.mask_padding else max(0, self.evaluation_frames - batch["mels"].shape[1])
        padded = batch | {"mels": F.pad(batch["mels"], (0, 0, 0, missing))}
        self.metrics["validation_loss"].update(self.loss(padded), self.loss_frames(padded))

    def datasets(self, spec: DataSpec) -> Datasets:
        """LJSpeech's published mels under `spec.root`, or synthesised speech.

        Raises:
            DataError: a file list or a mel is missing or malformed, or `spec.root` is not given.
        """
        train: SpeechSample | LJSpeech
        evaluation: SpeechSample | LJSpeech
        if spec.name != "dataset":
            train, evaluation = speech_sample(symbols_per_clip=self.config.symbols_per_clip, mels=self.config.mels)
        else:
            root = dataset_root(spec, expected=LJSpeech.expected, source=LJSpeech.source)
            train, evaluation = (LJSpeech(root, split, mels=self.config.mels) for split in ("train", "val"))
        if not self.config.mask_padding:
            self.evaluation_frames = max(len(evaluation[index].mel) for index in range(len(evaluation)))
        return Datasets(train, evaluation)

    def collate(self, examples: list[Any]) -> Batch:
        """Pad utterances to the longest text and the longest clip."""
        utterances: list[Utterance] = examples
        symbols = [utterance.symbols for utterance in utterances]
        mels = [utterance.mel for utterance in utterances]
        return {
            "symbols": pad_sequence(symbols, batch_first=True),
            "symbol_lengths": torch.tensor([len(row) for row in symbols]),
            "mels": pad_sequence(mels, batch_first=True),
            "mel_lengths": torch.tensor([len(row) for row in mels]),
            "frames": sum(len(row) for row in mels),
        }

    def synthetic_batch(self, batch_size: int) -> Batch:
        """Clips without padding, at the data set's mean lengths; mels spread like real ones (mean -5, deviation 2)."""
        text, frames = self.config.symbols_per_clip, self.config.frames_per_clip
        return {
            "symbols": torch.randint(1, self.config.symbols, (batch_size, text)),
            "symbol_lengths": torch.full((batch_size,), text),
            "mels": torch.randn(batch_size, frames, self.config.mels) * 2 - 5,
            "mel_lengths": torch.full((batch_size,), frames),
            "frames": batch_size * frames,
        }

    def count(self, batch: Batch) -> Counts:
        """Real mel frames."""
        return Counts(samples=batch["frames"])
