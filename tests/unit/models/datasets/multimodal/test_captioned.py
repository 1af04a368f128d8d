"""CLIP's tokens against transformers' own tokenizer, the fixed noise of evaluation, and the sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer

from models.datasets.multimodal.captioned import FixedNoise, captioned_batch
from models.datasets.multimodal.clip_tokens import BEGIN, END, ClipTokenizer, word_merges
from models.datasets.multimodal.figures import figure_datasets

WORDS = ["a", "cat", "cats", "photograph"]
CAPTIONS = ["A cat", "  two\tCATS,\n and a  photograph's cat!?", "Café 2024: don't", "", "日本 cat", "a_b-c"]


@pytest.mark.parametrize("caption", CAPTIONS)
def test_tokens_are_transformers(caption: str) -> None:
    vocabulary, merges = word_merges(WORDS)
    wanted = CLIPTokenizer(vocab=vocabulary, merges=merges)(caption).input_ids
    ids = ClipTokenizer(vocabulary, merges, length=77)(caption).tolist()
    assert ids == wanted + [0] * (77 - len(wanted)), "OpenCLIP pads with 0"


def test_long_captions_keep_their_beginning_and_end_in_the_marker() -> None:
    vocabulary, merges = word_merges(WORDS)
    ids = ClipTokenizer(vocabulary, merges, length=5)("cat cats a cat photograph").tolist()
    assert ids == [vocabulary[token] for token in (BEGIN, "cat</w>", "cats</w>", "a</w>", END)]


def test_entities_of_html_are_resolved_as_open_clip_does() -> None:
    vocabulary, merges = word_merges(WORDS)
    tokenizer = ClipTokenizer(vocabulary, merges, length=12)
    assert tokenizer("cat &amp;amp; cats").equal(tokenizer("cat & cats"))


def test_evaluation_has_its_own_noise_whatever_the_batches() -> None:
    _, evaluation = figure_datasets(size=8, length=8, vocabulary=640)
    fixed = FixedNoise(evaluation, timesteps=1000)
    batch = captioned_batch([fixed[index] for index in range(20)])
    assert batch["timestep"].tolist() == [50, 150, 250, 350, 450, 550, 650, 750, 850, 950] * 2
    for index in (13, 2):
        one = captioned_batch([fixed[index]])
        assert all(one[name][0].equal(batch[name][index]) for name in one)
    noise = torch.stack([fixed[index].draws for index in range(200)])  # type: ignore[misc]
    assert float(noise.mean()) == pytest.approx(0, abs=0.01) and float(noise.var()) == pytest.approx(1, abs=0.01)
    assert abs(np.corrcoef(noise[:, 0].flatten(), noise[:, 1].flatten())[0, 1]) < 0.01


def test_captions_of_the_sample_say_what_is_seen() -> None:
    train, evaluation = figure_datasets(size=8, length=8, vocabulary=640)
    kinds = {tuple(caption.tolist()) for caption in train.captions}
    assert len(kinds) == 48 and {tuple(caption.tolist()) for caption in evaluation.captions} == kinds
    tokens = torch.stack(train.captions)
    variance = train.latents.var(dim=0).mean()
    within = [train.latents[(tokens == torch.tensor(kind)).all(dim=1)].var(dim=0).mean() for kind in kinds]
    assert float(torch.stack(within).mean()) < 0.6 * float(variance)
    assert float(train.latents.var()) == pytest.approx(1, abs=0.1), "the scale of Stable Diffusion's latents"
    assert train[0].moments.shape == (8, 8, 8)


@pytest.mark.parametrize(("size", "length", "vocabulary"), [(4, 8, 640), (8, 6, 640), (8, 8, 500)])
def test_a_model_too_small_for_the_sample_is_told(size: int, length: int, vocabulary: int) -> None:
    with pytest.raises(ValueError, match="data=sample needs"):
        figure_datasets(size=size, length=length, vocabulary=vocabulary)
