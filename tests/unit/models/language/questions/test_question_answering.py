"""The four encoders that answer questions: scored whole, with what an all-knowing one would say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_samples import dataset_spec, recipe, sample_spec
from torch import Tensor
from zoo import model_class

from models.datasets.base import Batch, DataError
from models.datasets.language.questions.number_facts import number_facts, word_tokenizer
from models.datasets.language.questions.squad import FILE
from models.language.questions.question_answering import QuestionAnswering
from models.weights import load_weights

ASKED = 60
NAMES = ("albert", "bert_base", "deberta", "roberta")


def made(name: str) -> QuestionAnswering:
    torch.manual_seed(0)
    model = model_class(name)(recipe(name)).eval()
    assert isinstance(model, QuestionAnswering)
    return model


def batches(model: QuestionAnswering, size: int) -> list[Batch]:
    """All windows of the first questions."""
    data: Any = model.evaluation_data(sample_spec())
    asked = {one.name for one in number_facts(evaluation=True)[:ASKED]}
    rows = [one for one in (data[index] for index in range(len(data))) if one.window.question in asked]
    return [model.collate(rows[start : start + size]) for start in range(0, len(rows), size)]


def known(batch: Batch) -> tuple[Tensor, Tensor]:
    """Scores of one who finds the fact by its words: 5 where the answer is, and a row of rubbish at padding."""
    questions = {one.name: one for one in number_facts(evaluation=True)}
    starts, ends = np.where(batch["attended"].numpy(), -9.0, 99.0), np.where(batch["attended"].numpy(), -9.0, 99.0)
    for row, window in enumerate(batch["windows"]):
        _, _, thing, _, name, _ = questions[window.question].text.split()
        before = window.context.index(f"{name} has {window.answers[0]} {thing}") + len(f"{name} has ")
        after = before + len(window.answers[0])
        for place, (begin, end) in enumerate(window.characters.tolist()):
            starts[row, window.first + place] += 14.0 * (begin == before)
            ends[row, window.first + place] += 14.0 * (end == after)
    return torch.from_numpy(starts), torch.from_numpy(ends)


def scored(model: QuestionAnswering, size: int, answer: Any) -> dict[str, float]:
    for metric in model.metrics.values():
        metric.reset()
    for batch in batches(model, size):
        model.score(answer(batch), batch)
    return {name: float(metric.compute()) for name, metric in model.metrics.items()}


@pytest.mark.parametrize("name", NAMES)
def test_who_knows_every_answer_scores_1_and_who_guesses_does_not(name: str) -> None:
    model = made(name)
    assert scored(model, 32, known) == {"em": 1.0, "f1": 1.0}
    torch.manual_seed(0)
    guessed = scored(model, 32, lambda batch: tuple(torch.randn(2, *batch["input_ids"].shape)))
    assert guessed["em"] < guessed["f1"] < 0.5


def test_the_score_does_not_depend_on_how_batches_are_cut() -> None:
    model = made("bert_base")
    lengths = torch.linspace(0, 1, 48)

    def by_content(batch: Batch) -> tuple[Tensor, Tensor]:
        """Scores of each row from its own ids alone."""
        ids = batch["input_ids"]
        return ((ids * 37 + 11) % 101).half() + lengths.half(), ((ids * 53 + 7) % 97).half() - lengths.half()

    assert scored(model, 8, by_content) == scored(model, 31, by_content)


@pytest.mark.parametrize("name", NAMES)
def test_rows_do_not_see_each_other_or_padding(name: str) -> None:
    """A short window alone, beside a full one, and with other ids where nothing is attended to."""
    model = made(name)
    data: Any = model.evaluation_data(sample_spec())
    rows = [data[index] for index in range(len(data))]
    short, full = min(rows, key=lambda one: one.window.tokens), max(rows, key=lambda one: one.window.tokens)
    both, alone = model.collate([full, short]), model.collate([short])
    real = short.window.tokens
    assert real < full.window.tokens
    network = model.served()
    with torch.inference_mode():
        beside = [one[1, :real] for one in network(*model.inputs(both))]
        by_itself = [one[0, :real] for one in network(*model.inputs(alone))]
        if name != "roberta":  # it numbers places by what is no padding, which other ids would be
            alone["input_ids"][~alone["attended"]] = 7
        other = [one[0, :real] for one in network(*model.inputs(alone))]
    for one, two, three in zip(beside, by_itself, other, strict=True):
        torch.testing.assert_close(one, two)
        torch.testing.assert_close(three, two)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_is_read_with_its_old_names_and_without_its_pooler(name: str, tmp_path: Path) -> None:
    model, other = made(name), made(name)
    torch.nn.init.normal_(other.network.qa_outputs.weight)  # type: ignore[union-attr,arg-type]
    tensors = other.network.state_dict()
    weights = {one.replace("LayerNorm.weight", "LayerNorm.gamma"): tensor for one, tensor in tensors.items()}
    weights |= {f"{one}dense.weight": torch.zeros(2, 2) for one in model.unused}
    load_weights(model.network, model.initial_weights(weights), path=tmp_path)
    for one, tensor in tensors.items():
        assert torch.equal(model.network.state_dict()[one], tensor), one
    del weights["qa_outputs.bias"]
    with pytest.raises(DataError, match=r"1 missing \(qa_outputs.bias"):
        load_weights(model.network, model.initial_weights(weights), path=tmp_path)


def test_squad_is_read_with_the_models_tokenizer(tmp_path: Path) -> None:
    model = made("bert_base")
    question = number_facts(evaluation=True)[0]
    entry = {"id": "q", "question": question.text, "answers": [{"text": one} for one in question.answers]}
    content = {"data": [{"paragraphs": [{"context": question.context, "qas": [entry]}]}]}
    (tmp_path / FILE).write_text(json.dumps(content))
    (tmp_path / "tokenizer.json").write_text(word_tokenizer(model.form).to_str())
    data: Any = model.evaluation_data(dataset_spec(tmp_path))
    sample: Any = model.evaluation_data(sample_spec())
    assert len(data) > 1
    for index in range(len(data)):
        assert (data[index].input_ids == sample[index].input_ids).all()
    assert model.calibration_data(dataset_spec(tmp_path)) is None
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"vocab\.txt"):
        model.evaluation_data(dataset_spec(tmp_path))


def test_a_window_must_have_room_for_a_text() -> None:
    cramped = recipe("bert_base")
    cramped.architecture["query_length"] = 45
    with pytest.raises(ValueError, match="leaves no room"):
        model_class("bert_base")(cramped)
