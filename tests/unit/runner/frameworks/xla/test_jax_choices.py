"""What `framework=jax` refuses before anything starts, and what each refusal says."""

from __future__ import annotations

import pytest
from hydra import compose

from runner.config.checks import with_devices
from runner.config.compose import composing, to_case
from runner.config.known import check_framework
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, HardwareError
from runner.record.task import task_of

RANKS = ("topology=node", "topology.devices=2")


def case_of(*overrides: str) -> Case:
    with composing():
        chosen = ["vendor=cpu", "framework=jax", "model=llama2_7b", "scale=tiny", "tracking=none", *overrides]
        return with_devices(to_case(compose("config", overrides=chosen)))


@pytest.mark.parametrize(
    ("overrides", "error", "said"),
    [
        (["compiler=inductor"], ConfigurationError, "compiler=inductor"),
        (["task=infer"], ConfigurationError, "task=infer"),
        (["precision=fp16_true"], ConfigurationError, "precision=fp16_true"),
        (["vendor=kunlunxin", "emulate=true"], HardwareError, "vendor=kunlunxin"),
        ([*RANKS, "topology.parallel.pipeline=2"], ConfigurationError, "pipeline=2"),
        (
            ["topology=node", "topology.devices=4", "topology.parallel.fsdp=2", "topology.parallel.tensor=2"],
            ConfigurationError,
            "gather whole matrices",
        ),
    ],
)
def test_refused(overrides: list[str], error: type[Exception], said: str) -> None:
    case = case_of(*overrides)
    with pytest.raises(error, match=said):
        check_framework(case, task_of(case))


@pytest.mark.parametrize(
    "overrides",
    [
        [*RANKS],
        [*RANKS, "topology.parallel.fsdp=2"],
        [*RANKS, "topology.parallel.tensor=2"],
        ["precision=fp16"],
        ["precision=bf16_true"],
    ],
)
def test_accepted(overrides: list[str]) -> None:
    case = case_of(*overrides)
    check_framework(case, task_of(case))
