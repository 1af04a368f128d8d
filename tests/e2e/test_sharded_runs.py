"""Sharded training on several ranks: it learns what one rank learns, counts a batch once, and goes on where it was.

Ranks are processes of torchrun that meet over gloo. A loss is the mean of the ranks'; in float32 it agrees with that of
one rank with the same global batch to 1e-5 at every step, and the weights to 1e-4 after `STEPS` of AdamW: sums are
taken in another order, and AdamW's first steps have the size of the learning rate whatever a gradient's.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from command import environment, run

from runner.core.events import Name, read_events

pytestmark = pytest.mark.heavy

SUPPORT = Path(__file__).parents[1] / "support"
STEPS = 4
LOSS, WEIGHTS = 1e-5, 1e-4
NARROW = 5e-4
"""Of losses where products are in a narrow type: about 7 with 8 bits, so a step of rounding is 0.03 of one score."""
BATCH = 16
"""Of one step, over all ranks."""
BERT = ("model=bert",)
LLAMA = ("model=llama2_7b",)
GPT2 = ("model=gpt2",)
QWEN3 = ("model=qwen3_8B", "model.architecture.key_value_heads=2")
ACCUMULATED = (*LLAMA, "model.train.gradient_accumulation_steps=2")
LAMB = (*LLAMA, "model.train.optimizer.name=lamb", "model.train.optimizer.lr=1e-3")
FP16 = (*LLAMA, "precision=fp16")
BF16 = (*LLAMA, "precision=bf16")
EMA = (*LLAMA, "model.train.regularisation.ema_decay=0.9")
ONE = {
    **{"llama": LLAMA, "bert": BERT, "gpt2": GPT2, "qwen3": QWEN3, "accumulated": ACCUMULATED, "lamb": LAMB},
    **{"fp16": FP16, "bf16": BF16},
}
TWO = [
    *((name, "data") for name in ("llama",)),
    *((name, "fsdp") for name in ("llama", "gpt2", "accumulated", "lamb", "fp16", "bf16")),
    *((name, "tensor") for name in ("llama", "bert", "gpt2", "qwen3", "accumulated", "lamb", "fp16", "bf16")),
]
FOUR = [("llama", {"fsdp": 2, "tensor": 2}), ("llama", {"tensor": 2}), ("accumulated", {"fsdp": 2})]
"""Both, copies of tensor groups, copies of spread models."""


def train(folder: Path, cases: dict[str, list[str]], ranks: int) -> Path:
    """Train each case a few steps, all in the same ranks."""
    folder.mkdir(parents=True)
    told = {name: {"overrides": overrides, "steps": STEPS} for name, overrides in cases.items()}
    (folder / "cases.json").write_text(json.dumps(told))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    done = subprocess.run(
        [sys.executable, *launcher, str(SUPPORT / "sharded_ranks.py"), str(folder)],
        cwd=Path(__file__).parents[2],
        env=environment() | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{SUPPORT.parents[1]}:{SUPPORT}"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def batch(size: int) -> str:
    return f"model.train.batch_size={size}"


def name_of(case: str, parallel: dict[str, int]) -> str:
    return "_".join([case, *(f"{axis}{size}" for axis, size in parallel.items())])


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cases = {name: [*case, batch(BATCH)] for name, case in ONE.items()}
    return train(tmp_path_factory.mktemp("ranks") / "one", cases, 1)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node = ["topology=node", "topology.devices=2"]
    cases = {
        name_of(case, {axis: 2}): [
            *(*ONE[case], *node, f"topology.parallel.{axis}=2"),
            batch(BATCH if axis == "tensor" else BATCH // 2),
        ]
        for case, axis in TWO
    }
    even = [*BERT, *node, batch(BATCH // 2)]
    more = {
        "bert_data2": even,
        "bert_fsdp2": [*even, "topology.parallel.fsdp=2"],
        "resnet50_data2": ["model=resnet50", *node, batch(4)],
        "resnet50_fsdp2": ["model=resnet50", *node, batch(4), "topology.parallel.fsdp=2"],
        "refused": ["model=resnet50", *node, "topology.parallel.tensor=2"],
    }
    return train(tmp_path_factory.mktemp("ranks") / "two", cases | more, 2)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node = ["topology=node", "topology.devices=4"]
    cases = {
        name_of(case, parallel): [
            *(*ONE[case], *node, *(f"topology.parallel.{axis}={size}" for axis, size in parallel.items())),
            batch(BATCH * parallel.get("tensor", 1) // 4),
        ]
        for case, parallel in FOUR
    }
    return train(tmp_path_factory.mktemp("ranks") / "four", cases, 4)


def rows(folder: Path) -> dict[int, list[dict[str, str]]]:
    """Every rank's row of each step."""
    result = json.loads((folder / "result.json").read_text())
    assert result["error"] is None, result
    found: dict[int, list[dict[str, str]]] = defaultdict(list)
    with (folder / "steps.csv").open() as file:
        for row in csv.DictReader(file):
            found[int(row["step"])].append(row)
    return found


def losses(folder: Path) -> list[float]:
    steps = rows(folder)
    assert len(steps) > STEPS
    return [sum(float(row["loss"]) for row in steps[step]) / len(steps[step]) for step in sorted(steps)]


def agree(sharded: Path, whole: Path, *, loss: float, weights: float | None) -> None:
    assert losses(sharded) == pytest.approx(losses(whole), abs=loss)
    assert losses(whole)[-1] < losses(whole)[0], "something was learnt"
    if weights is None:
        return
    ours, theirs = (torch.load(folder / "weights.pt") for folder in (sharded, whole))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert float((ours[name].float() - theirs[name].float()).abs().max()) < weights, name


@pytest.mark.parametrize(("case", "axis"), TWO)
def test_two_ranks_learn_what_one_learns(one: Path, two: Path, case: str, axis: str) -> None:
    narrow = case in ("fp16", "bf16")
    tolerance, weights = (NARROW, None) if narrow else (LOSS, WEIGHTS)
    agree(two / name_of(case, {axis: 2}), one / case, loss=tolerance, weights=weights)


@pytest.mark.parametrize(("case", "parallel"), FOUR)
def test_four_ranks_learn_what_one_learns(one: Path, four: Path, case: str, parallel: dict[str, int]) -> None:
    agree(four / name_of(case, parallel), one / case, loss=LOSS, weights=WEIGHTS)


@pytest.mark.parametrize(("model", "loss", "weights"), [("bert", LOSS, WEIGHTS), ("resnet50", 1e-3, None)])
def test_spread_ranks_learn_what_copies_learn(two: Path, model: str, loss: float, weights: float | None) -> None:
    """Where one rank does not: masked words are not as many in each share, and statistics are of a rank's own batch.

    Batch normalisation over four pictures enlarges the last digits' differences from step to step.
    """
    sharded, copies = losses(two / f"{model}_fsdp2"), losses(two / f"{model}_data2")
    assert sharded == pytest.approx(copies, abs=loss)
    if weights is not None:
        agree(two / f"{model}_fsdp2", two / f"{model}_data2", loss=loss, weights=weights)


def test_ranks_of_a_tensor_group_have_one_batch(two: Path) -> None:
    for step in rows(two / "bert_tensor2").values():
        assert len(step) == 2 and len({row["loss"] for row in step}) == 1
        assert [row["samples"] for row in step] == [str(BATCH)] * 2
    for step in rows(two / "llama_fsdp2").values():
        assert len({row["loss"] for row in step}) == 2
        assert [row["samples"] for row in step] == [str(BATCH // 2)] * 2


def test_a_model_without_a_plan_ends_with_exit_code_2(two: Path) -> None:
    result = json.loads((two / "refused" / "result.json").read_text())
    assert result["exit_code"] == 2 and "llama2_7b" in result["error"]


# --- by the command line --------------------------------------------------------------------------------------

PAIR = ("model=llama2_7b", "scale=tiny", "measure=smoke", "topology=node", "topology.devices=2")
SHORT = (
    *("task=converge", "model.train.batch_size=16", "model.train.quality.every_samples=96", "task.segment_s=0.5"),
    *("model.train.max_train_samples=480", "model.train.quality.samples=65"),
)
"""An evaluation every three steps; of 65 examples one rank has 33, three batches, and the other 32, which are two."""


@pytest.mark.parametrize(("axis", "samples", "batches"), [("fsdp", 48, 2), ("tensor", 48, 1)])
def test_a_batch_is_counted_once(tmp_path: Path, axis: str, samples: int, batches: int) -> None:
    ended = run(tmp_path, *PAIR, f"topology.parallel.{axis}=2")
    assert ended.code == 0, ended.out
    (segment,) = [one for one in _events(ended.folder) if one.name == Name.SEGMENT_END]
    assert segment.value["samples"] == samples * batches * segment.value["steps"]
    assert segment.value["tokens"] == 64 * segment.value["samples"]
    figures = ended.reports["llama2_7b"]["figures"]
    per_second = segment.value["samples"] / segment.value["seconds"]
    assert figures["throughput/steady"]["value"] == pytest.approx(per_second, rel=1e-6)


def _events(folder: Path) -> list[Any]:
    return list(read_events(folder / "events" / "rank0.log")[0])


def _qualities(folder: Path) -> dict[int, float]:
    told = [event.value for event in _events(folder) if event.name == Name.EVALUATE]
    return {value["step"]: value["quality"]["perplexity"] for value in told}


@pytest.mark.parametrize("axis", ["fsdp", "tensor"])
def test_a_killed_sharded_run_goes_on_as_if_nothing_had_happened(tmp_path: Path, axis: str) -> None:
    """And whoever evaluates its weights on one device finds the same quality."""
    asked = (*PAIR, *SHORT, f"topology.parallel.{axis}=2")
    whole = run(tmp_path / "whole", *asked)
    assert whole.code == 8, whole.out
    command = [sys.executable, "-m", "runner", *asked, f"run.root={tmp_path / 'killed'}", "tracking=none"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while sum(event.name == Name.CHECKPOINT for event in _first_events(tmp_path / "killed")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(workers, timeout=60)
    resumed = run(tmp_path / "killed", *asked, "resume=true")
    assert resumed.code == 8, resumed.out
    assert any(event.name == Name.RESUMED for event in _events(resumed.folder))
    assert _qualities(resumed.folder) == pytest.approx(_qualities(whole.folder), rel=1e-5)


def _first_events(root: Path) -> list[Any]:
    found = next(root.glob("*/*/events/rank0.log"), None)
    return [] if found is None else list(read_events(found)[0])


@pytest.mark.parametrize("axis", ["fsdp", "tensor"])
def test_weights_that_reached_the_target_are_served(tmp_path: Path, axis: str) -> None:
    asked = (*PAIR, *SHORT, f"topology.parallel.{axis}=2", "model.train.quality.targets={perplexity: 100000}")
    trained = run(tmp_path / "trained", *asked)
    assert trained.code == 0, trained.out
    ((_, quality),) = _qualities(trained.folder).items()
    served = run(
        *(tmp_path / "served", "task=infer", "model=llama2_7b", "scale=tiny", "measure=smoke"),
        *(f"model.weights={trained.folder}", "model.infer.samples=65", "model.infer.generation=null"),
    )
    assert served.code in (0, 8), served.out
    figures = served.reports["llama2_7b"]["figures"]
    assert figures["accuracy/perplexity"]["value"] == pytest.approx(quality, rel=1e-5)
