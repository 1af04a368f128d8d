"""The published case of the Transformer, its loss, and BLEU from ids to the figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sacrebleu
import torch
from fairseq_form import WORDS, write_translations
from language_samples import dataset_spec, evaluate, recipe, sample_spec

from models.costs.account import count
from models.datasets.base import evaluation_loader
from models.datasets.batching import SizedSampler
from models.language.seq2seq.transformer import Transformer
from models.schedules import rate_factor


@pytest.fixture(scope="module")
def trainable() -> Transformer:
    torch.manual_seed(0)
    return Transformer(recipe("transformer")).eval()


def first_batch(trainable: Transformer, rows: int = 6, part: str = "train") -> dict[str, Any]:
    data: Any = getattr(trainable.datasets(sample_spec()), part)
    return trainable.collate([data[index] for index in range(rows)])


def test_reference_has_the_derived_number_of_parameters() -> None:
    width, wide, words, layers = 1024, 4096, 33712, 6
    attention, feed_forward, norm = 4 * width**2, 2 * width * wide + wide + width, 2 * width
    encoder, decoder = attention + feed_forward + 2 * norm, 2 * attention + feed_forward + 3 * norm
    with torch.device("meta"):
        network = Transformer(recipe("transformer", "reference")).network
    parameters = sum(one.numel() for one in network.parameters())
    assert parameters == words * width + layers * (encoder + decoder) + 2 * norm == 210_808_832


def test_reference_flops_are_those_of_its_products() -> None:
    """Per target token, of synthetic sentences of 35 on either side."""
    case = recipe("transformer", "reference")
    costs = count(Transformer, case, weights_dtype="float32", autocast_dtype=None, batch_size=2)
    width, wide, words, length = 1024, 4096, 33712, 35
    weights = 6 * (4 + 8) * width**2 + 12 * 2 * width * wide + words * width
    attention = 3 * 6 * 2 * length * width  # of each place with all others: scores and mixing
    assert costs.flops_forward_per_sample == pytest.approx(2 * (weights + attention), rel=1e-9)


def test_the_recipe_is_the_published_one() -> None:
    training = recipe("transformer", "reference").training
    assert training.batching.max_size == 10240 and training.regularisation.label_smoothing == 0.1
    assert (training.optimizer.betas, training.optimizer.eps) == ((0.9, 0.997), 1e-9)
    for step, rate in ((1, 0.000846 / 4000), (2000, 0.000423), (4000, 0.000846), (16000, 0.000423)):
        assert training.optimizer.lr * rate_factor(training.schedule, step - 1) == pytest.approx(rate)
    assert training.batch_size * 8 * 1943 == pytest.approx(4.5e6, rel=0.01), "updates of an epoch, as published"
    assert training.max_train_samples == 30 * 4_500_000


def test_loss_is_label_smoothed_cross_entropy_per_token(trainable: Transformer) -> None:
    """fairseq's of that time: a tenth of each target is spread evenly over all of the dictionary, padding included."""
    batch = first_batch(trainable)
    with torch.no_grad():
        loss = trainable.loss(batch)
        logs = trainable.network(batch["source"], batch["previous"]).double().log_softmax(-1)
    total, tokens = 0.0, 0
    for row, targets in zip(logs, batch["target"].tolist(), strict=True):
        for scores, word in zip(row, targets, strict=True):
            if word != 1:
                total -= 0.9 * float(scores[word]) + 0.1 / len(scores) * float(scores.sum())
                tokens += 1
    assert tokens == batch["tokens"] == trainable.count(batch).samples < batch["target"].numel()
    assert loss.dtype == torch.float32 and float(loss) == pytest.approx(total / tokens, rel=1e-5)


def test_batches_hold_no_more_tokens_than_asked(trainable: Transformer) -> None:
    train: Any = trainable.datasets(sample_spec()).train
    most = trainable.recipe.training.batching.max_size
    assert most is not None
    for rows in SizedSampler(train.sizes(), max_size=most).batches_of(0)[:20]:
        batch = trainable.collate([train[row] for row in rows])
        assert max(batch["source"].numel(), batch["target"].numel()) <= most


def test_bleu_is_sacrebleus_of_the_text_that_was_found(trainable: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search finds the references' own ids, but a comma where the first sentence of each batch begins."""
    evaluation: Any = trainable.datasets(sample_spec()).evaluation
    batches = [trainable.collate([evaluation[row] for row in rows]) for rows in (range(3), range(3, 8))]
    found = {}
    for batch in batches:
        found[len(batch["source"])] = torch.cat([batch["target"], torch.ones_like(batch["target"][:, :1])], dim=1)
        found[len(batch["source"])][0, 0] = trainable.dictionary.numbers[","]  # type: ignore[union-attr]
    monkeypatch.setattr(trainable, "translate", lambda source: found[len(source)])
    texts = []
    for row in range(8):
        words = evaluation.sentences[row].german
        text = " ".join([",", *words[1:]] if row in (0, 3) else words)
        texts.append(text.replace("@@ ", "").replace(" ,", ",").replace(" .", "."))
    references = [evaluation[row].reference for row in range(8)]
    wanted = sacrebleu.corpus_bleu(texts, [references], lowercase=True).score / 100
    assert evaluate(trainable, batches)["bleu"] == pytest.approx(wanted, abs=1e-9) and 0.3 < wanted < 1


def test_translations_do_not_depend_on_the_batch(trainable: Transformer) -> None:
    evaluation: Any = trainable.datasets(sample_spec()).evaluation
    loader = evaluation_loader(evaluation, trainable.collate, batch_size=4, limit=10, rank=0, world=1, workers=0)
    with torch.no_grad():
        parts = [row for batch in loader for row in trainable.translate(batch["source"]).tolist()]
        whole = trainable.translate(trainable.collate([evaluation[row] for row in range(10)])["source"]).tolist()
    assert parts == whole and all(2 in row for row in whole)


def test_fairseqs_data_reaches_the_loss_and_bleu(tmp_path: Path) -> None:
    write_translations(tmp_path)
    case = recipe("transformer")
    case.architecture["vocabulary"] = len(WORDS) + 4
    trainable = Transformer(case).eval()
    train, test = trainable.datasets(dataset_spec(tmp_path))
    with torch.no_grad():
        loss = trainable.loss(trainable.collate([train[0], train[2]]))
        values = evaluate(trainable, [trainable.collate([test[0], test[1]])])
    assert loss.isfinite() and 0 <= values["bleu"] < 0.5
    assert trainable.count(trainable.collate([train[0], train[1], train[2]])) == (9, 9)


@pytest.mark.parametrize("field", ["longest_translation", "synthetic_length"])
def test_more_words_than_positions_are_refused(field: str) -> None:
    case = recipe("transformer")
    case.architecture[field] = case.architecture["positions"] + 1
    with pytest.raises(ValueError, match=r"model\.architecture\.positions=32 is less than"):
        Transformer(case)


def test_the_tiny_target_is_far_above_any_constant_answer() -> None:
    from models.language.seq2seq.scores import CorpusBleu

    case = recipe("transformer")
    train, evaluation = Transformer(case).datasets(sample_spec())
    references = [one.reference for one in evaluation.sentences[: case.training.quality.samples]]  # type: ignore[attr-defined]
    best = 0.0
    for one in train.sentences[:40]:  # type: ignore[attr-defined]
        metric = CorpusBleu(lowercase=True)
        metric.update([one.reference] * len(references), references)
        best = max(best, float(metric.compute()))
    assert 0.005 < best < 0.05 < case.training.quality.targets["bleu"] / 10
