"""Engines: each choice of `compiler=` has its class, checks its options and compiles in place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hardware.engines.graph import keep
from hardware.engines.native.eager import Eager
from hardware.engines.native.inductor import Inductor
from runner.core.registries import ENGINES

CONF = Path(__file__).parents[4] / "conf/compiler"


def test_every_choice_has_its_engine() -> None:
    names = [path.stem for path in sorted(CONF.glob("*.yaml"))]
    assert {"eager", "inductor", "onnxruntime"} <= {*names}
    assert [ENGINES.find(name).__name__.lower() for name in names] == [name.replace("_", "") for name in names]


def test_eager_leaves_the_network_alone() -> None:
    network = nn.Linear(2, 1)
    Eager({}).compile_in_place(network)
    assert network._compiled_call_impl is None
    assert Eager({}).unavailable_reason() is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"mode": None, "dynamic": None}),
        ({"mode": "max-autotune", "dynamic": False}, {"mode": "max-autotune", "dynamic": False}),
    ],
)
def test_inductor_hands_its_options_to_torch(
    options: dict[str, Any], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(torch, "compile", lambda function, **kwargs: given.append(kwargs) or function)
    network = nn.Linear(2, 1)
    names = [name for name, _ in network.named_parameters()]
    Inductor(options).compile_in_place(network)
    assert given == [expected]
    assert [name for name, _ in network.named_parameters()] == names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mod": "default"}, r"mod is not an option here\. Did you mean mode\? There are: mode, dynamic"),
        ({"mode": "fast"}, "mode=fast is unknown; there are default, reduce-overhead, max-autotune"),
        ({"dynamic": "yes"}, "dynamic=yes must be true, false or null"),
    ],
)
def test_options_that_inductor_does_not_know_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Inductor(options)
    with pytest.raises(ValueError, match=r"mode is not an option here\. There are: none"):
        Eager({"mode": "default"})


def test_inductor_needs_a_compiler_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    reason = Inductor({}).unavailable_reason()
    assert reason is not None and "PATH holds no compiler" in reason
    own = tmp_path / "vendor-c++"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("CXX", "vendor-c++ -O2")
    assert Inductor({}).unavailable_reason() is None


def test_the_parent_asks_every_engine_without_its_packages() -> None:
    """What it needs to refuse a case: the class, its precisions, what is missing; in a process that has nothing yet."""
    asked = (
        "import sys; from runner.config.known import workable; told = workable(); "
        "heavy = {'torch', 'onnx', 'onnxruntime', 'openvino', 'numpy', 'torchao'} & set(sys.modules); "
        "assert not heavy, heavy; assert len(told) > 20, told"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_kept_is_whole_and_that_of_whoever_was_first(tmp_path: Path) -> None:
    kept = tmp_path / "kept"

    def make(draft: Path) -> None:
        draft.mkdir()
        (draft / "own").write_text("mine")
        kept.mkdir()  # another run has finished meanwhile
        (kept / "other").write_text("theirs")

    assert keep(kept, make)
    assert [path.name for path in kept.iterdir()] == ["other"] and list(tmp_path.iterdir()) == [kept]
    assert not keep(kept, make), "it is there already"
