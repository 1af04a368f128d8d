"""torch.compile as an engine: what was captured is told, compiling is from nothing, and nothing is compiled later.

The capture is the same with every back-end; only the heavy tests generate code.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hardware_specs import precision
from served_networks import GRAPHS, OneLinear, answers_of, block, least_snr_db, linear, placement
from torch import Tensor, nn

from hardware.engines.graph import Graph
from hardware.engines.native.dynamo import RecompiledError, cold, graph_coverage
from hardware.engines.native.inductor import Inductor
from hardware.precision.evidence import check_evidence

TYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "bf16_true": "bfloat16", "fp16_true": "float16"}


class CapturedOnly(Inductor):
    """The same without generated code."""

    backend = "eager"


def graph_of(network: nn.Module) -> Graph:
    return Graph(network=network.eval(), inputs=(torch.randn(2, 8),), input_names=("in",), output_names=("out",))


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, given: Tensor) -> tuple[Tensor]:
        hidden = self.first(given).relu()
        torch._dynamo.graph_break()
        return (self.last(hidden),)


def test_a_graph_break_is_told(tmp_path: Path) -> None:
    graph = graph_of(Broken())
    compiled = CapturedOnly({}).compile(graph, placement(tmp_path, "fp32"))
    coverage = compiled.made.coverage
    assert coverage is not None and coverage.subgraphs == 2
    assert coverage.total == coverage.taken + 1 and coverage.taken == 3
    (reason,) = coverage.fallbacks.values()
    assert "torch._dynamo.graph_break()" in reason and "\n" not in reason
    assert torch.equal(compiled.complete(graph.inputs)[0], answers_of(graph)[0])


def test_a_whole_network_is_covered(tmp_path: Path) -> None:
    graph = block()
    compiled = CapturedOnly({}).compile(graph, placement(tmp_path, "bf16"))
    coverage = compiled.made.coverage
    assert coverage is not None and coverage.taken == coverage.total > 20
    assert coverage.subgraphs == 1 and not coverage.fallbacks
    assert compiled.evidence.compute == ("bfloat16",) and compiled.evidence.weights == ("float32",)
    assert 40 < least_snr_db(compiled.complete(graph.inputs), answers_of(graph)) < 90


class Counting(nn.Module):
    """Depends on how often it was called: up to a number, or without end."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.layer, self.most, self.calls = nn.Linear(8, 8), most, 0

    def forward(self, given: Tensor) -> tuple[Tensor]:
        self.calls = min(self.calls + 1, self.most)
        return (self.layer(given) * self.calls,)


def test_what_later_calls_compile_belongs_to_compiling(tmp_path: Path) -> None:
    compiled = CapturedOnly({}).compile(graph_of(Counting(2)), placement(tmp_path, "fp32"))
    for _ in range(3):
        compiled.complete((torch.randn(2, 8),))


def test_a_network_that_never_stops_compiling_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecompiledError, match="still compiled at call 4"):
        CapturedOnly({"dynamic": False}).compile(graph_of(Counting(100)), placement(tmp_path, "fp32"))


def test_a_call_that_compiles_is_no_answer(tmp_path: Path) -> None:
    compiled = CapturedOnly({}).compile(linear(), placement(tmp_path, "fp32"))
    compiled.complete((torch.randn(2, 8),))
    with pytest.raises(RecompiledError, match="compiled the network anew while it was served"):
        compiled.complete((torch.randn(3, 8),))


def test_two_batch_sizes_are_each_compiled_for_themselves(tmp_path: Path) -> None:
    """Without a new start torch would make the second one dynamic."""
    for rows in (2, 5):
        network, given = OneLinear(8).eval(), (torch.randn(rows, 8),)
        graph = Graph(network=network, inputs=given, input_names=("in",), output_names=("out",))
        compiled = CapturedOnly({}).compile(graph, placement(tmp_path, "fp32"))
        compiled.complete(given)
        with pytest.raises(RecompiledError):
            compiled.complete((torch.randn(rows + 1, 8),))


def test_coverage_counts_every_break() -> None:
    counters = {"stats": {"calls_captured": 6, "unique_graphs": 3}, "graph_break": {"one\nmore": 2, "two": 1}}
    coverage = graph_coverage(counters)
    assert (coverage.taken, coverage.total, coverage.subgraphs) == (6, 9, 3)
    assert coverage.fallbacks == {"graph break 1": "one", "graph break 2": "two"}


def test_compiling_begins_with_an_empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    (tmp_path / "earlier").touch()
    with cold():
        folder = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
        assert folder != tmp_path and not (folder / "earlier").exists() and config.force_disable_caches
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path) and not config.force_disable_caches
    assert (tmp_path / "earlier").exists()


@pytest.mark.heavy
@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_compiled_answers(name: str, graph: Callable[[], Graph], tmp_path: Path) -> None:
    served = graph()
    compiled = Inductor({}).compile(served, placement(tmp_path, name))
    check_evidence(compiled.evidence.told(), precision(name))
    assert compiled.evidence.compute == (TYPES[name],)
    assert least_snr_db(compiled.complete(served.inputs), answers_of(served)) > precision(name).least_snr_db
    assert compiled.made.compile_s is not None and compiled.made.compile_s > 1


@pytest.mark.heavy
@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune"])
def test_modes(mode: str, tmp_path: Path) -> None:
    served = block()
    compiled = Inductor({"mode": mode}).compile(served, placement(tmp_path, "fp32"))
    assert least_snr_db(compiled.complete(served.inputs), answers_of(served)) > 70
