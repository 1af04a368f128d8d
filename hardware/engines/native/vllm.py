"""`compiler=vllm`: vLLM writes from a Hugging Face folder; its own network, kernels and scheduler.

Written by its documentation (`EngineArgs`, `LLMEngine.add_request` and `step`, `SamplingParams`; 0.8 to 0.17) and run
against a double alone: not verified.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.base import PrecisionUnsupportedError
from hardware.engines.base import Engine
from hardware.engines.compiled import Made
from hardware.engines.generation import CompiledGeneration, GenerationGraph
from hardware.precision.evidence import Evidence

if TYPE_CHECKING:
    from torch import Tensor

    from hardware.engines.compiled import Compiled
    from hardware.engines.graph import Graph, Placement

IN_ONE = "vLLM loads, compiles and captures in one"


class Vllm(Engine):
    """vLLM on one device. It reads the weights itself, and gives tokens without the scores that chose them."""

    precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16_true", "bf16_true")
    generates: ClassVar[bool] = True
    forwards: ClassVar[bool] = False
    reads_checkpoint: ClassVar[bool] = True
    known_options: ClassVar[tuple[str, ...]] = (
        "gpu_memory_utilization",
        "enforce_eager",
        "max_num_batched_tokens",
    )
    modules: ClassVar[tuple[str, ...]] = ("vllm",)
    packages: ClassVar[tuple[str, ...]] = ("vllm",)
    obtained: ClassVar[str | None] = "pip install vllm, into an environment of its own: it brings the torch it needs"

    def compile(self, graph: Graph, placement: Placement) -> Compiled:
        """Never: it only writes.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("vLLM writes; it does not answer in one forward pass")

    def compile_generation(self, graph: GenerationGraph, placement: Placement) -> VllmGeneration:
        """Have it load the checkpoint for these rows and lengths.

        Raises:
            ValueError: the weights are random.
            PrecisionUnsupportedError: the checkpoint is quantised, which no precision here means.
        """
        from vllm import EngineArgs, LLMEngine

        if graph.checkpoint is None:
            raise ValueError("vLLM reads the weights itself: give weights=PATH, a Hugging Face folder")
        rows, prompt_tokens = graph.prompts.shape
        arguments = EngineArgs(
            model=str(_folder(graph.checkpoint)),
            dtype=placement.precision.weights,
            max_model_len=prompt_tokens + graph.new_tokens,
            max_num_seqs=rows,
            skip_tokenizer_init=True,
            # Prompts come again and again: their prefill must not be left out.
            enable_prefix_caching=False,
            disable_log_stats=True,
            **self.options,
        )
        engine = LLMEngine.from_engine_args(arguments)
        if engine.model_config.quantization is not None:
            raise PrecisionUnsupportedError(
                f"the checkpoint is quantised ({engine.model_config.quantization}); "
                f"precision={placement.precision.name} is not what vLLM would compute in"
            )
        written = VllmGeneration(engine)
        for _ in written.stream(graph.prompts, min(2, graph.new_tokens)):
            pass
        return written


def _folder(checkpoint: Path) -> Path:
    return checkpoint if checkpoint.is_dir() else checkpoint.parent


class VllmGeneration(CompiledGeneration):
    """An engine that takes each row as a request of its own."""

    def __init__(self, engine: Any) -> None:
        weights = str(engine.model_config.dtype).removeprefix("torch.")
        self.made = Made(compile_s=None, compile_reason=IN_ONE, export_reason="vLLM reads the checkpoint itself")
        self.evidence = Evidence(weights=(weights,), compute=(weights,), source="engine")
        self._engine, self._numbers = engine, count()

    def stream(self, prompts: Tensor, new_tokens: int) -> Iterator[Tensor]:
        """Step the engine; a step's ids come when every row has its token.

        A row goes on behind its end of text until every row has ended: when an answer ends is the harness's to say.
        """
        import torch
        from vllm import SamplingParams

        asked = SamplingParams(temperature=0.0, max_tokens=new_tokens, ignore_eos=True, detokenize=False)
        names = [f"row-{next(self._numbers)}" for _ in prompts]
        written: dict[str, list[int]] = {name: [] for name in names}
        for name, ids in zip(names, prompts.tolist(), strict=True):
            self._engine.add_request(name, {"prompt_token_ids": ids}, asked)
        given = 0
        try:
            while given < new_tokens:
                for output in self._engine.step():
                    written[output.request_id] = list(output.outputs[0].token_ids)
                for place in range(given, min(map(len, written.values()))):
                    yield torch.tensor([written[name][place] for name in names])
                    given = place + 1
        finally:
            unfinished = [name for name in names if len(written[name]) < new_tokens]
            if unfinished:
                self._engine.abort_request(unfinished)
