"""`framework=paddle` before anything starts: its options, what it refuses, and the extra that is missing."""

from __future__ import annotations

import sys

import pytest
from hydra import compose
from pydantic import ValidationError

from runner.config.compose import composing, to_case
from runner.config.known import check_framework
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, HardwareError
from runner.frameworks.fleet import paddle as module
from runner.frameworks.fleet.paddle import Paddle, PaddleOptions
from runner.record.task import task_of


def case_of(*overrides: str) -> Case:
    with composing():
        chosen = ["vendor=kunlunxin", "framework=paddle", "model=bert", "scale=tiny", "tracking=none", *overrides]
        return to_case(compose("config", overrides=chosen))


def check(*overrides: str) -> None:
    case = case_of(*overrides)
    check_framework(case, task_of(case))


def test_the_defaults_are_flagperfs_paddle_cells() -> None:
    options = case_of().framework
    assert isinstance(options, PaddleOptions)
    assert (options.amp_level, options.initial_loss_scale) == ("O2", 1024.0)


@pytest.mark.parametrize(("option", "value"), [("amp_level", "O3"), ("initial_loss_scale", "0")])
def test_options_are_typed(option: str, value: str) -> None:
    with pytest.raises(ValidationError, match=option):
        case_of(f"framework.{option}={value}")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_flagperfs_precisions_are_taken(precision: str) -> None:
    check(f"precision={precision}")
    check("vendor=nvidia", f"precision={precision}", "framework.amp_level=O1")


@pytest.mark.parametrize("where", ["emulate=true", "vendor=cpu"])
def test_the_host_computes_in_float32_alone(where: str) -> None:
    check(where)
    with pytest.raises(ConfigurationError, match="on the host's processor framework=paddle computes in float32 alone"):
        check(where, "precision=fp16")


def test_narrow_weights_without_masters_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"does not train in precision=bf16_true\. It trains in: fp32, tf32"):
        check("vendor=nvidia", "precision=bf16_true")


def test_an_optimizer_that_paddle_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"optimizer\.name=adafactor .* sgd, adam, adamw, lamb"):
        check("model.train.optimizer.name=adafactor")


def test_a_vendor_without_paddle_names_what_reaches_it() -> None:
    with pytest.raises(HardwareError, match=r"knows no devices of vendor=mps\. .* is reached through: pytorch"):
        check("vendor=mps")


def test_serving_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="framework=paddle trains; task=infer serves"):
        check("task=infer")


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.frameworks.ported.framework.find_spec", lambda name: None)
    reason = Paddle.unavailable_reason()
    assert reason is not None and "pip install 'touchstone[paddle]'" in reason and "EXTRAS=paddle" in reason


def test_asking_it_imports_no_paddle() -> None:
    assert module.__name__ == "runner.frameworks.fleet.paddle"
    assert "paddle" not in sys.modules
