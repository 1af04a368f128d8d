"""Each corpus of the catalogue is read in its own form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from language_samples import dataset_spec, recipe
from megatron_form import write_megatron
from paddle_form import write_paddle
from zoo import MODELS, built, model_class

from models.datasets.base import DataError
from models.datasets.language.tokens.corpora import CORPORA, MEGATRON, find_corpus
from models.language.decoders.text_decoder import TextDecoder

IDS = (np.arange(130_000) % 1000).tolist()
TEXT_DECODERS = [model for model in MODELS if getattr(model_class(model), "datasets", None) is TextDecoder.datasets]


def write(folder: Path, corpus: str) -> None:
    """A corpus of 1,000 documents of 130 ids; as a file of MLPerf's pairs twice."""
    documents = [IDS[start : start + 130] for start in range(0, len(IDS), 130)]
    if corpus == "openwebtext_llama2":
        np.save(folder / "tokens.npy", np.array(IDS, dtype=np.uint16))
    elif corpus in ("gpt_en_300m", "llama_openwebtext_100k"):
        write_paddle(folder / corpus, IDS, lens=np.full(1000, 130, dtype=np.int32))
    elif corpus == "c4_llama3":
        write_megatron(folder / "c4-train.en_6_text_document", documents)
        write_megatron(folder / "c4-validation-91205-samples.en_text_document", documents[:30])
    else:
        write_megatron(folder / "text_document", documents)


HELD_OUT = {"openwebtext_llama2": 20, "gpt_en_300m": 2, "llama_openwebtext_100k": 2, "c4_llama3": 60}
"""Sequences of 64 in the part that is evaluated on; 50 documents, 101 sequences, of Megatron-LM's form."""


@pytest.mark.parametrize("model", TEXT_DECODERS)
def test_the_models_corpus_reaches_its_loss(model: str, tmp_path: Path) -> None:
    trainable = built(model)
    corpus = recipe(model).dataset
    assert corpus is not None
    write(tmp_path, corpus)
    train, evaluation = trainable.datasets(dataset_spec(tmp_path))
    assert len(evaluation) == HELD_OUT.get(corpus, 101)  # type: ignore[arg-type]
    batch = trainable.collate([train[0], evaluation[0]])
    assert batch["input_ids"][0].tolist() == list(range(64)) and batch["targets"][0].tolist() == list(range(1, 65))
    assert trainable.count(batch) == (2, 128)
    assert trainable.loss(batch).isfinite()


def test_an_unknown_name_is_megatrons_form() -> None:
    assert find_corpus("acme_text") is find_corpus(None) is MEGATRON
    assert all(find_corpus(name) is corpus for name, corpus in CORPORA.items())


def test_pairs_need_one_file_of_each_kind(tmp_path: Path) -> None:
    write(tmp_path, "c4_llama3")
    (tmp_path / "c4-validation-91205-samples.en_text_document.idx").unlink()
    with pytest.raises(DataError, match=r"exactly one \.idx file with validation in its name, found none"):
        find_corpus("c4_llama3").read(tmp_path, sequence_length=64, vocabulary=1000, source="")
