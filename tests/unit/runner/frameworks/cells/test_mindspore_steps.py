"""Rules, passes, precision and edges of framework=mindspore, all found out in one process of MindSpore's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mindspore_python import mindspore_python, run_there

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(mindspore_python() is None, reason="MindSpore is not installed in an environment of its own"),
]
WAYS = ("pynative", "graph")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    names = ("optimizers", "accumulation", "overflow", "delayed", "training_and_evaluation")
    folder = tmp_path_factory.mktemp("mindspore")
    done = run_there("mindspore_checks.py", str(folder), *names, "precision", "refusals", "resumed")
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def of(found: dict[str, Any], name: str) -> dict[str, Any]:
    assert "error" not in found[name], found[name]["error"]
    values: dict[str, Any] = found[name]
    return values


def test_every_rule_is_torchs_after_four_clipped_steps_of_other_rates(found: dict[str, Any]) -> None:
    apart = of(found, "optimizers")
    assert set(apart) == {f"{rule}, {way}" for rule in ("sgd", "momentum", "nesterov", "adam", "adamw") for way in WAYS}
    assert max(apart.values()) < 5e-6, apart


@pytest.mark.parametrize("way", WAYS)
def test_two_passes_of_two_samples_are_one_of_four(found: dict[str, Any], way: str) -> None:
    told = of(found, "accumulation")[way]
    assert told["halves"] == pytest.approx(told["whole"], abs=1e-6)
    for whole, halves in told["shares"]:  # each pass gives half of the loss: they are added up
        assert halves == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rule", ["momentum", "adam"])
def test_a_step_that_overflows_changes_the_scale_alone(found: dict[str, Any], rule: str, way: str) -> None:
    told = of(found, "overflow")[f"{rule}, {way}"]
    (first, *before, scale), (second, *after, halved), (third, weights, _, kept) = told["told"]
    assert [first, second, third] == [True, False, True]
    assert [scale, halved, kept] == [65536.0, 32768.0, 32768.0]
    assert before == after  # weights and moments, to the last bit
    assert weights == pytest.approx(told["plain"], abs=1e-6)  # as if it had not been, and as if nothing were scaled
    assert told["counter"] == 1


def test_the_edge_waits_for_work_that_a_call_has_only_submitted(found: dict[str, Any]) -> None:
    told = of(found, "delayed")
    called, done, read = told["pynative"]
    assert called < 0.1 * done
    for way in WAYS:
        _, done, read = told[way]
        assert done > 0.05
        assert read < 0.05 * done
    assert told["timed on the device"] is False


def test_evaluation_and_training_each_have_their_statistics_in_a_compiled_step(found: dict[str, Any]) -> None:
    told = of(found, "training_and_evaluation")
    assert told["after"] == pytest.approx(told["before"], rel=1e-6)
    first, again = told["training"]
    assert again < 0.5 * first  # two steps on one batch have taught it that batch
    assert told["told"] == ["step", "evaluation"]  # one program each, told once


def test_the_probe_tells_float32_from_float16_and_refuses_a_layer_that_is_not_as_the_others(
    found: dict[str, Any],
) -> None:
    told = of(found, "precision")
    assert [told[name]["autocast"] for name in ("fp32", "fp16")] == [None, "float16"]
    assert [told[name]["gradient_scaler"] for name in ("fp32", "fp16")] == [False, True]
    for name in ("fp32", "fp16"):
        assert told[name]["parameters"] == ["float32"]
        assert (told[name]["matmul_mantissa_bits"], told[name]["convolution_mantissa_bits"]) == (23, 23)
        # One block per stage of three convolutions, four short cuts, the first convolution, the classifier.
        assert told[f"{name} layers"] == 4 * 3 + 4 + 1 + 1
    assert "autocast: expected float16, found float16+float32" in told["refused"]


def test_what_cannot_be_had_is_said(found: dict[str, Any]) -> None:
    told = of(found, "refusals")
    codes = {name: told[name][0] for name in ("bf16", "vendor", "compiler", "optimizer", "mixup")}
    assert codes == {"bf16": 2, "vendor": 3, "compiler": 2, "optimizer": 2, "mixup": 2}
    assert "sgd, adam, adamw" in told["optimizer"][1]
    assert told["peaks"] == [None, None, "mindspore keeps no peaks of its allocator for CPU"]
    assert "has no TF32" in told["tf32"]
    assert told["versions"]["mindspore"]
    assert told["weights"].startswith("weights differ by name")


def test_a_resumed_run_goes_on_bit_by_bit(found: dict[str, Any]) -> None:
    told = of(found, "resumed")
    assert told["apart"] == 0.0
    assert told["moments"] > 0.0
    assert told["state"] == {"session": 7}
    assert told["steps"] == [4, 4]
    assert told["skipped"] == [False, False]
