"""Runs of framework=mindspore: the same losses as PyTorch's, alone and on two ranks, and weights that go both ways."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from framework_run import losses, records, run_cases
from mindspore_python import SUPPORT, mindspore_python

from hardware.child import environment_of_child

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(mindspore_python() is None, reason="MindSpore is not installed in an environment of its own"),
]
CASE = ("model=resnet50", "data.workers=0")


def run_there(folder: Path, cases: Mapping[str, Sequence[str]], *, steps: int) -> None:
    """`framework_run.run_cases` with MindSpore's interpreter."""
    folder.mkdir(parents=True)
    told = {name: {"overrides": list(overrides), "steps": steps} for name, overrides in cases.items()}
    (folder / "cases.json").write_text(json.dumps(told))
    python = str(mindspore_python())
    own = [python, "-P", str(SUPPORT / "framework_run.py"), str(folder)]
    with (folder / "output.log").open("wb") as output:
        subprocess.run(
            own,
            env=environment_of_child({"OMP_NUM_THREADS": "1"}),
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=600,
            check=False,
        )


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pytorch")
    run_cases(folder, {"one": [*CASE, "framework=pytorch"]}, steps=3)
    return folder / "one"


@pytest.mark.parametrize("mode", ["graph", "pynative"])
def test_losses_samples_and_their_counts_are_pytorchs(tmp_path: Path, original: Path, mode: str) -> None:
    run_there(tmp_path / "run", {"one": [*CASE, "framework=mindspore", f"framework.mode={mode}"]}, steps=3)
    own = records(tmp_path / "run" / "one")
    assert [one["samples"] for one in own] == [one["samples"] for one in records(original)] == [32.0] * 3
    assert [one["loss"] for one in own] == pytest.approx(losses(original), rel=1e-3)
    assert own[0]["loss"] == pytest.approx(losses(original)[0], rel=2e-6)


def test_two_ranks_take_the_step_of_one_with_all_their_samples(tmp_path: Path) -> None:
    """Over two passes, clipped and with a scaled loss; an overflow on one rank is one for both."""
    python = str(mindspore_python())
    launch = [python, "-P", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
    done = subprocess.run(
        [*launch, python, "-P", str(SUPPORT / "mindspore_rank_checks.py"), str(tmp_path)],
        env=environment_of_child({"OMP_NUM_THREADS": "1"}, {**os.environ, "PYTHONPATH": str(SUPPORT)}),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert told[0] == told[1]
    assert told[0]["together"]["weights"] == pytest.approx(told[0]["alone"]["weights"], abs=1e-6)
    assert told[0]["broken"] == {"weights": [1.0, -2.0, 0.5, 3.0, 0.25, -1.0], "finite": False, "scale": 32768.0}


def test_float16_is_near_float32_and_skipped_steps_count_nothing(tmp_path: Path, original: Path) -> None:
    run_there(tmp_path / "run", {"one": [*CASE, "framework=mindspore", "precision=fp16"]}, steps=5)
    own: list[dict[str, Any]] = list(records(tmp_path / "run" / "one"))
    assert own[0]["loss"] == pytest.approx(losses(original)[0], rel=5e-3)
    assert own[0]["loss"] != losses(original)[0]
    counted = [one["samples"] for one in own]
    # As in PyTorch the scale of 65,536 is too much for the first gradients of this network: it is halved until it fits.
    assert set(counted) == {0.0, 32.0} and counted == sorted(counted)
