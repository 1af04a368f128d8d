"""What cannot be sharded is refused before anything is spread, and the message says what to choose."""

from __future__ import annotations

import pytest
from language_samples import case_of
from zoo import model_class

from hardware.layout import MeshLayout
from runner.config.checks import with_devices
from runner.config.schema import Case
from runner.core.errors import ConfigurationError
from runner.frameworks.lightning.sharding import check_sharding, layout_of

FOUR = ("scale=tiny", "topology=node", "topology.devices=4")


def case(model: str, *overrides: str) -> Case:
    return with_devices(case_of(f"model={model}", *FOUR, *overrides))


def refusal(asked: Case) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_sharding(asked, model_class(asked.model.name)(asked.model))
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_layouts() -> None:
    parallel = ("topology.parallel.fsdp=2", "topology.parallel.tensor=2")
    assert layout_of(case("llama2_7b", *parallel).topology) == MeshLayout(replicate=1, shard=2, tensor=2)
    assert layout_of(case("llama2_7b", parallel[0]).topology) == MeshLayout(replicate=2, shard=2, tensor=1)
    plain = layout_of(case("llama2_7b").topology)
    assert plain == MeshLayout(replicate=4) and not plain.sharded


def test_what_can_be_sharded_passes() -> None:
    for model in ("llama2_7b", "gpt2"):
        asked = case(model, "topology.parallel.tensor=2", "topology.parallel.fsdp=2")
        check_sharding(asked, model_class(model)(asked.model))


def test_a_model_without_a_plan_names_those_with_one() -> None:
    told = refusal(case("resnet50", "topology.parallel.tensor=2"))
    assert "model=resnet50" in told and "topology.parallel.fsdp" in told
    assert "bert, bert_hf" in told and "llama2_7b," in told and "mixtral" not in told


def test_sizes_that_do_not_divide_name_what_fits() -> None:
    told = refusal(case("bert", "topology.parallel.tensor=4"))
    assert "2 heads cannot be shared out evenly by 4 ranks" in told and "topology.parallel.tensor=2" in told
    told = refusal(case("llama2_7b", "topology.parallel.tensor=4", "model.architecture.key_value_heads=2"))
    assert "2 key-value heads" in told and "4 heads" not in told


def test_optimizers_tables_and_compilers_that_need_the_whole() -> None:
    adafactor = "model.train.optimizer={name: adafactor, lr: 1e-3}"
    told = refusal(case("llama2_7b", "topology.parallel.fsdp=2", adafactor))
    assert "adafactor" in told and "adamw" in told
    assert "compiler=eager" in refusal(case("llama2_7b", "topology.parallel.fsdp=2", "compiler=inductor"))


def test_data_parallel_training_is_not_held_to_it() -> None:
    asked = case("llama2_7b", "model.train.optimizer={name: adafactor, lr: 1e-3}")
    check_sharding(asked, model_class("llama2_7b")(asked.model))
