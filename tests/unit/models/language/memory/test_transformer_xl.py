"""Transformer-XL's case: the memory is carried over batches, and evaluation depends on neither batches nor ranks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_samples import dataset_spec, recipe, sample_spec
from torch.utils._python_dispatch import TorchDispatchMode
from wikitext_samples import LINES, write_wikitext

from models.datasets.base import evaluation_loader
from models.datasets.batching import StreamSampler
from models.datasets.language.tokens.next_token import IGNORED, TokenExample
from models.datasets.language.tokens.passages import Passages
from models.datasets.language.tokens.token_stream import open_npy
from models.language.memory.transformer_xl import TransformerXl
from models.schedules import rate_factor


@pytest.fixture(scope="module")
def trainable() -> TransformerXl:
    torch.manual_seed(0)
    case = recipe("transformer_xl")
    case.architecture |= {"hidden": 32, "heads": 2, "head_size": 16, "intermediate": 64, "evaluation_segments": 4}
    return TransformerXl(case).eval()


def test_the_loss_goes_on_where_the_batch_before_ended(trainable: TransformerXl) -> None:
    train: Any = trainable.datasets(sample_spec()).train
    batches = iter(StreamSampler(length=len(train), batch_size=2))
    chosen = [next(batches) for _ in range(3)]
    losses = []
    trainable.reset_state()
    with torch.no_grad():
        for rows in chosen:
            losses.append(trainable.loss(trainable.collate([train[row] for row in rows])).item())
        trainable.reset_state()
        text = [np.concatenate([train[rows[n]].inputs for rows in chosen]) for n in range(2)]
        wanted = [np.concatenate([train[rows[n]].targets for rows in chosen]) for n in range(2)]
        whole = trainable.collate(_examples(text, wanted))
        trainable.metrics["perplexity"].reset()
        trainable.evaluate(whole)
    assert np.mean(losses) == pytest.approx(math.log(float(trainable.metrics["perplexity"].compute())), rel=1e-5)
    assert trainable.memory is None, "evaluation leaves nothing behind"


def _examples(text: list[Any], wanted: list[Any]) -> list[TokenExample]:
    return [TokenExample(one, other, len(one)) for one, other in zip(text, wanted, strict=True)]


def test_evaluation_does_not_depend_on_batches_or_ranks(trainable: TransformerXl) -> None:
    evaluation = trainable.datasets(sample_spec()).evaluation
    metric = trainable.metrics["perplexity"]

    def measured(world: int, batch_size: int) -> float:
        metric.reset()
        for rank in range(world):  # torchmetrics adds the ranks' states, so seeing all shares in turn is the same
            share: dict[str, Any] = {"rank": rank, "world": world, "workers": 0, "limit": 7}
            for batch in evaluation_loader(evaluation, trainable.collate, batch_size=batch_size, **share):
                trainable.evaluate(batch)
        return float(metric.compute())

    with torch.no_grad():
        values = [measured(*split) for split in ((1, 7), (1, 3), (3, 2))]
    assert values == pytest.approx([values[0]] * 3, rel=1e-6)


def test_perplexity_is_over_tokens_and_padding_counts_nothing(trainable: TransformerXl, tmp_path: Path) -> None:
    """Each token's probability by hand: a text of 150 tokens in passages of 128, the second mostly padding."""
    np.save(tmp_path / "ids.npy", np.random.default_rng(0).integers(1024, size=150))
    passages = Passages(open_npy(tmp_path / "ids.npy"), length=128, vocabulary=1024)
    assert len(passages) == 2 and passages[1].tokens == 21
    batch = trainable.collate([passages[0], passages[1]])
    losses = []
    with torch.no_grad():
        for example in (passages[0], passages[1]):
            memory = None
            for start in range(0, 128, 32):
                one = trainable.collate([example])
                part = [one[name][:, start : start + 32] for name in ("input_ids", "targets")]
                found, memory = trainable.network(*part, one["tails"][start // 32], memory)
                losses += found[part[1] != IGNORED].tolist()
        trainable.metrics["perplexity"].reset()
        trainable.evaluate(batch)
    assert len(losses) == 149
    assert float(trainable.metrics["perplexity"].compute()) == pytest.approx(np.exp(np.mean(losses)), rel=1e-5)


def test_memory_helps_once_learned_and_is_forgotten_on_demand(trainable: TransformerXl) -> None:
    batch = trainable.synthetic_batch(3)
    with torch.no_grad():
        trainable.reset_state()
        first = trainable.loss(batch).item()
        assert trainable.loss(batch).item() != first
        trainable.reset_state()
        assert trainable.loss(batch).item() == first
    trainable.reset_state()


class NoWaiting(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.overloadpacket.__name__ not in {"_local_scalar_dense", "nonzero", "masked_select", "equal"}
        return func(*args, **(kwargs or {}))


def test_a_training_step_never_waits_for_the_device(trainable: TransformerXl) -> None:
    train: Any = trainable.datasets(sample_spec()).train
    batch = trainable.collate([train[n] for n in range(4)])
    with NoWaiting():
        trainable.loss(batch).backward()
        trainable.loss(batch)
    trainable.reset_state()


def test_wikitext_reaches_the_loss(trainable: TransformerXl, tmp_path: Path) -> None:
    write_wikitext(tmp_path, LINES * 40)
    data: Any = trainable.datasets(dataset_spec(tmp_path))
    with torch.no_grad():
        assert trainable.loss(trainable.collate([data.train[0]])).isfinite()
        trainable.metrics["perplexity"].reset()
        trainable.evaluate(trainable.collate([data.evaluation[0]]))
    assert trainable.metrics["perplexity"].compute().isfinite()
    trainable.reset_state()


def test_the_rate_is_a_cosine_over_200000_steps() -> None:
    training = recipe("transformer_xl", "reference").training
    rates = [training.optimizer.lr * rate_factor(training.schedule, step) for step in (0, 100_000, 200_000)]
    assert rates == pytest.approx([2.5e-4, 1.25e-4, 0.0])
    assert (training.batching.by, training.max_grad_norm, training.optimizer.weight_decay) == ("streams", 0.25, 0.0)


def test_the_target_is_below_the_unigram_models_perplexity() -> None:
    case = recipe("transformer_xl")
    train, evaluation = TransformerXl(case).datasets(sample_spec())
    known = train.tokens.read(0, train.tokens.length)  # type: ignore[attr-defined]
    counts = np.bincount(known, minlength=1024) + 1
    held = [evaluation[n].targets for n in range(case.training.quality.samples or 0)]
    targets = np.concatenate(held)
    log_shares = np.log(counts / counts.sum())[targets[targets != IGNORED]]
    assert 1 < case.training.quality.targets["perplexity"] < 0.5 * float(np.exp(-log_shares.mean()))
