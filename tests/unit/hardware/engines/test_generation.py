"""Engines that write: with a cache of fixed size, token by token as by a whole forward pass, compiled once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from language_samples import case_of, recipe
from torch import Tensor
from torch._dynamo.utils import counters
from zoo import model_class

from hardware.engines.base import Engine
from hardware.engines.exported.onnxruntime import Onnxruntime
from hardware.engines.generation import GenerationGraph, SteppedGeneration, Written
from hardware.engines.graph import Placement
from hardware.engines.native.eager import Eager
from hardware.engines.native.inductor import Inductor
from models.generative import Generative

ROWS, PROMPT, NEW = 3, 20, 8
MODELS = ("llama2_7b", "gpt2", "qwen3_8B", "mixtral_8x7B", "chatglm2_6b")


def generative(name: str, **architecture: int) -> Generative:
    torch.manual_seed(0)
    case = recipe(name)
    case.architecture |= architecture
    model: Any = model_class(name)(case)
    return model.eval()


def placement(precision: str = "fp32") -> Placement:
    case = case_of("task=infer", "model=llama2_7b", "scale=tiny", f"precision={precision}")
    return Placement(device=torch.device("cpu"), precision=case.precision, folder=Path("unused"))


def graph_of(model: Generative, *, prompt: int = PROMPT, new: int = NEW) -> GenerationGraph:
    prompts = model.prompts(model.synthetic_batch(ROWS), prompt)
    shape = model.cache_size.shape(ROWS, prompt + new)
    return GenerationGraph(network=model.writer(), prompts=prompts, new_tokens=new, cache_shape=shape)


@torch.no_grad()
def whole_passes(model: Generative, prompts: Tensor, new: int) -> Tensor:
    """Greedy tokens, each from a forward pass over everything before it, without a cache."""
    ids = prompts
    for _ in range(new):
        scores = model.network(input_ids=ids, use_cache=False).logits[:, -1]
        ids = torch.cat([ids, scores.argmax(dim=-1, keepdim=True)], dim=1)
    return ids[:, prompts.shape[1] :]


@pytest.mark.parametrize("name", MODELS)
def test_the_cache_gives_the_tokens_of_whole_passes(name: str) -> None:
    model = generative(name)
    graph = graph_of(model)
    written = Eager({}).compile_generation(graph, placement())
    expected = whole_passes(model, graph.prompts, NEW)
    assert torch.stack(list(written.stream(graph.prompts, NEW)), dim=1).tolist() == expected.tolist()
    other = graph.prompts.flip(0)  # nothing of the request before is left
    assert torch.stack(list(written.stream(other, NEW)), dim=1).tolist() == expected.flip(0).tolist()


@pytest.mark.parametrize("name", ["llama2_7b", "gpt2"])
def test_forced_scores_are_those_of_one_pass_over_all_tokens(name: str) -> None:
    model = generative(name)
    ids = model.prompts(model.synthetic_batch(ROWS), PROMPT + 4)
    written = Eager({}).compile_generation(graph_of(model), placement())
    with torch.no_grad():
        expected = model.network(input_ids=ids, use_cache=False).logits[:, PROMPT - 1 :]
    torch.testing.assert_close(written.forced(ids, PROMPT), expected, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        (last,) = model.last_logits(5)(ids)
    torch.testing.assert_close(last, expected, atol=1e-6, rtol=1e-6)


def test_a_rewound_answer_is_the_same_again() -> None:
    model = generative("llama2_7b")
    graph = graph_of(model)
    written = Eager({}).compile_generation(graph, placement())
    first, *further = (ids.tolist() for ids in written.stream(graph.prompts, NEW))
    written.rewind()
    tokens, again = torch.tensor(first)[:, None], []
    for _ in further:
        tokens = written.step(tokens).tokens
        again.append(tokens[:, 0].tolist())
    assert again == further


@pytest.mark.parametrize("precision", ["bf16", "bf16_true"])
def test_narrower_types_write_too(precision: str) -> None:
    model = generative("llama2_7b")
    written = Eager({}).compile_generation(graph_of(model), placement(precision))
    ids = model.prompts(model.synthetic_batch(ROWS), PROMPT + 4)
    with torch.no_grad():
        (expected,) = model.last_logits(5)(ids)
    found = written.forced(ids, PROMPT).float()
    assert 10 * torch.log10(expected.square().sum() / (found - expected).square().sum()) > 25
    assert written.evidence.compute == ("bfloat16",) and written._cache.dtype == torch.bfloat16


def test_inductor_compiles_prefill_and_step_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a back-end that runs the captured graph as it is: what is captured anew would be compiled anew."""
    compiling = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda call, *, mode, dynamic: compiling(call, backend="eager", dynamic=dynamic)
    )
    model = generative("llama2_7b", layers=1)
    graph = graph_of(model)
    written = Inductor({}).compile_generation(graph, placement())
    assert written.made.coverage is not None and written.made.coverage.subgraphs == 2
    expected = whole_passes(model, graph.prompts, NEW).tolist()
    for _ in range(3):
        assert torch.stack(list(written.stream(graph.prompts, NEW)), dim=1).tolist() == expected
    assert counters["stats"]["unique_graphs"] == 2 and not counters["graph_break"]


@pytest.mark.heavy
def test_inductor_writes_what_eager_writes() -> None:
    model = generative("llama2_7b", layers=1)
    graph = graph_of(model)
    written = Inductor({}).compile_generation(graph, placement())
    assert written.made.compile_s
    expected = whole_passes(model, graph.prompts, NEW).tolist()
    assert torch.stack(list(written.stream(graph.prompts, NEW)), dim=1).tolist() == expected


def test_an_engine_that_does_not_write_says_so() -> None:
    model = generative("llama2_7b")
    engine: Engine = Onnxruntime({})
    assert not engine.generates
    with pytest.raises(NotImplementedError, match="Onnxruntime answers in one forward pass"):
        engine.compile_generation(graph_of(model), placement())


class Echo(SteppedGeneration):
    """Writes the last token it read, and counts how often it was asked."""

    asked = 0

    def place(self, ids: Tensor) -> Tensor:
        return ids

    def prefill(self, placed: Tensor) -> Written:
        return self.step(placed)

    def step(self, tokens: Tensor) -> Written:
        self.asked += 1
        return Written(tokens[:, -1:], tokens.float())

    def rewind(self) -> None:
        raise AssertionError("a request never goes back")

    def fetch(self, tensor: Tensor) -> Tensor:
        return tensor


def test_whoever_has_enough_stops_the_steps() -> None:
    echo = Echo()
    stream = echo.stream(torch.tensor([[1, 2], [3, 4]]), 10)
    assert [next(stream).tolist() for _ in range(3)] == [[2, 4]] * 3
    assert echo.asked == 3
