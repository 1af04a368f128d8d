"""`PaddleStepper` on the host: the original's losses, gradients and figures, checkpoints, precisions, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from paddle_found import check_of, found_by

pytestmark = pytest.mark.heavy

MODELS = ("model=llama1_7B", "model=llama3_8B", "model=bert")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return found_by("paddle_steppers.py", str(tmp_path_factory.mktemp("steppers")))


@pytest.mark.parametrize("model", MODELS)
def test_loss_gradients_and_evaluation_are_the_originals(found: dict[str, Any], model: str) -> None:
    told = check_of(found, "parity")[model]
    assert told["loss"] < 2e-6
    assert told["gradient"] < 2e-6, told["of"]
    assert told["compared"] > 20
    assert told["parameters"][0] == told["parameters"][1]
    assert told["evaluated"] == pytest.approx(told["expected"], rel=1e-6)


@pytest.mark.parametrize("model", ["model=llama1_7B", "model=bert"])
def test_weights_come_back_as_they_went(found: dict[str, Any], model: str) -> None:
    assert check_of(found, "exchanged")[model] == {"names": [], "difference": 0.0}


@pytest.mark.parametrize("rule", ["lamb", "adamw", "sgd"])
def test_training_goes_on_from_a_checkpoint_as_if_nothing_had_happened(found: dict[str, Any], rule: str) -> None:
    told = check_of(found, "resumed")[rule]
    assert told["again"] == told["whole"][3:]
    assert len(set(told["whole"])) == 6
    assert told["state"] == {"kept": 3}
    assert told["rates"][1] == pytest.approx(4 * told["rates"][0]), "the fourth step of a linear warm-up"


def test_gradients_of_several_passes_are_averaged(found: dict[str, Any]) -> None:
    told = check_of(found, "accumulated")
    assert told["worst"] < 1e-8 < told["moved"]
    (whole,), halves = told["losses"]
    assert sum(halves) == pytest.approx(whole, rel=1e-6), "each pass tells its share"
    assert told["steps"] == 1


def test_training_drops_and_evaluation_does_not(found: dict[str, Any]) -> None:
    told = check_of(found, "dropped")
    assert len(set(told["training"])) == 3
    assert told["equal"] and told["evaluating"]


def test_marks_tell_when_a_slow_operator_was_done(found: dict[str, Any]) -> None:
    told = check_of(found, "delayed")
    assert 0.1 <= told["device_s"] <= told["host_s"], "forward and backward take 0.05 s each beside the model"


def test_float32_is_ieee(found: dict[str, Any]) -> None:
    told = check_of(found, "probed")["fp32"]
    assert (told["matmul_mantissa_bits"], told["convolution_mantissa_bits"]) == (23, 23)
    assert told["parameters"] == told["master_weights"] == ["float32"]
    assert told["autocast"] is None and told["gradient_scaler"] is False and told["amp_level"] is None


def test_mixed_precision_that_does_not_run_is_refused(found: dict[str, Any]) -> None:
    told = check_of(found, "probed")
    assert "autocast: expected float16, found None" in told["O1"]["refused"]
    assert "gradient_scaler: expected True, found False" in told["O1"]["refused"]
    assert "weights are float32, none of them float16" in told["O2"]["refused"]


def test_masters_are_the_weights_as_they_were_before_they_were_narrow(found: dict[str, Any]) -> None:
    told = check_of(found, "masters")
    assert told["types"] == ["float16", "float32"] and told["masters"] == ["float32"]
    assert told["narrow_have_masters"] and told["optimizer_has_them"]
    assert told["rounding"] > 1e-6, "the narrow weights are rounded, or this shows nothing"
    assert told["exact"] == 0.0 and told["loaded"] == 0.0
    assert told["scaler"] == 1024.0 and told["skipped"] is False


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("missing", "weights differ by name: ['lm_head.weight']"),
        ("shape", "lm_head.weight has shape (128, 1024), the original's (127, 1024)"),
        ("optimizer", "ConfigurationError: framework=paddle model=llama1_7B: model.train.optimizer.name=adafactor"),
        ("smoothing", "ConfigurationError: model=llama1_7B cannot be built"),
        ("decays", "ConfigurationError: framework=paddle model=llama1_7B: model.train.optimizer gives parameters"),
    ],
)
def test_what_is_not_done_is_refused(found: dict[str, Any], what: str, told: str) -> None:
    assert told in check_of(found, "refusals")[what]


def test_checkpoints_are_one_file(found: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    check_of(found, "resumed")
    folder: Path = next(iter(tmp_path_factory.getbasetemp().glob("steppers*")))
    assert sorted(path.name for path in folder.glob("*.ckpt")) == [
        "adamw.ckpt",
        "lamb.ckpt",
        "masters.ckpt",
        "sgd.ckpt",
    ]
    assert not list(folder.glob("*.part"))
