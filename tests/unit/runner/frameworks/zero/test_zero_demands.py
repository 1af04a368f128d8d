"""What ZeRO would do otherwise than asked is refused before anything starts, each with what to do instead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hydra import compose
from hydra.errors import HydraException
from pydantic import ValidationError
from toy import Toy, toy_recipe

from hardware.device import load_device
from models.datasets.base import Batch
from runner.config.checks import check, with_devices
from runner.config.compose import to_case
from runner.config.division import division
from runner.config.known import implementation_key
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, HardwareError
from runner.frameworks.zero.accelerators import accelerator_name
from runner.frameworks.zero.deepspeed import Deepspeed, DeepspeedOptions
from runner.frameworks.zero.demands import check_zero, require_equal_passes
from runner.frameworks.zero.settings import engine_settings

pytestmark = pytest.mark.usefixtures("hydra")
LLAMA = ("model=llama2_7b", "vendor=cpu", "scale=tiny", "framework=deepspeed")


def case(*words: str) -> Case:
    return with_devices(to_case(compose("config", overrides=[*LLAMA, *words])))


def test_flagperfs_cell_is_what_the_leaf_says() -> None:
    options = case().framework
    assert options == DeepspeedOptions(name="deepspeed", zero_stage=3, offload="none", activation_checkpointing=False)


@pytest.mark.parametrize(
    "word", ["framework.zero_stage=4", "framework.offload=nvme", "framework.activation_checkpointing=7"]
)
def test_options_are_typed(word: str) -> None:
    with pytest.raises((ConfigurationError, ValidationError), match=word.partition("=")[0].rpartition(".")[2]):
        case(word)


def test_options_of_another_framework_are_refused() -> None:
    with pytest.raises((ConfigurationError, ValidationError, HydraException), match="zero_stage"):
        case("framework=pytorch", "+framework.zero_stage=1")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("topology=node", "topology.devices=2", "topology.parallel.fsdp=2"), "topology.parallel.fsdp=2 is asked for"),
        (("topology=node", "topology.devices=2", "topology.parallel.tensor=2"), "leave topology.parallel out"),
        (("precision=bf16_true",), "copies in float32.*Choose bf16"),
        (("precision=fp16_true", "model.train.optimizer.eps=1e-4"), "copies in float32.*Choose fp16"),
        (("model.train.optimizer.name=lamb",), "another optimizer.*framework.zero_stage=0"),
        (("model.train.optimizer.name=adafactor", "framework.zero_stage=1"), "another optimizer"),
        (
            ("model.train.optimizer.name=adagrad", "framework.zero_stage=1"),
            "a new Adagrad.*out of its schedule's reach",
        ),
        (("framework.zero_stage=0", "framework.offload=cpu"), "framework.offload=cpu needs framework.zero_stage=1"),
        (("model.train.regularisation.ema_decay=0.9",), "ema_decay averages whole weights.*zero_stage=2"),
        (("compiler=inductor",), "compiler=inductor compiles across.*compiler=eager"),
        (("task=infer",), "framework=deepspeed trains models, and task=infer does not"),
    ],
)
def test_what_it_cannot_honour_is_refused(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        check_zero(case(*words))


@pytest.mark.parametrize(
    "words",
    [
        ("framework.zero_stage=0", "model.train.optimizer.name=lamb"),
        ("framework.zero_stage=0", "model.train.optimizer.name=adagrad"),
        ("framework.zero_stage=2", "model.train.regularisation.ema_decay=0.9"),
        ("framework.zero_stage=2", "compiler=inductor"),
        ("framework.zero_stage=1", "framework.offload=cpu"),
    ],
)
def test_what_a_lower_stage_can_do_is_not_refused(words: tuple[str, ...]) -> None:
    check_zero(case(*words))


def test_the_parent_refuses_before_it_starts_anything() -> None:
    with pytest.raises(ConfigurationError, match="copies in float32"):
        check(case("precision=bf16_true"))


@pytest.mark.parametrize(
    ("vendor", "name"),
    [
        ("cpu", "cpu"),
        ("nvidia", "cuda"),
        ("iluvatar", "cuda"),
        ("ascend", "npu"),
        ("kunlunxin", "klxpu"),
        ("xpu", "xpu"),
    ],
)
def test_deepspeed_is_told_whose_devices_they_are(vendor: str, name: str) -> None:
    assert accelerator_name(load_device(case(f"vendor={vendor}").vendor)) == name


def test_devices_it_does_not_know_are_the_hardwares_affair() -> None:
    with pytest.raises(HardwareError, match=r"does not know the devices of .*\(torch\.musa\).*framework=pytorch"):
        check_zero(case("vendor=mthreads"))
    check_zero(case("vendor=mthreads", "emulate=true"))


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.frameworks.zero.deepspeed.find_spec", lambda name: None)
    assert "pip install 'touchstone[deepspeed]'" in (Deepspeed.unavailable_reason() or "")


def test_models_written_for_pytorch_are_its_models() -> None:
    assert implementation_key(toy_recipe(), "deepspeed") == "pytorch"
    own = toy_recipe(implementations={"pytorch": "toy.Toy", "deepspeed": "toy.Patient"})
    assert implementation_key(own, "deepspeed") == "deepspeed"
    with pytest.raises(ConfigurationError, match=r"no implementation for framework=deepspeed\. It has one for: paddle"):
        implementation_key(toy_recipe(implementations={"paddle": "toy.Toy"}), "deepspeed")


def test_the_engines_settings_are_the_recipes() -> None:
    words = ("model.train.batch_size=3", "model.train.gradient_accumulation_steps=4", "model.train.max_grad_norm=0.5")
    found = engine_settings(case(*words, "framework.offload=cpu"), parameters=1025, pins_memory=True)
    place = {"device": "cpu", "pin_memory": True}
    zero = {"stage": 3, "reduce_bucket_size": 2048, "allgather_bucket_size": 2048}
    assert found["zero_optimization"] == {**zero, "offload_optimizer": place, "offload_param": place}
    assert (found["train_micro_batch_size_per_gpu"], found["gradient_accumulation_steps"]) == (3, 4)
    assert found["gradient_clipping"] == 0.5
    assert found["timers"] == {"throughput": {"enabled": False}}, "it would wait for the device in every step"
    assert not {"bf16", "fp16", "optimizer", "scheduler"} & found.keys()


def test_a_bucket_is_no_larger_than_deepspeeds_own() -> None:
    found = engine_settings(case("framework.zero_stage=1"), parameters=7_000_000_000, pins_memory=False)
    assert found["zero_optimization"] == {
        "stage": 1,
        "reduce_bucket_size": 500_000_000,
        "allgather_bucket_size": 500_000_000,
    }


class DropsLayers(Toy):
    """Costs something else in every step."""

    def counted_batches(self, batch_size: int) -> list[tuple[float, Batch]]:
        return [(1.0, self.synthetic_batch(batch_size))]


class Generates(Toy):
    """Is evaluated by generating."""

    evaluates_by_generating = True


@pytest.mark.parametrize(
    ("kind", "evaluates", "told"),
    [
        (DropsLayers, False, "leaves layers out at random"),
        (Generates, True, "evaluated by generating"),
        (Generates, False, None),
        (Toy, True, None),
    ],
)
def test_layers_in_which_the_ranks_would_not_meet_are_refused(kind: Any, evaluates: bool, told: str | None) -> None:
    two = case("topology=node", "topology.devices=2")
    model = kind(toy_recipe())
    if told is not None:
        with pytest.raises(ConfigurationError, match=f"{told}.*zero_stage=2"):
            require_equal_passes(two, model, evaluates=evaluates)
    else:
        require_equal_passes(two, model, evaluates=evaluates)
    require_equal_passes(replace(two, framework=replace(two.framework, zero_stage=2)), model, evaluates=evaluates)
    require_equal_passes(case(), model, evaluates=evaluates)


def test_a_case_is_called_by_its_framework_and_stage() -> None:
    assert case("framework.zero_stage=1").name == "train_llama2_7b_tiny_fp32_cpu_deepspeed_zero1"
    assert case("framework=pytorch").name == "train_llama2_7b_tiny_fp32_cpu"


def test_what_zero_spreads_is_the_layout_that_reports_tell() -> None:
    assert [case(f"framework.zero_stage={stage}").framework.layout for stage in range(4)] == [
        None,
        "zero 1",
        "zero 2",
        "zero 3",
    ]
    assert case("framework=pytorch").framework.layout is None


def test_a_vendor_may_choose_how_the_same_training_is_laid_out() -> None:
    mine = case("framework.zero_stage=1", "framework.offload=cpu", "framework.activation_checkpointing=true")
    found = division(mine, case())
    assert found.name == "closed" and len(found.changed) == 3
