"""AOTInductor: autocast goes into the package, packages are kept, and one for other inputs is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hardware_specs import precision
from served_networks import answers_of, block, convolutions, least_snr_db, linear, placement
from torch.export import ExportedProgram

from hardware.engines.base import UnsupportedGraphError
from hardware.engines.graph import Graph, Placement
from hardware.engines.native.aot_inductor import AotInductor, Took, exported, within_context
from hardware.engines.native.network import Placed
from hardware.engines.native.products import products_of
from hardware.precision.evidence import check_evidence


@pytest.mark.parametrize(("name", "dtype"), [("bf16", "bfloat16"), ("fp32", "float32")])
def test_autocast_is_exported_with_the_network(name: str, dtype: str, tmp_path: Path) -> None:
    graph = linear()
    placed = Placed(graph, placement(tmp_path, name))
    with torch.no_grad():
        program = torch.export.export(within_context(placed), graph.inputs)
    found = products_of(lambda: program.module()(*graph.inputs)).found
    assert [one.compute for one in found] == [dtype]
    assert {str(one.dtype) for one in program.state_dict.values()} == {"torch.float32"}


class Loaded:
    """A package that multiplies by two."""

    def __init__(self, path: str, device_index: int) -> None:
        assert Path(path).is_file() and device_index == -1

    def __call__(self, given: torch.Tensor) -> tuple[torch.Tensor]:
        return (2 * given,)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("torch._inductor.aoti_load_package", Loaded)
    path = tmp_path / "given.pt2"
    path.write_bytes(b"12345")
    return path


def with_facts(path: Path, shape: list[int]) -> None:
    evidence = {"weights": ["float32"], "compute": ["float32"], "source": "graph", "detail": "read"}
    path.with_suffix(".json").write_text(
        json.dumps({"evidence": evidence, "inputs": [["torch.float32", shape, [8, 1]]]})
    )


def test_a_package_that_is_given_is_loaded_and_never_compiled(package: Path) -> None:
    with_facts(package, [2, 8])
    graph = linear()
    compiled = AotInductor({"engine_path": str(package)}).compile(graph, placement(package.parent, "fp32"))
    assert torch.equal(compiled.complete(graph.inputs)[0], 2 * graph.inputs[0])
    made = compiled.made
    assert made.compile_s is made.export_s is None and made.size_bytes == 5
    assert made.compile_reason == "given.pt2 was compiled before, as compiler.engine_path says"
    assert compiled.evidence.detail == "read" and compiled.evidence.weights == ("float32",)


def test_a_package_for_other_inputs_is_refused(package: Path) -> None:
    with_facts(package, [4, 8])
    with pytest.raises(ValueError, match=r"compiled for inputs .*\[4, 8\].*these are .*\[2, 8\]"):
        AotInductor({"engine_path": str(package)}).compile(linear(), placement(package.parent, "fp32"))


def test_a_request_of_another_shape_is_refused(package: Path) -> None:
    """AOTInductor itself answers one of another batch size, and wrongly."""
    compiled = AotInductor({"engine_path": str(package)}).compile(linear(), placement(package.parent, "fp32"))
    with pytest.raises(ValueError, match=r"takes .*\[2, 8\], \[8, 1\].*not .*\[3, 8\]"):
        compiled.complete((torch.randn(3, 8),))
    turned = torch.randn(8, 2).T
    assert turned.stride() == (1, 2)
    assert torch.equal(compiled.complete((turned,))[0], 2 * turned), "strides are laid out anew"


def test_of_a_package_of_somebody_elses_nothing_is_known(package: Path) -> None:
    compiled = AotInductor({"engine_path": str(package)}).compile(linear(), placement(package.parent, "bf16_true"))
    assert compiled.evidence.source == "asked" and compiled.evidence.compute == ("bfloat16",)


def test_a_package_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.pt2 is no file"):
        AotInductor({"engine_path": "nowhere.pt2"}).compile(linear(), placement(tmp_path, "fp32"))


def test_a_package_is_made_once(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def make(self: AotInductor, graph: Graph, placement: Placement, path: Path) -> Took:
        path.write_bytes(b"123")
        with_facts(path, [2, 8])
        made.append(path)
        return Took(0.5, 2.5)

    monkeypatch.setattr(AotInductor, "_made", make)
    first, second = (AotInductor({}).compile(linear(), placement(tmp_path, "fp32")).made for _ in range(2))
    assert (first.export_s, first.compile_s, first.size_bytes) == (0.5, 2.5, 3)
    assert second.export_s is second.compile_s is None and second.size_bytes == 3
    assert second.compile_reason == second.export_reason == "an earlier run had compiled it"
    assert len(made) == 1
    torch.set_num_threads(3)
    try:
        AotInductor({}).compile(linear(), placement(tmp_path, "fp32"))
    finally:
        torch.set_num_threads(1)
    assert len(made) == 2, "machine code for another number of threads is another package"


def test_a_package_is_told_by_the_graph_that_is_compiled(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler is played: it shows its graph to the pass that it is given, and writes a file."""

    def compiled(program: ExportedProgram, *, package_path: str, inductor_configs: dict[str, Any]) -> None:
        from torch._inductor import config

        assert inductor_configs == {} and config.force_disable_caches
        config.post_grad_custom_pre_pass(program.run_decompositions().graph)
        Path(package_path).write_bytes(b"1234")

    monkeypatch.setattr("torch._inductor.aoti_compile_and_package", compiled)
    made = AotInductor({}).compile(linear(), placement(tmp_path, "bf16"))
    assert (made.evidence.weights, made.evidence.compute) == (("float32",), ("bfloat16",))
    assert "1 of 1 products in bfloat16" in made.evidence.detail and made.made.size_bytes == 4
    assert made.made.export_s and made.made.compile_s is not None
    again = AotInductor({}).compile(linear(), placement(tmp_path, "bf16"))
    assert again.evidence == made.evidence and again.made.compile_s is None
    assert [one.name for one in tmp_path.rglob("*.pt2")].count("network.pt2") == 1


def test_strides_are_compiled_for(tmp_path: Path) -> None:
    graph = convolutions()
    laid = tuple(one.contiguous(memory_format=torch.channels_last) for one in graph.inputs)
    (values, _) = exported(graph.network, laid).example_inputs
    assert [one.stride() for one in values] == [one.stride() for one in laid]
    assert laid[0].stride() != graph.inputs[0].stride()


def test_a_network_that_depends_on_values_is_refused() -> None:
    class Depending(torch.nn.Module):
        def forward(self, given: torch.Tensor) -> tuple[torch.Tensor]:
            return (given * 2 if given.sum() > 0 else given,)

    with pytest.raises(UnsupportedGraphError, match="aot_inductor cannot take the network"):
        exported(Depending().eval(), (torch.ones(2),))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"dynamic": True}, "dynamic is not an option here"), ({"mode": "reduce-overhead"}, "mode=reduce-overhead")],
)
def test_options_that_it_does_not_know_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AotInductor(options)


def test_a_torch_without_packages_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardware.engines.native.aot_inductor.version", lambda _: "2.6.1+cpu")
    assert AotInductor({}).unavailable_reason() == "torch 2.6.1+cpu has no packages of AOTInductor: 2.7 has"
    monkeypatch.setattr("hardware.engines.native.aot_inductor.version", lambda _: "2.10.0")
    assert AotInductor({}).unavailable_reason() is None


def test_it_neither_trains_nor_writes_by_another_engines_means() -> None:
    assert not AotInductor.trains and not AotInductor.generates
    with pytest.raises(NotImplementedError, match="served, not trained"):
        AotInductor({}).compile_in_place(torch.nn.Linear(1, 1))


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16_true"])
def test_packages_answer_as_the_network(name: str, tmp_path: Path) -> None:
    graph, place = block(), placement(tmp_path, name)
    compiled = AotInductor({}).compile(graph, place)
    check_evidence(compiled.evidence.told(), precision(name))
    found = compiled.complete(graph.inputs)
    assert precision(name).least_snr_db < least_snr_db(found, answers_of(graph)) < (300 if name == "fp32" else 90)
    assert compiled.made.compile_s and compiled.made.export_s and compiled.made.size_bytes
    again = AotInductor({}).compile(graph, place)
    assert again.made.compile_s is None
    (path,) = tmp_path.rglob("*.pt2")
    given = AotInductor({"engine_path": str(path)}).compile(graph, place)
    assert all(torch.equal(one, other) for one, other in zip(given.complete(graph.inputs), found, strict=True))
