"""The published case of T5-small: the library's own network, loss and greedy summaries, and ROUGE from ids on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from language_samples import dataset_spec, evaluate, recipe, sample_spec
from rouge_score.rouge_scorer import RougeScorer
from safetensors.torch import save_file
from summary_samples import WORDS, write_summaries
from transformers import T5Config, T5ForConditionalGeneration

from models.costs.account import count
from models.datasets.base import DataError
from models.language.seq2seq.scores import rouge
from models.language.seq2seq.t5_small import T5, UNUSED
from models.schedules import rate_factor
from models.weights import load_weights, read_weights


@pytest.fixture(scope="module")
def trainable() -> T5:
    torch.manual_seed(0)
    return T5(recipe("t5_small")).eval()


def first_batch(trainable: T5, rows: int = 6, part: str = "train") -> dict[str, Any]:
    data: Any = getattr(trainable.datasets(sample_spec()), part)
    return trainable.collate([data[index] for index in range(rows)])


def test_reference_is_the_published_network() -> None:
    """`T5Config` without arguments is google-t5/t5-small's."""
    with torch.device("meta"):
        ours, published = T5(recipe("t5_small", "reference")).network, T5ForConditionalGeneration(T5Config())
    shapes = {name: tensor.shape for name, tensor in ours.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in published.state_dict().items()}
    assert sum(one.numel() for one in ours.parameters()) == 60_506_624
    different = {
        name: value
        for name, value in published.config.to_dict().items()
        if ours.config.to_dict().get(name) != value and name not in ("decoder_start_token_id", "dtype")
    }
    assert different == {}


def test_reference_flops_are_those_of_its_products() -> None:
    costs = count(T5, recipe("t5_small", "reference"), weights_dtype="float32", autocast_dtype=None, batch_size=1)
    width, wide, words, source, target = 512, 2048, 32128, 1024, 128
    feed_forward, square = 2 * width * wide, width**2
    encoder = source * (4 * square + feed_forward) + 2 * source**2 * width
    decoder = target * (6 * square + feed_forward) + source * 2 * square + 2 * (target**2 + target * source) * width
    wanted = 2 * (6 * (encoder + decoder) + target * width * words)
    assert costs.flops_forward_per_sample == pytest.approx(wanted, rel=1e-9)


def test_the_recipe_is_the_published_one() -> None:
    training = recipe("t5_small", "reference").training
    epoch = training.steps_per_epoch(8)
    assert epoch == pytest.approx(1121.5, abs=0.1)
    rates = [training.optimizer.lr * rate_factor(training.schedule, step, epoch) for step in (0, 1682, 3364, 3365)]
    assert rates == [pytest.approx(5e-5), pytest.approx(2.5e-5, rel=1e-3), pytest.approx(0, abs=1e-7), 0]
    assert training.quality.targets == {"rouge1": 0.405} and training.max_train_samples == 3 * 287_113


def test_loss_is_the_librarys_own(trainable: T5) -> None:
    batch = first_batch(trainable)
    assert not batch["attended"].all() and (batch["targets"] == -100).any()
    with torch.no_grad():
        wanted = trainable.network(
            input_ids=batch["input_ids"], attention_mask=batch["attended"].long(), labels=batch["targets"]
        ).loss
        assert float(trainable.loss(batch)) == pytest.approx(float(wanted), rel=1e-5)


def test_summaries_take_the_likeliest_word_each_time(trainable: T5) -> None:
    batch = first_batch(trainable, 4)
    with torch.no_grad():
        found = trainable.summarise(batch)
        words = torch.zeros(4, 1, dtype=torch.long)
        while words.shape[1] < trainable.sizes.target_length:
            scores = trainable.network(
                input_ids=batch["input_ids"],
                attention_mask=batch["attended"].long(),
                decoder_input_ids=words,
                use_cache=False,
            ).logits
            ended = (words == 1).any(dim=1)
            words = torch.cat([words, scores[:, -1].argmax(-1).masked_fill(ended, 0)[:, None]], dim=1)
    assert found.tolist() == words[:, : found.shape[1]].tolist() and found.shape[1] > 2


def test_rouge_is_the_mean_over_texts_whatever_the_batches(trainable: T5, monkeypatch: pytest.MonkeyPatch) -> None:
    """Summaries are the references without their first word in every second text."""

    def summarise(batch: dict[str, Any]) -> torch.Tensor:
        said = batch["targets"].masked_fill(batch["targets"] == -100, 0)
        said[::2] = said[::2].roll(-1, dims=1)
        return torch.cat([torch.zeros_like(said[:, :1]), said], dim=1)

    evaluation: Any = trainable.datasets(sample_spec()).evaluation
    batches = [trainable.collate([evaluation[row] for row in rows]) for rows in (range(4), range(4, 10), range(10, 11))]
    monkeypatch.setattr(trainable, "summarise", summarise)
    values = evaluate(trainable, batches)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    scores = []
    for row in range(11):
        german = evaluation.pairs.sentences[row].german
        first = row % 2 == 0  # every batch begins with an even text
        text, reference = (" ".join(words).replace("@@ ", "") for words in (german[1:] if first else german, german))
        scores.append(scorer.score(reference, text))
    for name in ("rouge1", "rouge2", "rougeL"):
        wanted = sum(score[name].fmeasure for score in scores) / len(scores)
        assert values[name] == pytest.approx(wanted, rel=1e-6) and 0.3 < wanted < 1


def test_the_published_checkpoint_is_read(tmp_path: Path, trainable: T5) -> None:
    """Its file has one name for the tied embeddings, and a tensor that no T5 uses."""
    tied = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
    tensors = {name: tensor.clone() + 1 for name, tensor in trainable.network.state_dict().items() if name not in tied}
    save_file({**tensors, UNUSED: torch.zeros(32, 4)}, tmp_path / "model.safetensors")
    other = T5(recipe("t5_small"))
    load_weights(other.network, other.initial_weights(read_weights(tmp_path)), path=tmp_path)
    assert torch.equal(other.network.lm_head.weight, trainable.network.shared.weight + 1)
    del tensors["encoder.final_layer_norm.weight"]
    with pytest.raises(DataError, match=r"1 missing \(encoder\.final_layer_norm\.weight"):
        load_weights(other.network, other.initial_weights(tensors), path=tmp_path)


def test_flagperfs_data_reaches_the_loss_and_rouge(tmp_path: Path) -> None:
    write_summaries(tmp_path)
    case = recipe("t5_small")
    case.architecture["vocabulary"] = len(WORDS)
    trainable = T5(case).eval()
    train, evaluation = trainable.datasets(dataset_spec(tmp_path))
    batch = trainable.collate([train[index] for index in range(3)])
    with torch.no_grad():
        assert trainable.loss(batch).isfinite()
        values = evaluate(trainable, [trainable.collate([evaluation[0], evaluation[1]])])
    assert trainable.count(batch) == (3, 6 + 7 + 8 + 3 + 4 + 5)
    assert set(values) == {"rouge1", "rouge2", "rougeL", "rougeLsum"} and all(0 <= one <= 1 for one in values.values())


def test_the_tiny_target_is_far_above_any_constant_answer() -> None:
    case = recipe("t5_small")
    train, evaluation = T5(case).datasets(sample_spec())
    references = [one.reference for one in evaluation.pairs.sentences[:128]]  # type: ignore[attr-defined]
    constants = [one.reference for one in train.pairs.sentences[:20]]  # type: ignore[attr-defined]
    best = max(sum(rouge([text] * 128, references)["rouge1"]) / 128 for text in constants)
    assert 0.01 < best < 0.1 < case.training.quality.targets["rouge1"] / 4
