"""`framework=paddle` through the command line: PyTorch's losses, its weights, a target, a kill, an emulated vendor."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from command import SEARCH_PATH, Ended, environment, run
from framework_run import records, run_cases

from runner.core.events import Name, read_events

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(find_spec("paddle") is None, reason="paddle is not installed")]

TINY = ("scale=tiny", "measure=smoke")
PADDLE = ("framework=paddle", "vendor=cpu", *TINY)
PYTORCH = ("vendor=cpu", *TINY)
SHORT = (
    *("measure.warmup.block_steps=1", "measure.warmup.max_steps=2"),
    *("measure.window.min_s=0.1", "measure.window.min_steps=4"),
)
FEW = (
    *("task=converge", "model=llama1_7B", "model.train.batch_size=8", "model.train.quality.samples=32"),
    *("model.train.quality.every_samples=32", "model.train.max_train_samples=128"),
)
"""Four evaluations, four steps apart; the target is out of reach."""
TOLERANCE = 2e-6
"""Relative, of a float32 loss: sums are taken in another order."""


def evaluations(folder: Path) -> list[float]:
    """The metric at every evaluation, the first one before training; of one that was repeated, the last."""
    told = read_events(folder / "events" / "rank0.log")[0]
    found = {
        event.value["step"]: float(next(iter(event.value["quality"].values())))
        for event in told
        if event.name in (Name.INIT_EVALUATION, Name.EVALUATE)
    }
    return [found[step] for step in sorted(found)]


# --- parity with PyTorch ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[dict[str, float]]]]:
    folder = tmp_path_factory.mktemp("parity")
    found = {}
    for framework in ("pytorch", "paddle"):
        common = (f"framework={framework}", "data.workers=0")
        cases: dict[str, tuple[str, ...]] = {model: (f"model={model}", *common) for model in ("bert", "llama1_7B")}
        cases["passes"] = (*cases["llama1_7B"], "model.train.gradient_accumulation_steps=2", "model.train.batch_size=8")
        run_cases(folder / framework, cases)
        found[framework] = {name: records(folder / framework / name) for name in cases}
    return found


@pytest.mark.parametrize("case", ["bert", "llama1_7B", "passes"])
def test_five_losses_are_pytorchs(trained: dict[str, Any], case: str) -> None:
    theirs, mine = trained["pytorch"][case], trained["paddle"][case]
    assert len(mine) == len(theirs) == 5
    assert [one["loss"] for one in mine] == pytest.approx([one["loss"] for one in theirs], rel=TOLERANCE)
    for name in ("samples", "tokens"):
        assert [one[name] for one in mine] == [one[name] for one in theirs]
    assert mine[0]["loss"] - mine[-1]["loss"] > 1e-3, "nothing was learnt: equal losses would show nothing"


# --- runs -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return run(tmp_path_factory.mktemp("whole"), *PADDLE, *FEW)


def test_a_target_out_of_reach_is_told_with_its_code(whole: Ended) -> None:
    assert whole.code == 8, whole.out
    values = evaluations(whole.folder)
    assert len(values) == 5 and values[-1] < values[0]


def test_pytorch_goes_on_from_its_weights(whole: Ended, tmp_path: Path) -> None:
    again = run(tmp_path, *PYTORCH, *FEW, f"model.weights={whole.folder}")
    assert again.code == 8, again.out
    assert evaluations(again.folder)[0] == pytest.approx(evaluations(whole.folder)[-1], rel=1e-6)


def test_it_goes_on_from_pytorchs_weights(tmp_path: Path) -> None:
    theirs = run(tmp_path / "pytorch", *PYTORCH, *FEW)
    mine = run(tmp_path / "paddle", *PADDLE, *FEW, f"model.weights={theirs.folder}")
    assert (theirs.code, mine.code) == (8, 8), mine.out
    assert evaluations(mine.folder)[0] == pytest.approx(evaluations(theirs.folder)[-1], rel=1e-6)


def test_a_killed_run_goes_on_as_if_it_had_not_been(whole: Ended, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runner", *PADDLE, *FEW, SEARCH_PATH, f"run.root={tmp_path}", "tracking=none"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not list(tmp_path.glob("*/*/checkpoints/last.ckpt")):
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive, "workers must end with their parent"
    ended = run(tmp_path, *PADDLE, *FEW, "resume=true")
    assert ended.code == 8, ended.out
    told = [event for event in read_events(ended.folder / "events" / "rank0.log")[0] if event.name == Name.RESUMED]
    assert len(told) == 1, "it was done before it was killed"
    assert evaluations(ended.folder) == evaluations(whole.folder)


def test_bert_reaches_its_tiny_target(tmp_path: Path) -> None:
    ended = run(tmp_path, *PADDLE, "task=converge", "model=bert", timeout_s=900)
    assert ended.code == 0, ended.out
    (report,) = ended.found
    assert report["figures"]["convergence/steps_to_target"]["value"] > 0
    assert (ended.folder / "checkpoints" / "reached.ckpt").exists()


def test_kunlunxins_case_runs_on_the_host_and_says_so(tmp_path: Path) -> None:
    ended = run(tmp_path, "vendor=kunlunxin", "emulate=true", "model=bert", "framework=paddle", *TINY, *SHORT)
    assert ended.code == 0, ended.out
    assert "EMULATED" in ended.out
    (report,) = ended.found
    assert report["case"]["emulated"] is True and report["case"]["framework"] == "paddle"
    assert report["figures"]["memory/device_peak_allocated_gib"]["value"] is None


@pytest.mark.parametrize(
    ("overrides", "code", "told"),
    [
        (("model=bert", "vendor=cpu", "precision=fp16"), 2, "computes in float32 alone"),
        (("model=bert", "vendor=cpu", "precision=bf16_true"), 2, "does not train in precision=bf16_true"),
        (("model=bert", "vendor=cpu", "compiler=inductor"), 2, "Choose compiler=eager"),
        (("model=bert", "vendor=cpu", "model.train.optimizer.name=adafactor"), 2, "sgd, adam, adamw, lamb"),
        (("model=resnet50", "vendor=cpu"), 2, "paddle"),
        (("model=bert", "vendor=mps"), 3, "is reached through: pytorch"),
        (("model=bert", "vendor=kunlunxin"), 3, "no device"),
    ],
)
def test_what_cannot_be_done_ends_with_its_code(
    tmp_path: Path, overrides: tuple[str, ...], code: int, told: str
) -> None:
    ended = run(tmp_path, "framework=paddle", *TINY, *overrides)
    assert ended.code == code, ended.out
    assert told in ended.out
