"""Layouts of `framework=paddle` that are refused before anything starts."""

from __future__ import annotations

import pytest
from hydra import compose

from runner.config.checks import with_devices
from runner.config.compose import composing, to_case
from runner.config.known import check_framework
from runner.core.errors import ConfigurationError
from runner.record.task import task_of


def check(*overrides: str) -> None:
    with composing():
        chosen = ["vendor=cpu", "framework=paddle", "scale=tiny", "tracking=none", "topology=node", *overrides]
        case = with_devices(to_case(compose("config", overrides=chosen)))
    check_framework(case, task_of(case))


FSDP, PIPELINE, TENSOR = (f"topology.parallel.{axis}=2" for axis in ("fsdp", "pipeline", "tensor"))


@pytest.mark.parametrize("axis", ["data", "fsdp", "tensor", "pipeline"])
def test_every_axis_is_taken(axis: str) -> None:
    check("model=gpt3_6.7B", "topology.devices=2", f"topology.parallel.{axis}=2")


def test_flagperfs_layouts_are_taken() -> None:
    """TP1 PP1 SH2 SP8, TP2 SH1 SP4, TP2 SH2 SP4 and TP2 PP4 of its gpt3 and llama1 cells."""
    eight = ("model=gpt3_6.7B", "topology.devices=8")
    check(*eight, "topology.parallel.fsdp=8", "framework.sharding_stage=2")
    check(*eight, TENSOR, "topology.parallel.fsdp=4")
    check(*eight, TENSOR, "topology.parallel.fsdp=4", "framework.sharding_stage=2")
    check(*eight, TENSOR, "topology.parallel.pipeline=4")


def test_early_gradients_and_a_pipeline_do_not_go_together() -> None:
    check("model=gpt3_345m", "topology.devices=4", FSDP, PIPELINE)
    with pytest.raises(ConfigurationError, match=r"sharding_stage=2 sends gradients.*parallel\.pipeline=2"):
        check("model=gpt3_345m", "topology.devices=4", FSDP, PIPELINE, "framework.sharding_stage=2")


def test_a_sharding_stage_without_ranks_to_spread_over_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"ranks of topology\.parallel\.fsdp, which is 1"):
        check("model=gpt3_345m", "topology.devices=2", "framework.sharding_stage=2")


def test_lamb_needs_whole_tensors() -> None:
    lamb = ("model=gpt3_345m", "topology.devices=2", "model.train.optimizer.name=lamb")
    check(*lamb, FSDP)
    with pytest.raises(ConfigurationError, match=r"tensor 2: model\.train\.optimizer\.name=lamb"):
        check(*lamb, TENSOR)


def test_the_product_must_be_the_number_of_ranks() -> None:
    with pytest.raises(ConfigurationError, match=r"tensor 2 x pipeline 2 = 4 does not make the 2 ranks"):
        check("model=gpt3_345m", "topology.devices=2", TENSOR, PIPELINE)
