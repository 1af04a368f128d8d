"""What `task=infer` refuses before anything heavy is started."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from language_samples import case_of

from runner.core.errors import ConfigurationError, DataMissingError, OutOfMemoryError, classify
from runner.record.task import task_of
from runner.serving.served import build_served

RESNET = ("task=infer", "model=resnet50", "scale=tiny")


@pytest.mark.parametrize("load", [["load=server"], ["load=mlperf", "load.scenario=Server"]])
def test_a_server_needs_a_rate(load: list[str]) -> None:
    with pytest.raises(ConfigurationError, match=rf"{' '.join(load)} needs load\.rate"):
        task_of(case_of(*RESNET, *load)).check(case_of(*RESNET, *load))
    task = task_of(case_of(*RESNET, *load, "load.rate=5"))
    task.check(case_of(*RESNET, *load, "load.rate=5"))


def test_an_engine_that_is_to_be_loaded_is_there(tmp_path: Path) -> None:
    package = tmp_path / "resnet50.pt2"
    case = case_of(*RESNET, "compiler=aot_inductor", f"compiler.engine_path={package}")
    with pytest.raises(DataMissingError, match=r"compiler\.engine_path=.*resnet50\.pt2 is not there"):
        task_of(case).check(case)
    package.touch()
    task_of(case).check(case)


@pytest.mark.parametrize("data", ["sample", "synthetic"])
def test_a_batch_that_no_host_holds_is_refused_before_its_rows_are_read(data: str) -> None:
    """3 x 32 x 32 float32 pixels are 12,288 bytes, a label 8: 12,296 times a billion are 11,451.5 GiB."""
    case = case_of(*RESNET, f"data={data}", "model.infer.batch_size=1000000000")
    with pytest.raises(OutOfMemoryError, match=r"a batch of 1,000,000,000 take 11,451\.5 GiB"):
        build_served(case)


def test_without_memory_the_advice_names_the_served_batch_size() -> None:
    assert "model.infer.batch_size" in str(classify(torch.OutOfMemoryError("CUDA out of memory")))
