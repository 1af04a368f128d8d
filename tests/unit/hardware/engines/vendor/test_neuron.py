"""Neuron: what the compiler is told in each precision, what is refused, traces that are kept, numbers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fake_neuronx import FakeNeuronx
from vendor_graphs import images_graph, plain_placement, precision_of, signal_to_noise_db, tokens_graph

from hardware.base import PrecisionUnsupportedError
from hardware.engines.base import UnsupportedGraphError
from hardware.engines.vendor.from_torch.neuron import Neuron
from hardware.precision.evidence import check_evidence

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")


@pytest.fixture
def neuronx(monkeypatch: pytest.MonkeyPatch) -> FakeNeuronx:
    fake = FakeNeuronx()
    monkeypatch.setitem(sys.modules, "torch_neuronx", fake)
    return fake


def test_without_its_package_it_says_how_to_get_it() -> None:
    reason = Neuron({}).unavailable_reason()
    assert reason is not None and "torch_neuronx is not installed: pip install torch-neuronx" in reason


@pytest.mark.parametrize(
    ("precision", "arguments", "least_db", "most_db"),
    [
        ("fp32", ["--auto-cast", "none", "-O2"], 110, 200),
        ("tf32", ["--auto-cast", "matmult", "--auto-cast-type", "tf32", "-O2"], 110, 200),
        ("bf16", ["--auto-cast", "matmult", "--auto-cast-type", "bf16", "-O2"], 35, 60),
        ("fp16", ["--auto-cast", "matmult", "--auto-cast-type", "fp16", "-O2"], 50, 90),
        ("bf16_true", ["--auto-cast", "none", "-O2"], 30, 60),
        ("fp16_true", ["--auto-cast", "none", "-O2"], 50, 90),
    ],
)
def test_nothing_is_cast_but_what_the_precision_says(  # noqa: PLR0917 -- a table
    neuronx: FakeNeuronx, tmp_path: Path, precision: str, arguments: list[str], least_db: float, most_db: float
) -> None:
    graph = images_graph()
    compiled = Neuron({}).compile(graph, plain_placement(tmp_path, precision))
    assert neuronx.calls == [arguments]
    assert least_db < signal_to_noise_db(graph, compiled) < most_db
    assert compiled.evidence.source == "asked"
    check_evidence(compiled.evidence.told(), precision_of(precision))


def test_several_inputs_and_outputs_and_options(neuronx: FakeNeuronx, tmp_path: Path) -> None:
    graph = tokens_graph()
    engine = Neuron({"level": 1, "model_type": "transformer"})
    assert signal_to_noise_db(graph, engine.compile(graph, plain_placement(tmp_path))) > 110
    assert neuronx.calls == [["--auto-cast", "none", "-O1", "--model-type=transformer"]]
    with pytest.raises(ValueError, match="level=4 is unknown; there are 1, 2, 3"):
        Neuron({"level": 4})


def test_a_precision_it_does_not_list_is_refused(neuronx: FakeNeuronx, tmp_path: Path) -> None:
    graph = images_graph()
    with pytest.raises(PrecisionUnsupportedError, match="does not serve in precision=int8"):
        Neuron({}).compile(graph, plain_placement(tmp_path, "int8"))
    assert neuronx.calls == []


def test_what_the_compiler_says_is_named(neuronx: FakeNeuronx, tmp_path: Path) -> None:
    graph = images_graph()
    neuronx.refuses = "[NCC_EVRF029] aten::sort is not supported"
    with pytest.raises(UnsupportedGraphError, match=r"neuron cannot take the network: aten::sort: .*NCC_EVRF029"):
        Neuron({}).compile(graph, plain_placement(tmp_path))
    assert not (tmp_path / "traced.pt").exists()


def test_a_trace_is_made_once_and_may_be_given(neuronx: FakeNeuronx, tmp_path: Path) -> None:
    graph = images_graph()
    first = Neuron({}).compile(graph, plain_placement(tmp_path))
    assert first.made.compile_s is not None
    neuronx.calls.clear()
    kept = Neuron({}).compile(graph, plain_placement(tmp_path))
    given = Neuron({"engine_path": str(tmp_path / "traced.pt")}).compile(graph, plain_placement(tmp_path))
    assert neuronx.calls == [] and (kept.made.compile_s, given.made.compile_s) == (None, None)
    assert min(signal_to_noise_db(graph, one) for one in (kept, given)) > 110
    with pytest.raises(FileNotFoundError, match=r"engine_path=nowhere is no file"):
        Neuron({"engine_path": "nowhere"}).compile(graph, plain_placement(tmp_path))
