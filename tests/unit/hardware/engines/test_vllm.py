"""vLLM against a double of its documented interface: what it is asked, and when a step's tokens count as there."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from hardware.base import PrecisionUnsupportedError
from hardware.engines.generation import GenerationGraph
from hardware.engines.graph import Placement
from hardware.engines.native.vllm import Vllm
from hardware.spec import PrecisionSpec

HALF = PrecisionSpec(
    name="fp16_true", weights="float16", autocast=None, matmul="ieee", loss_scaling=False, trains=False
)


class FakeEngine:
    """Reads one prompt a step, as a small token budget would have it; a row's n-th token is its first id plus n."""

    quantization: str | None = None

    def __init__(self, arguments: SimpleNamespace) -> None:
        self.arguments, self.aborted = arguments, list[str]()
        self.requests: dict[str, tuple[int, Any]] = {}
        self.written: dict[str, list[int]] = {}
        self.model_config = SimpleNamespace(dtype=torch.float16, quantization=self.quantization)

    def add_request(self, name: str, prompt: dict[str, list[int]], asked: SimpleNamespace) -> None:
        self.requests[name] = (prompt["prompt_token_ids"][0], asked)

    def step(self) -> list[SimpleNamespace]:
        waiting = [name for name in self.requests if name not in self.written]
        for name in waiting[:1]:
            self.written[name] = []
        outputs = []
        for name, ids in self.written.items():
            first, asked = self.requests[name]
            if len(ids) < asked.max_tokens:
                ids.append(first + len(ids))
                outputs.append(SimpleNamespace(request_id=name, outputs=[SimpleNamespace(token_ids=list(ids))]))
        return outputs

    def abort_request(self, names: list[str]) -> None:
        self.aborted += names


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[FakeEngine]:
    made: list[FakeEngine] = []

    def from_engine_args(arguments: SimpleNamespace) -> FakeEngine:
        made.append(FakeEngine(arguments))
        return made[-1]

    fake: Any = ModuleType("vllm")
    fake.EngineArgs = fake.SamplingParams = SimpleNamespace
    fake.LLMEngine = SimpleNamespace(from_engine_args=from_engine_args)
    monkeypatch.setitem(sys.modules, "vllm", fake)
    return made


def graph(folder: Path | None) -> GenerationGraph:
    prompts = torch.tensor([[10, 0, 0], [20, 0, 0]])
    return GenerationGraph(
        network=nn.Identity(), prompts=prompts, new_tokens=4, cache_shape=(1, 2, 2, 1, 7, 1), checkpoint=folder
    )


def placement(folder: Path) -> Placement:
    return Placement(device=torch.device("cpu"), precision=HALF, folder=folder)


def test_a_step_is_there_when_every_row_has_its_token(tmp_path: Path, engines: list[FakeEngine]) -> None:
    written = Vllm({"enforce_eager": True}).compile_generation(graph(tmp_path), placement(tmp_path))
    (engine,) = engines
    found = [ids.tolist() for ids in written.stream(graph(tmp_path).prompts, 4)]
    assert found == [[10, 20], [11, 21], [12, 22], [13, 23]] and engine.aborted == []
    asked = next(iter(engine.requests.values()))[1]
    assert (asked.temperature, asked.ignore_eos) == (0.0, True)
    arguments = engine.arguments
    assert (arguments.model, arguments.dtype, arguments.max_model_len) == (str(tmp_path), "float16", 7)
    assert arguments.enable_prefix_caching is False and arguments.enforce_eager is True
    assert written.evidence.weights == ("float16",)


def test_rows_that_still_write_are_given_up(tmp_path: Path, engines: list[FakeEngine]) -> None:
    written = Vllm({}).compile_generation(graph(tmp_path), placement(tmp_path))
    stream = written.stream(graph(tmp_path).prompts, 4)
    assert next(stream).tolist() == [10, 20]
    stream.close()
    assert len(engines[0].aborted) == 2


def test_what_it_cannot_serve_is_refused(
    tmp_path: Path, engines: list[FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="a Hugging Face folder"):
        Vllm({}).compile_generation(graph(None), placement(tmp_path))
    monkeypatch.setattr(FakeEngine, "quantization", "awq")
    with pytest.raises(PrecisionUnsupportedError, match=r"the checkpoint is quantised \(awq\)"):
        Vllm({}).compile_generation(graph(tmp_path), placement(tmp_path))
    assert Vllm.forwards is False
