"""What `framework=megatron` refuses before anything is started, and by which exit code."""

from __future__ import annotations

import pytest
from hydra import compose

from runner.config.checks import with_devices
from runner.config.compose import composing, to_case
from runner.config.known import check_framework, check_workable
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, DependencyError, HardwareError
from runner.frameworks.mcore import megatron
from runner.record.task import task_of

FOUR = ("topology=node", "topology.devices=4")
TENSOR = (*FOUR, "topology.parallel.tensor=4")
SIZES = "model.architecture"


def case_of(*overrides: str) -> Case:
    chosen = ["framework=megatron", "tracking=none", "scale=tiny", *overrides]
    if not any(one.startswith("model=") for one in chosen):
        chosen.append("model=aquila2_7b")
    if not any(one.startswith("vendor=") for one in chosen):
        chosen.append("vendor=nvidia")
    with composing():
        return with_devices(to_case(compose("config", overrides=chosen)))


def check(*overrides: str) -> None:
    case = case_of(*overrides)
    check_framework(case, task_of(case))


@pytest.mark.parametrize(
    "layout",
    [
        ("topology.parallel.tensor=4",),
        ("topology.parallel.pipeline=2", "topology.parallel.tensor=2"),
        ("topology.parallel.tensor=2", "framework.sequence_parallel=true"),
        (),
    ],
)
def test_layouts_that_fit_are_taken(layout: tuple[str, ...]) -> None:
    check(*FOUR, *layout)


@pytest.mark.parametrize("vendor", ["metax", "iluvatar", "amd", "dcu", "kunlunxin"])
def test_vendors_that_show_their_devices_as_cuda_are_taken(vendor: str) -> None:
    check(f"vendor={vendor}")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("framework.sequence_parallel=true",), "topology.parallel.tensor=1"),
        ((*FOUR, "topology.parallel.pipeline=4"), "does not divide model.architecture.layers: 2"),
        (("topology.devices=3", "topology=node", "topology.parallel.tensor=3"), "model.architecture.heads: 4"),
        (("model=llama3_8B", *FOUR, "topology.parallel.tensor=4"), "model.architecture.key_value_heads: 2"),
        ((*TENSOR, f"{SIZES}.intermediate=342"), "intermediate: 342"),
        ((*TENSOR, f"{SIZES}.vocabulary_multiple=1", f"{SIZES}.vocabulary=1026"), f"{SIZES}.vocabulary: 1026 (rows"),
        ((*TENSOR, "framework.sequence_parallel=true", f"{SIZES}.sequence_length=62"), f"{SIZES}.sequence_length: 62"),
        ((*FOUR, "topology.parallel.fsdp=2"), "topology.parallel.fsdp=2"),
        (("model.train.optimizer.name=lamb",), "model.train.optimizer.name=lamb"),
        (("model.train.optimizer.name=sgd", "+model.train.optimizer.nesterov=true"), "nesterov"),
        (("precision=bf16_true",), "precision=bf16_true"),
        (("compiler=inductor",), "compiler=inductor"),
        (("task=infer", "model=llama2_7b"), "framework=megatron trains"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check(*overrides)
    assert told in str(refused.value)


def test_a_vocabulary_is_split_with_its_padding() -> None:
    # 1026 entries, padded to 1152 rows, which four ranks share; 1026 they could not.
    check(*FOUR, "topology.parallel.tensor=4", "model.architecture.vocabulary=1026")


@pytest.mark.parametrize("overrides", [("vendor=cpu",), ("vendor=nvidia", "emulate=true")])
def test_the_host_is_no_accelerator(overrides: tuple[str, ...]) -> None:
    with pytest.raises(HardwareError, match=r"wants an accelerator .* torch\.cpu") as refused:
        check(*overrides)
    assert refused.value.exit_code == HardwareError.exit_code == 3
    assert "framework=pytorch" in str(refused.value)


@pytest.mark.parametrize(("vendor", "fork"), [("ascend", "MindSpeed"), ("mthreads", "MT-MegatronLM")])
def test_a_vendor_with_a_fork_of_its_own_is_told(vendor: str, fork: str) -> None:
    with pytest.raises(HardwareError, match=fork):
        check(f"vendor={vendor}")


@pytest.mark.parametrize("vendor", ["cambricon", "xpu"])
def test_other_modules_of_torch_are_refused(vendor: str) -> None:
    with pytest.raises(HardwareError, match=r"torch\.(mlu|xpu)"):
        check(f"vendor={vendor}")


@pytest.mark.parametrize("missing", ["megatron", "megatron.core"])
def test_a_missing_package_is_named_with_its_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> object:
        assert missing != "megatron" or name == missing, "below a name that there is not, nothing can be looked for"
        return None if name == missing else object()

    monkeypatch.setattr(megatron, "find_spec", found)
    with pytest.raises(DependencyError, match=r"megatron-core is not installed.*touchstone\[megatron\]") as refused:
        check_workable(case_of())
    assert refused.value.exit_code == 4
