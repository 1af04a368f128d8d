"""The tiny targets cannot be met without learning: a predictor that knows only frequencies misses them by far."""

from __future__ import annotations

from collections import Counter

import numpy as np
from language_samples import recipe, sample_spec

from models.datasets.language.tokens.next_token import IGNORED
from models.language.decoders.gpt2 import Gpt2
from models.language.decoders.llama import Llama
from models.language.encoders.bert import BertPretraining


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


def test_perplexity_target_is_below_the_unigram_models() -> None:
    case = recipe("llama2_7b")
    trainable = Llama(case)
    train, evaluation = trainable.datasets(sample_spec())
    known = train.tokens.read(0, train.tokens.length)  # type: ignore[attr-defined]
    counts = np.bincount(known, minlength=trainable.sizes.vocabulary) + 1
    log_shares = np.log(counts / counts.sum())
    targets = np.concatenate([evaluation[index].targets for index in range(case.training.quality.samples or 0)])
    unigram = float(np.exp(-log_shares[targets].mean()))
    assert 1 < case.training.quality.targets["perplexity"] < 0.5 * unigram
