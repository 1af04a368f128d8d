"""`framework=tensorflow` as the parent sees it, without TensorFlow."""

from __future__ import annotations

import sys

import pytest
from hydra import compose
from pydantic import ValidationError

from runner.config.compose import to_case
from runner.config.known import check_framework
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, HardwareError
from runner.frameworks.keras import tensorflow
from runner.frameworks.keras.tensorflow import Tensorflow, TensorflowOptions
from runner.record.task import task_of


def case_with(*overrides: str) -> Case:
    return to_case(compose("config", overrides=["model=resnet50", "framework=tensorflow", "vendor=cpu", *overrides]))


@pytest.mark.usefixtures("hydra")
class TestTensorflow:
    def test_xla_is_an_option(self) -> None:
        assert case_with().framework == TensorflowOptions(name="tensorflow", xla=False)
        assert case_with("framework.xla=true").framework == TensorflowOptions(name="tensorflow", xla=True)

    def test_an_option_of_another_type_is_refused(self) -> None:
        with pytest.raises(ValidationError, match=r"framework\.xla"):
            case_with("framework.xla=often")

    @pytest.mark.parametrize("precision", ["bf16_true", "fp16_true"])
    def test_precisions_that_it_does_not_train_in_are_refused(self, precision: str) -> None:
        case = case_with(f"precision={precision}")
        with pytest.raises(ConfigurationError, match=f"framework=tensorflow does not train in precision={precision}"):
            check_framework(case, task_of(case))

    def test_a_vendor_whose_devices_keras_3_does_not_reach_is_refused(self) -> None:
        case = case_with("vendor=habana", "precision=bf16")
        with pytest.raises(HardwareError, match="framework=tensorflow knows no devices of vendor=habana"):
            check_framework(case, task_of(case))

    def test_channels_last_is_pytorchs(self) -> None:
        case = case_with("model.memory_format=channels_last")
        with pytest.raises(ConfigurationError, match=r"model\.memory_format=channels_last is PyTorch's"):
            check_framework(case, task_of(case))

    def test_nothing_heavy_is_imported(self) -> None:
        case = case_with()
        check_framework(case, task_of(case))
        assert "tensorflow" not in sys.modules and "keras" not in sys.modules


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import runner.frameworks.ported.framework as ported

    assert tensorflow.Tensorflow.key() == "tensorflow"
    monkeypatch.setattr(ported, "find_spec", lambda name: None)
    reason = Tensorflow.unavailable_reason()
    assert (
        reason is not None and "tensorflow and keras are not installed: pip install 'touchstone[tensorflow]'" in reason
    )
