"""Sizes and lengths of what writes: the grid, what the network can place, what a case must have."""

from __future__ import annotations

import pytest
import torch
from language_samples import case_of

from models.inference import Generation
from runner.core.errors import ConfigurationError
from runner.record.task import task_of
from runner.serving.generation_points import grid
from runner.serving.served import build_served

PROMPT = "model.infer.generation.prompt_tokens"
TINY = ("task=infer", "model=llama2_7b", "scale=tiny", "data=synthetic")


def test_the_grid_has_every_size_with_every_length() -> None:
    given = Generation(prompt_tokens=16, new_tokens=8, prompt_lengths=(32, 16), new_lengths=(4,))
    assert grid({2, 1}, given) == [(size, prompt, new) for size in (1, 2) for prompt in (16, 32) for new in (4, 8)]


def test_what_is_compared_reads_prompts_with_what_follows_and_no_cache() -> None:
    served = build_served(case_of(*TINY))
    (ids,) = served.inputs()[0]
    assert ids.shape == (2, 16 + 4)
    with torch.no_grad():
        (scores,) = served.compared()(ids)
        (whole,) = served.model.served()(ids)
    torch.testing.assert_close(scores, whole[:, 15:])
    graph = served.generation_graph(ids[:, :16], 8, "random")
    assert graph.cache_shape == (2, 2, 2, 4, 24, 32) and graph.checkpoint is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            [f"{PROMPT}=60"],
            "60 tokens of prompt and 8 new ones; the network has places for 64",
        ),
        (
            ["model=gpt2", "model.infer.generation.prompt_tokens=80", "+model.architecture.positions=128"],
            "prompts of 84",
        ),
    ],
)
def test_lengths_that_do_not_fit_are_refused(changes: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_served(case_of(*TINY, *changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["compiler=onnxruntime"], "compiler=onnxruntime does not write token by token; eager and inductor do"),
        (["compiler=vllm", "model.infer.generation=null"], "compiler=vllm only writes token by token"),
        (["compiler=vllm"], "compiler=vllm reads the weights itself"),
    ],
)
def test_engines_that_answer_otherwise_are_refused(changes: list[str], message: str) -> None:
    case = case_of(*TINY, *changes)
    with pytest.raises(ConfigurationError, match=message):
        task_of(case).check(case)
