"""What is measured beside the window of a model that writes: its two parts alone, and the grid of sizes and lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from hardware.engines.generation import CompiledGeneration, SteppedGeneration
from models.inference import Generation
from runner.core.events import Name
from runner.core.statistics import quantile
from runner.measure.context import Context
from runner.serving.compile import compile_generation
from runner.serving.load.offline import Offline
from runner.serving.load.session import ServingSession
from runner.serving.load.system import System
from runner.serving.load.writing import DecodeSystem, GenerationSystem, PrefillSystem
from runner.serving.served import Served, batches_of


class GridPoint(NamedTuple):
    """One place of the grid."""

    batch_size: int
    prompt_tokens: int
    new_tokens: int


def system_of(
    written: CompiledGeneration, prompts: Sequence[Tensor], generation: Generation, new_tokens: int
) -> GenerationSystem:
    """Whole answers of at most `new_tokens`."""
    return GenerationSystem(written, prompts, new_tokens=new_tokens, end_of_text=generation.end_of_text)


def grid(sizes: set[int], generation: Generation) -> list[GridPoint]:
    """Every batch size with every length of prompt and answer, in order."""
    prompts = {generation.prompt_tokens, *generation.prompt_lengths}
    answers = {generation.new_tokens, *generation.new_lengths}
    return sorted(GridPoint(*one) for one in ((s, p, n) for s in sizes for p in prompts for n in answers))


def measure_generation(context: Context, served: Served, written: CompiledGeneration, session: ServingSession) -> None:
    """A row of the two parts at the window's own sizes; with `load=offline`, one for each further place of the grid."""
    inference, generation = context.case.model.inference, served.generation
    assert generation is not None
    own = GridPoint(inference.batch_size, generation.prompt_tokens, generation.new_tokens)
    prompts = [served.writing.prompts(batch, own.prompt_tokens) for batch in served.batches]
    context.events.emit(Name.POINT, own._asdict() | _parts(context, session, written, prompts, own))
    if context.case.load.name != "offline":
        return
    for point in grid({own.batch_size, *inference.batch_sizes}, generation):
        if point == own:
            continue
        context.preparing("compiling for {} x {} + {} tokens".format(*point))
        batches = batches_of(served.model, context.case, point.batch_size)
        prompts = [served.writing.prompts(batch, point.prompt_tokens) for batch in batches]
        fitting = compile_generation(context, served, prompts[0], point.new_tokens)
        whole = _whole(context, session, system_of(fitting, prompts, generation, point.new_tokens))
        parts = _parts(context, session, fitting, prompts, point)
        context.events.emit(Name.POINT, point._asdict() | whole | parts)
        fitting.close()


def _whole(context: Context, session: ServingSession, system: System) -> dict[str, Any]:
    """Whole answers, one after another."""
    stretch, steady = _measured(context, session, system)
    told: dict[str, Any] = {
        "samples_per_second": stretch.samples / stretch.seconds,
        "tokens_per_second": (stretch.total("tokens") or 0) / stretch.seconds,
        "requests": len(stretch.requests),
        "seconds": stretch.seconds,
        "steady": steady,
    }
    for name in ("ttft", "tpot"):
        times = [value for one in stretch.requests if (value := getattr(one, f"{name}_s")) is not None]
        median = quantile(times, 0.5)
        told[f"{name}_p50_ms"] = None if median is None else 1e3 * median
    return told


def _parts(
    context: Context, session: ServingSession, written: CompiledGeneration, prompts: Sequence[Tensor], point: GridPoint
) -> dict[str, Any]:
    """Tokens per second of prefill alone and of decoding alone; None with `parts_reason` where they cannot be told."""
    if not isinstance(written, SteppedGeneration):
        reason = "the engine does not run prefill and decoding by themselves"
        return {"prefill_tokens_per_second": None, "decode_tokens_per_second": None, "parts_reason": reason}
    context.preparing("measuring prefill alone")
    stretch, _ = _measured(context, session, PrefillSystem(written, prompts))
    told: dict[str, Any] = {"prefill_tokens_per_second": stretch.samples * point.prompt_tokens / stretch.seconds}
    steps = point.new_tokens - 1
    if not steps:
        return told | {"decode_tokens_per_second": None, "parts_reason": "an answer of one token is not decoded"}
    context.preparing("measuring decoding alone")
    stretch, _ = _measured(context, session, DecodeSystem(written, prompts[0], steps))
    return told | {"decode_tokens_per_second": stretch.samples * steps / stretch.seconds}


def _measured(context: Context, session: ServingSession, system: System) -> Any:
    case = context.case
    return session.point(Offline(case.load, system, seed=case.seed, folder=context.folder))
