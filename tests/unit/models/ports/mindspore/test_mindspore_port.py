"""The MindSpore port of ResNet against its PyTorch original, on the same weights and images."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mindspore_python import mindspore_python, run_there

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(mindspore_python() is None, reason="MindSpore is not installed in an environment of its own"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = run_there("mindspore_checks.py", str(tmp_path_factory.mktemp("mindspore")), "port")
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["port"]
    assert "error" not in told, told["error"]
    return told


def test_loss_statistics_and_evaluation_are_the_originals(found: dict[str, Any]) -> None:
    own, theirs = found["loss"]
    assert own == pytest.approx(theirs, rel=2e-6)
    assert found["statistics"] < 1e-5  # the running variance with torch's n / (n - 1), too
    assert found["evaluated"] < 1e-5


def test_gradients_are_as_near_to_those_of_float64_as_torchs(found: dict[str, Any]) -> None:
    (worst, torchs_worst), (typical, torchs_typical) = found["gradients"], found["typical"]
    assert worst < 4 * torchs_worst
    assert typical < 4 * torchs_typical


def test_size_and_names_are_the_originals(found: dict[str, Any]) -> None:
    own, theirs = found["parameters"]
    assert own == theirs == 4_641_994
    assert found["names"]


def test_label_smoothing_is_torchs(found: dict[str, Any]) -> None:
    own, theirs = found["label smoothing"]
    # -log softmax of the classes, 0.9 + 0.1 / 3 of the right one and 0.1 / 3 of each other, by hand: 1.26391.
    assert own == pytest.approx(1.263912, abs=1e-5)
    assert theirs == pytest.approx(own, abs=1e-6)
