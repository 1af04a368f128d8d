"""`compiler=zxrt`: what TopsInference is asked for, on a fake that runs the real graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from vendor_fakes import forget, put
from vendor_graphs import images_graph, placement_for, signal_to_noise_db, tokens_graph

from hardware.base import PrecisionUnsupportedError
from hardware.engines.vendor.from_onnx import EngineBuildError
from hardware.engines.vendor.zxrt import Zxrt
from hardware.precision.evidence import check_evidence


@pytest.fixture
def tops(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield put("topsinference", "TopsInference", monkeypatch)
    forget("topsinference")


def test_without_its_package_it_says_so() -> None:
    assert Zxrt({}).unavailable_reason() == "the Python package TopsInference is not installed"


@pytest.mark.parametrize(("precision", "flag", "least", "most"), [("fp32", 0, 110, 999), ("fp16", 2, 50, 90)])
def test_what_is_asked_for_is_computed(
    *, precision: str, flag: int, least: float, most: float, tmp_path: Path, tops: ModuleType
) -> None:
    graph, placement = tokens_graph(), placement_for(tokens_graph(), tmp_path, precision)
    compiled = Zxrt({}).compile(graph, placement)
    assert tops.calls[0] == ("set_device", 0, -1)
    read = dict(tops.calls[1][1])
    assert read == {
        "names": ["tokens", "scale"],
        "types": ["s64", "f32"],
        "shapes": [[2, 7], [2, 1, 1]],
        "outputs": ["hidden", "mean"],
    }
    assert tops.calls[2:] == [("build", flag), ("load",)]
    assert least < signal_to_noise_db(graph, compiled) < most
    check_evidence(compiled.evidence.told(), placement.precision)
    assert compiled.evidence.source == "asked" and compiled.evidence.detail in ("KDEFAULT", "KFP16_MIX")
    assert compiled.made.coverage is not None and compiled.made.coverage.taken == compiled.made.coverage.total > 5
    compiled.close()
    assert tops.calls[-1] == ("release_device", "handle")


def test_an_engine_that_is_kept_is_not_built_again(tmp_path: Path, tops: ModuleType) -> None:
    graph, placement = images_graph(), placement_for(images_graph(), tmp_path)
    first = Zxrt({}).compile(graph, placement)
    assert first.made.compile_s is not None and first.made.size_bytes
    tops.calls.clear()
    second = Zxrt({}).compile(graph, placement)
    assert tops.calls == [("set_device", 0, -1), ("load",)]
    assert (second.made.compile_s, second.made.compile_reason) == (None, "an earlier run had built the engine")
    assert signal_to_noise_db(graph, second) > 110


def test_an_engine_that_is_given_is_loaded(tmp_path: Path, tops: ModuleType) -> None:
    graph, placement = images_graph(), placement_for(images_graph(), tmp_path)
    Zxrt({}).compile(graph, placement)
    given = (tmp_path / "engine.exec").rename(tmp_path / "mine.exec")
    tops.calls.clear()
    compiled = Zxrt({"engine_path": str(given)}).compile(graph, placement)
    assert ("load",) in tops.calls and not any(call[0] == "build" for call in tops.calls)
    assert compiled.made.compile_s is None and compiled.made.coverage is None
    assert signal_to_noise_db(graph, compiled) > 110
    with pytest.raises(FileNotFoundError, match=r"compiler.engine_path=\S+ does not exist"):
        Zxrt({"engine_path": str(tmp_path / "none")}).compile(graph, placement)
    assert tops.calls[-1] == ("release_device", "handle"), "the card is given back"


def test_what_it_cannot_do_is_refused(tmp_path: Path, tops: ModuleType) -> None:
    with pytest.raises(PrecisionUnsupportedError, match="does not serve in precision=bf16, only in fp32, fp16"):
        Zxrt({}).compile(images_graph(), placement_for(images_graph(), tmp_path, "bf16"))
    assert not any(call[0] == "build" for call in tops.calls)
    with pytest.raises(ValueError, match="streams=0 must be at least 1"):
        Zxrt({"streams": 0})


def test_the_tool_is_named_in_its_errors(tmp_path: Path, tops: ModuleType) -> None:
    tops.failure = "unsupported operator NonZero"
    with pytest.raises(EngineBuildError, match="Zxrt: unsupported operator NonZero"):
        Zxrt({}).compile(images_graph(), placement_for(images_graph(), tmp_path))
    assert not (tmp_path / "engine.exec").exists()


def test_requests_go_to_streams_in_turn_and_all_are_waited_for(tmp_path: Path, tops: ModuleType) -> None:
    graph = images_graph()
    compiled = Zxrt({"streams": 3}).compile(graph, placement_for(graph, tmp_path))
    placed = compiled.place(graph.inputs)
    futures = [compiled.run(placed) for _ in range(8)]
    assert len(tops.waiting) == 3, "a stream has one request at a time"
    assert len({id(one.stream) for one in futures}) == 3
    compiled.synchronize()
    assert tops.waiting == []
    assert all(torch.equal(compiled.fetch(one)[0], compiled.fetch(futures[0])[0]) for one in futures)
