"""wav2vec 2.0, pre-training: representations of speech without text. FlagPerf training/wav2vec2 (arXiv 2006.11477).

A sample is a hidden frame: that is what FlagPerf and NVIDIA count as a token. The loss is fairseq's, per hidden frame:
the contrast's cross-entropy, plus the weighted share of codes that are not made use of and the weighted mean square of
the features. A training batch is cut to its shortest utterance, so there is no padding; evaluation takes each utterance
whole and by itself, so that what comes together in a batch changes nothing.
The published program joins four batches to one pass, hides as many frames in every row of one of them, and takes the
codes that are made use of from the last. Here a pass is one batch in both respects.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.audio.recognition.contrast import contrast_logits, contrast_loss, told_apart
from models.audio.recognition.wav2vec2_network import HiddenPrediction, Wav2Vec2, Wav2Vec2Architecture
from models.datasets.audio.librispeech import EVALUATION, TRAINING, LibriSpeech, SpokenUtterance, sample_utterances
from models.datasets.audio.masking import distractors, frames_of, masked_frames
from models.datasets.base import Batch, Counts, Datasets
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.metrics import Share
from models.recipe import Recipe
from models.trainable import Trainable

FEWEST_FRAMES = 4
"""Two spans that begin at different places, and one frame more."""


class Wav2Vec2Trainable(Trainable):
    """Utterances with hidden frames.

    A training batch holds `audio` (B, N) float32, `masked` (B, M) int64 frames, `negatives` (B, M, K) int64 places
    among these, `kept`, a boolean for each transformer layer, and `hidden_frames`, B x M as a Python integer. An
    evaluation batch holds `utterances`, a list of such batches of one row each.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.config = Wav2Vec2Architecture(**recipe.architecture)
        self.windows = [(kernel, stride) for _, kernel, stride in self.config.convolutions]
        passes = recipe.training.gradient_accumulation_steps
        self.network = Wav2Vec2(self.config, passes_per_update=passes)
        self.metrics = {"accuracy": Share()}

    def units(self) -> list[nn.Module]:
        """None: each rank leaves out layers of its own."""
        return []

    def loss(self, batch: Batch) -> Tensor:
        """Contrast, diversity and penalty, per hidden frame."""
        prediction = self._predict(batch)
        contrast = contrast_loss(self._logits(prediction, batch))
        diversity, penalty = self.config.loss_weights
        return contrast + diversity * prediction.targets.unused + penalty * prediction.penalty

    def evaluate(self, batch: Batch) -> None:
        """Count the hidden frames of each utterance that are told from the others."""
        for utterance in batch["utterances"]:
            self.metrics["accuracy"].update(told_apart(self._logits(self._predict(utterance), utterance)))

    def _predict(self, batch: Batch) -> HiddenPrediction:
        prediction: HiddenPrediction = self.network(batch["audio"], batch["masked"], batch["kept"])
        return prediction

    def _logits(self, prediction: HiddenPrediction, batch: Batch) -> Tensor:
        return contrast_logits(
            prediction.context, prediction.targets, batch["negatives"], self.config.logit_temperature
        )

    def datasets(self, spec: DataSpec) -> Datasets:
        """LibriSpeech's manifests under `spec.root`, or synthesised speech.

        Raises:
            DataError: a manifest is missing or malformed, or `spec.root` is not given.
        """
        longest = self.config.longest
        if spec.name != "dataset":
            return sample_utterances(symbols_per_clip=self.config.symbols_per_clip, longest=longest)
        root = dataset_root(spec, expected=LibriSpeech.expected, source=LibriSpeech.source)
        train = LibriSpeech(root, TRAINING, shortest=self.config.shortest, longest=longest, whole=False)
        evaluation = LibriSpeech(root, EVALUATION, shortest=self._fewest_samples(), longest=longest, whole=True)
        return Datasets(train, evaluation)

    def _fewest_samples(self) -> int:
        """Samples of an utterance in which frames can be hidden."""
        samples = FEWEST_FRAMES
        for kernel, stride in reversed(self.windows):
            samples = (samples - 1) * stride + kernel
        return samples

    def collate(self, examples: list[Any]) -> Batch:
        """Cut utterances to the shortest and hide frames, or leave each as it is; drawn from the utterances' seeds."""
        utterances: list[SpokenUtterance] = examples
        if utterances[0].whole:
            return {"utterances": [self._batch([one], len(one.audio), layer_dropout=0.0) for one in utterances]}
        samples = min(self.config.longest, *(len(one.audio) for one in utterances))
        return self._batch(utterances, samples, layer_dropout=self.config.layer_dropout)

    def _batch(self, utterances: list[SpokenUtterance], samples: int, *, layer_dropout: float) -> Batch:
        random = np.random.default_rng([one.seed for one in utterances])
        firsts = [int(random.integers(len(one.audio) - samples + 1)) for one in utterances]
        audio = [one.audio[first : first + samples] for one, first in zip(utterances, firsts, strict=True)]
        kept = (random.random(self.config.layers) >= layer_dropout).tolist()
        return {"audio": torch.stack(audio), "kept": kept, **self._hidden(random, len(utterances), samples)}

    def _hidden(self, random: np.random.Generator, rows: int, samples: int) -> Batch:
        """Which frames of `rows` utterances are hidden, and what they are told from."""
        config, frames = self.config, frames_of(samples, self.windows)
        masked = masked_frames(random, rows=rows, frames=frames, share=config.mask_share, length=config.mask_length)
        negatives = distractors(random, rows=rows, masked=masked.shape[1], count=config.negatives)
        return {
            "masked": torch.tensor(masked),
            "negatives": torch.tensor(negatives),
            "hidden_frames": masked.size,
        }

    def synthetic_batch(self, batch_size: int) -> Batch:
        """The longest utterances there are, noise as loud as speech; every layer takes part."""
        samples = self.config.longest
        return {
            "audio": torch.randn(batch_size, samples) * 0.1,
            "kept": [True] * self.config.layers,
            **self._hidden(np.random.default_rng(0), batch_size, samples),
        }

    def counted_batches(self, batch_size: int) -> list[tuple[float, Batch]]:
        """With all layers and with none, as often as layer dropout has it: a layer's cost is its own."""
        whole, share = self.synthetic_batch(batch_size), self.config.layer_dropout
        without = whole | {"kept": [False] * self.config.layers}
        return [(1 - share, whole), (share, without)] if share else [(1.0, whole)]

    def count(self, batch: Batch) -> Counts:
        """Hidden frames."""
        return Counts(samples=sum(one["hidden_frames"] for one in batch.get("utterances", [batch])))
