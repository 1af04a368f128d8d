"""What is served is PyTorch's network: no port's framework may have the result under its name."""

from __future__ import annotations

import pytest
from hydra import compose

from runner.config.compose import composing, to_case
from runner.config.known import check_framework
from runner.core.errors import ConfigurationError
from runner.record.task import task_of


@pytest.mark.parametrize(
    ("framework", "model"),
    [
        ("jax", "resnet50"),
        ("tensorflow", "resnet50"),
        ("mindspore", "resnet50"),
        ("paddle", "bert"),
        ("megatron", "llama2_7b"),
    ],
)
def test_a_framework_of_ports_serves_nothing(framework: str, model: str) -> None:
    with composing():
        words = [f"framework={framework}", f"model={model}", "task=infer", "scale=tiny", "tracking=none"]
        case = to_case(compose("config", overrides=words))
    with pytest.raises(ConfigurationError, match=f"framework={framework} trains; task=infer serves PyTorch's networks"):
        check_framework(case, task_of(case))
