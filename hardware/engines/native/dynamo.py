"""Networks compiled by torch.compile: from nothing, with what was captured, and never again once they are served."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from hardware.engines.compiled import Coverage, Made
from hardware.engines.graph import Tensors
from hardware.engines.native.network import NativeCompiled, Surroundings
from hardware.precision.evidence import Evidence

if TYPE_CHECKING:
    from hardware.engines.native.products import Products

MOST_CALLS = 4
"""By which a network must have compiled all it compiles; one that counts its calls in an attribute takes two."""


class RecompiledError(RuntimeError):
    """A network was compiled anew while it was served: the time of that request is no time of serving."""


@contextmanager
def cold() -> Iterator[None]:
    """TorchInductor and Triton with nothing from an earlier compilation: no graphs, tuning, kernels or headers."""
    from torch._inductor import config, utils

    fresh_cache = getattr(utils, "fresh_cache", None) or utils.fresh_inductor_cache  # renamed in torch 2.8
    with fresh_cache(), config.patch(force_disable_caches=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="dynamo_pgo force disabled")
        yield


class Capture(NamedTuple):
    """What torch.compile made of a network."""

    call: Callable[..., Tensors]
    made: Made
    products: Products | None
    """Those of the compiled graphs; None where a part of the network was left to Python or another back-end has it."""


def capture(network: Callable[..., Tensors], surroundings: Surroundings, inputs: Tensors, **asked: Any) -> Capture:
    """Compile by calling, until a call compiles nothing.

    Args:
        network: on the device.
        surroundings: of its calls.
        inputs: on the host.
        asked: torch.compile's `mode`, `dynamic` and `backend`.

    Raises:
        RecompiledError: there is no end to it.
    """
    import torch
    from torch._dynamo.utils import counters
    from torch._inductor import config

    from hardware.engines.native.products import Products

    torch._dynamo.reset()
    counters.clear()
    call, products = torch.compile(network, **asked), Products()
    began_s = ended_s = time.perf_counter()
    with cold(), config.patch(post_grad_custom_pre_pass=products.add_graph):
        for _ in range(MOST_CALLS):
            before = graphs_compiled()
            for one in surroundings.run(call, surroundings.place(inputs)):
                one.cpu()
            if graphs_compiled() == before:
                break
            ended_s = time.perf_counter()
        else:
            raise RecompiledError(f"torch.compile still compiled at call {MOST_CALLS} with the same shapes")
    coverage = graph_coverage(counters)
    whole = bool(products.found) and not coverage.fallbacks
    return Capture(call, Made(compile_s=ended_s - began_s, coverage=coverage), products if whole else None)


class DynamoCompiled(NativeCompiled):
    """Runs what torch.compile captured, and refuses to compile any more."""

    def __init__(self, surroundings: Surroundings, captured: Capture, evidence: Evidence, *, copies: bool) -> None:
        """Take what was captured; `copies`: its outputs lie where the next call writes its own."""
        super().__init__(surroundings, captured.call, captured.made, evidence=evidence)
        self._copies = copies

    def run(self, placed: Tensors) -> Tensors:
        """Submit the forward pass.

        Raises:
            RecompiledError: it compiled: something that was assumed at first no longer held.
        """
        before = graphs_compiled()
        outputs = super().run(placed)
        if graphs_compiled() != before:
            raise RecompiledError(
                "torch.compile compiled the network anew while it was served, which is no time of serving: its code "
                "depends on something that changes between requests (TORCH_LOGS=recompiles tells what)"
            )
        return tuple(one.clone() for one in outputs) if self._copies else outputs


def graphs_compiled() -> int:
    """By Dynamo, in this process, since its counters were cleared."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def graph_coverage(counters: Mapping[str, Mapping[str, int]]) -> Coverage:
    """What Dynamo captured: pieces, calls captured, and why it broke the graph.

    A call that a graph break left to Python is one that was not taken.
    """
    breaks = dict(counters.get("graph_break", {}))
    stats = counters.get("stats", {})
    captured, missed = int(stats.get("calls_captured", 0)), sum(breaks.values())
    fallbacks = {f"graph break {number}": reason.split("\n")[0] for number, reason in enumerate(breaks, 1)}
    pieces = int(stats.get("unique_graphs", 1)) or 1
    return Coverage(taken=captured, total=captured + missed, fallbacks=fallbacks, subgraphs=pieces)
