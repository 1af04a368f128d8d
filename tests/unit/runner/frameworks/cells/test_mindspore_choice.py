"""framework=mindspore as the parent sees it, without the package."""

from __future__ import annotations

import pytest
from hydra import compose

from runner.config.compose import composing, to_case
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, HardwareError
from runner.frameworks.cells import mindspore
from runner.frameworks.cells.mindspore import Mindspore, MindsporeOptions


def case(*overrides: str) -> Case:
    with composing():
        given = ["model=resnet50", "framework=mindspore", "vendor=ascend", "scale=tiny", "tracking=none", *overrides]
        return to_case(compose("config", overrides=given))


def test_the_published_case_composes_on_ascend() -> None:
    composed = case("scale=reference")
    Mindspore.check(composed)
    assert composed.framework == MindsporeOptions(name="mindspore", mode="graph")


def test_bfloat16_is_for_the_devices_alone() -> None:
    Mindspore.check(case("precision=bf16"))
    for overrides in (["emulate=true"], ["vendor=cpu"]):
        with pytest.raises(ConfigurationError, match="no bfloat16"):
            Mindspore.check(case("precision=bf16", *overrides))


@pytest.mark.parametrize(
    ("overrides", "error", "words"),
    [
        (["vendor=nvidia"], HardwareError, "knows no devices of vendor=nvidia"),
        (["precision=bf16_true"], ConfigurationError, "does not train in precision=bf16_true"),
        (["topology.parallel.tensor=2"], ConfigurationError, "by data alone"),
        (["model.memory_format=channels_last"], ConfigurationError, "memory_format"),
    ],
)
def test_what_it_does_not_do_is_refused(overrides: list[str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Mindspore.check(case(*overrides))


@pytest.mark.parametrize(("installed", "works"), [("1.26.4", True), ("2.4.6", False)])
def test_numpy_2_beside_it_is_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, installed: str, works: bool
) -> None:
    monkeypatch.setattr(mindspore, "version", lambda name: installed)
    monkeypatch.setattr("runner.frameworks.ported.framework.find_spec", lambda name: object())
    reason = Mindspore.unavailable_reason()
    assert (reason is None) is works
    if reason is not None:
        assert "built for NumPy 1, and numpy 2.4.6 is installed" in reason
        assert "make environment FRAMEWORK=mindspore" in reason
