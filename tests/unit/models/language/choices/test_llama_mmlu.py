"""MMLU by a Llama that is only served: likelihoods of letters, questions and their tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from language_samples import dataset_spec, recipe, sample_spec
from mmlu_samples import byte_tokenizer, write_mmlu

from models.datasets.base import DataError
from models.language.choices.llama_mmlu import LlamaMmlu

COUNTS = {  # of the safetensors indexes
    "llama2_7b_mmlu": 6_738_415_616,
    "llama3_8b_mmlu": 8_030_261_248,
    "deepseek_7b_mmlu": 6_910_365_696,
    "aquila_7b_mmlu": 7_295_537_152,
}


@pytest.fixture(scope="module")
def model() -> LlamaMmlu:
    torch.manual_seed(0)
    return LlamaMmlu(recipe("llama2_7b_mmlu")).eval()


@pytest.mark.parametrize("name", COUNTS)
def test_published_counts(name: str) -> None:
    with torch.device("meta"):
        network = LlamaMmlu(recipe(name, "reference")).network
    assert sum(one.numel() for one in network.parameters()) == COUNTS[name]


def test_likelihoods_are_those_of_each_prompt_alone(model: LlamaMmlu) -> None:
    """Without padding, row by row, over the whole vocabulary."""
    data = model.evaluation_data(sample_spec())
    examples = [data[index] for index in (0, 70, 140, 210)]
    assert len({one.tokens for one in examples}) > 1 and max(one.tokens for one in examples) < 128
    batch = model.collate(examples)
    with torch.no_grad():
        (found,) = model.served()(*model.inputs(batch))
        for row, example in enumerate(examples):
            ids = torch.from_numpy(example.inputs[: example.tokens])[None]
            scores = model.network(input_ids=ids, use_cache=False).logits[0, -1].log_softmax(dim=-1)
            torch.testing.assert_close(found[row], scores[torch.from_numpy(example.letters)], atol=1e-5, rtol=1e-5)
    assert found.shape == (4, 4) and found.dtype == torch.float32
    assert model.count(batch).tokens == sum(one.tokens for one in examples), "padding is no token"


def test_the_likeliest_letter_answers(model: LlamaMmlu) -> None:
    scores = torch.tensor([[-1.0, -2, -3, -4], [-4.0, -1, -2, -3], [-1.0, -2, -3, -4], [-2.0, -1, -3, -4]])
    model.metrics["mmlu_accuracy"].reset()
    model.score((scores,), {"answer": torch.tensor([0, 1, 2, 1])})
    assert float(model.metrics["mmlu_accuracy"].compute()) == 0.75


def test_the_data_set_is_mmlus_own(tmp_path: Path) -> None:
    case = recipe("llama2_7b_mmlu")
    case.architecture |= {"sequence_length": 2048, "shots": 5}
    model = LlamaMmlu(case)
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        model.evaluation_data(dataset_spec(tmp_path))
    write_mmlu(tmp_path)
    (tmp_path / "tokenizer.json").write_text(byte_tokenizer().to_str(), encoding="utf-8")
    data = model.evaluation_data(dataset_spec(tmp_path))
    assert len(data) == 57 * 2
    text = byte_tokenizer().decode(data[0].inputs[: data[0].tokens].tolist())
    assert text.count("Answer:") == 6, "five solved examples before the question"


def test_synthetic_questions_are_like_the_samples(model: LlamaMmlu) -> None:
    batch, data = model.synthetic_batch(3), model.evaluation_data(sample_spec())
    other = model.collate([data[index] for index in range(3)])
    assert {name: (one.dtype, one.shape) for name, one in batch.items() if isinstance(one, torch.Tensor)} == {
        name: (one.dtype, one.shape) for name, one in other.items() if isinstance(one, torch.Tensor)
    }
