"""The tiny targets cannot be met without learning: a predictor that knows only frequencies misses them by far."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from language_samples import recipe, sample_spec
from zoo import MODELS, model_class

from models.datasets.language.samples.text_sample import text_sample
from models.datasets.language.tokens.next_token import IGNORED
from models.language.decoders.gpt2 import Gpt2
from models.language.decoders.text_decoder import TextDecoder
from models.language.encoders.bert import BertPretraining

TEXT_DECODERS = [model for model in MODELS if getattr(model_class(model), "datasets", None) is TextDecoder.datasets]


def test_mlm_target_is_above_the_most_frequent_word() -> None:
    case = recipe("bert")
    evaluation = BertPretraining(case).datasets(sample_spec()).evaluation
    words: Counter[int] = Counter()
    for index in range(case.training.quality.samples or 0):
        example = evaluation[index]
        words.update(example.word_ids[example.positions > 0].tolist())
    best = words.most_common(1)[0][1] / words.total()
    assert best > 0.02
    assert case.training.quality.targets["mlm_accuracy"] > 1.5 * best


def test_last_word_target_is_above_the_best_constant_answer() -> None:
    case = recipe("gpt2")
    evaluation = Gpt2(case).datasets(sample_spec()).evaluation
    words: Counter[tuple[int, ...]] = Counter()
    for index in range(case.training.quality.samples or 0):
        targets = evaluation[index].targets
        words[tuple(targets[targets != IGNORED].tolist())] += 1
    best = words.most_common(1)[0][1] / words.total()
    assert best > 0.02
    assert case.training.quality.targets["lambada_accuracy"] > 1.5 * best


@pytest.mark.parametrize("model", TEXT_DECODERS)
def test_perplexity_target_is_below_the_unigram_models(model: str) -> None:
    case = recipe(model)
    vocabulary = case.architecture["vocabulary"]
    sample = text_sample(sample_spec().cache_path, "bpe", vocabulary)
    counts = np.bincount(sample.train.read(0, sample.train.length), minlength=vocabulary) + 1
    log_shares = np.log(counts / counts.sum())
    length = (case.training.quality.samples or 0) * case.architecture["sequence_length"]
    unigram = float(np.exp(-log_shares[sample.evaluation.read(1, length + 1)].mean()))
    assert 1 < case.training.quality.targets["perplexity"] < 0.5 * unigram
