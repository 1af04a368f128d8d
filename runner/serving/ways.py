"""The two ways a served model answers: in one forward pass, or token by token. The course is the same for both."""

from __future__ import annotations

from abc import ABC, abstractmethod

from hardware.engines.compiled import Compiled
from hardware.engines.generation import CompiledGeneration, SteppedGeneration
from hardware.engines.graph import Tensors
from runner.config.known import engine_of
from runner.measure.context import Context
from runner.serving.compile import compile_generation, compile_served
from runner.serving.generation_points import measure_generation, system_of
from runner.serving.load.session import ServingSession
from runner.serving.load.system import ForwardSystem, System
from runner.serving.points import measure_points
from runner.serving.served import COMPARED, Served


class Way(ABC):
    """A served model, compiled to answer requests in one way."""

    def __init__(self, context: Context, served: Served, calibration: list[Tensors]) -> None:
        self.context, self.served, self.calibration = context, served, calibration

    @abstractmethod
    def outputs(self) -> list[Tensors] | str:
        """What is compared with the reference, of each compared batch; or why there is nothing to compare."""

    def unscored_reason(self) -> str | None:
        """Why accuracy cannot be scored though the case could; None where it can."""
        return None

    @abstractmethod
    def answer(self, inputs: Tensors) -> Tensors:
        """What accuracy is scored by: one forward pass, from host to host."""

    def scored(self) -> None:  # noqa: B027 -- most score by what they serve
        """Scoring is over: give back what it alone needed."""

    @abstractmethod
    def system(self) -> System:
        """What is asked in the window."""

    @abstractmethod
    def measure_points(self, session: ServingSession) -> None:
        """What is measured beside the window."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the engine holds."""


class ForwardWay(Way):
    """One forward pass answers a request."""

    def __init__(self, context: Context, served: Served, calibration: list[Tensors]) -> None:
        super().__init__(context, served, calibration)
        self.inputs = served.inputs()
        self.compiled: Compiled = compile_served(context, served, self.inputs[0], calibration)

    def outputs(self) -> list[Tensors]:
        """The network's."""
        return [self.compiled.complete(inputs) for inputs in self.inputs[:COMPARED]]

    def answer(self, inputs: Tensors) -> Tensors:
        """The same network's."""
        return self.compiled.complete(inputs)

    def system(self) -> ForwardSystem:
        """With copies."""
        counts = [self.served.model.count(batch) for batch in self.served.batches]
        tokens = [one.tokens for one in counts if one.tokens is not None]
        return ForwardSystem(
            self.compiled, self.inputs, counts[0].samples, tokens if len(tokens) == len(counts) else None
        )

    def measure_points(self, session: ServingSession) -> None:
        """Without copies, and further batch sizes."""
        size = self.context.case.model.inference.batch_size
        measure_points(self.context, self.served, self.compiled, session, size=size, calibration=self.calibration)

    def close(self) -> None:
        """The engine's network."""
        self.compiled.close()


class WritingWay(Way):
    """A request is a batch of prompts, answered token by token."""

    def __init__(self, context: Context, served: Served, calibration: list[Tensors]) -> None:
        super().__init__(context, served, calibration)
        assert served.generation is not None
        self.forward: Compiled | None = None
        self.generation = served.generation
        self.prompts = [served.writing.prompts(batch, self.generation.prompt_tokens) for batch in served.batches]
        self.written = self._compiled()

    def _compiled(self) -> CompiledGeneration:
        return compile_generation(self.context, self.served, self.prompts[0], self.generation.new_tokens)

    def outputs(self) -> list[Tensors] | str:
        """Scores after the prompt and a few further tokens of the data, which the reference reads without a cache."""
        if not isinstance(self.written, SteppedGeneration):
            return "the engine gives tokens and no scores to compare"
        length = self.generation.prompt_tokens
        return [(self.written.forced(inputs[0], length),) for inputs in self.served.inputs()[:COMPARED]]

    def unscored_reason(self) -> str | None:
        """An engine that only writes gives no scores."""
        compiler = self.context.case.compiler
        return None if engine_of(compiler).forwards else f"compiler={compiler.name} gives tokens and no scores"

    def answer(self, inputs: Tensors) -> Tensors:
        """The scores at every place of whole sequences, which the same engine computes in the same precision."""
        return self._forward(inputs).complete(inputs)

    def _forward(self, inputs: Tensors) -> Compiled:
        if self.forward is None:
            self.context.preparing("compiling the forward pass by which accuracy is scored")
            self.forward = compile_served(self.context, self.served, inputs, self.calibration)
        return self.forward

    def scored(self) -> None:
        """Give the forward pass back; compiling it may have cost what was compiled to write, which is made anew."""
        if self.forward is None:
            return
        self.forward.close()
        self.forward = None
        self.written.close()
        self.context.preparing("compiling once more what writes")
        self.written = self._compiled()

    def system(self) -> System:
        """Whole answers."""
        return system_of(self.written, self.prompts, self.generation, self.generation.new_tokens)

    def measure_points(self, session: ServingSession) -> None:
        """Prefill and decoding alone, and the grid of batch sizes and lengths."""
        measure_generation(self.context, self.served, self.written, session)

    def close(self) -> None:
        """What writes."""
        self.written.close()
