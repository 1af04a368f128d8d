"""`framework=jax` beside PyTorch: losses, optimizers, statistics, metrics, layouts; its own edges and checkpoints."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from framework_run import losses, records, run_cases

from hardware.child import environment_of_child

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(find_spec("jax") is None or find_spec("flax") is None, reason="jax is not installed"),
]
SUPPORT = Path(__file__).resolve().parents[1] / "support"


def found_by(script: str) -> Any:
    """What a script of its own process prints."""
    done = subprocess.run(
        [sys.executable, "-P", str(SUPPORT / script)],
        env=environment_of_child({"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SUPPORT)}),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def checks() -> Any:
    return found_by("jax_checks.py")


@pytest.fixture(scope="module")
def spread() -> Any:
    return found_by("jax_spread.py")


def test_weights_come_back_under_every_name(checks: Any) -> None:
    assert checks["round_trip"] == {"resnet50": True, "bert": True, "llama2_7b": True}


def test_running_statistics_are_torchs(checks: Any) -> None:
    assert checks["statistics"]["running_mean"] < 1e-5
    assert checks["statistics"]["running_var"] < 1e-5


def test_metrics_are_torchs_with_a_short_last_batch(checks: Any) -> None:
    for metrics in checks["judged_as_torch"].values():
        for own, theirs in metrics.values():
            assert own == pytest.approx(theirs, rel=1e-6)
    assert 0.2 < checks["judged_as_torch"]["bert"]["mlm_accuracy"][0] < 0.8  # it could have differed


def test_shared_keys_padding_and_ignored_targets(checks: Any) -> None:
    assert checks["grouped"] < 1e-5


def test_dropout_moves_on_and_is_off_in_evaluation(checks: Any) -> None:
    first, second = checks["dropout"]["losses"]
    assert first != second and checks["dropout"]["again"][0] not in (first, second)
    assert checks["dropout"]["judged"][0] == checks["dropout"]["judged"][1]


def test_optimizers_are_torchs_and_timms(checks: Any) -> None:
    assert set(checks["optimizers"]) == {"sgd", "nesterov", "adam", "adamw", "lamb"}
    assert max(checks["optimizers"].values()) < 1e-4


def test_the_scale_moves_as_torchs(checks: Any) -> None:
    assert checks["scale"] == [[65536, 0], [32768, 0], [32768, 1998], [32768, 1999], [65536, 0]]


def test_a_step_that_overflows_changes_nothing_but_the_scale(checks: Any) -> None:
    overflowed, taken = checks["skipping"]["overflowed"], checks["skipping"]["taken"]
    assert overflowed["skipped"] and not overflowed["changed"] and overflowed["adam_steps"] == [0]
    assert overflowed["scale"] == pytest.approx(1.5e38)
    assert taken == {"skipped": False, "changed": True, "adam_steps": [1]}
    assert checks["skipping"]["rate_steps"] == 2  # the schedule counts skipped ones, as Lightning's


def test_resuming_gives_what_an_uninterrupted_run_gives(checks: Any) -> None:
    resumed = checks["resumed"]
    assert resumed["state"] == {"note": 7}
    assert resumed["losses"][0] == resumed["losses"][1] and resumed["equal"]
    assert resumed["scale"] == [4, 4]


def test_what_was_given_up_is_not_read(checks: Any) -> None:
    assert checks["donated"]["given_up"]
    assert checks["donated"]["losses"][0] != checks["donated"]["losses"][1]


def test_edges_wait_for_a_delayed_operator(checks: Any) -> None:
    delayed = checks["delayed"]
    assert delayed["handing_over"] < delayed["alone"] / 4
    assert delayed["waiting"] > delayed["alone"] / 2
    assert delayed["left"] < delayed["alone"] / 10  # nothing is left to wait for
    assert delayed["between_marks"] == pytest.approx(delayed["waiting"], rel=0.1)


def test_every_compilation_is_told(checks: Any) -> None:
    told = checks["compilations"]
    assert told[:3] == ["optimizer", "step", "step"]
    assert "an operation outside the step" in told[3:]


def test_a_port_that_ignores_the_precision_is_refused(checks: Any) -> None:
    refused = checks["refused"]
    assert "autocast: expected bfloat16, found None" in refused["everywhere"]
    assert "found bfloat16+float32" in refused["one layer"]
    assert refused["honest"] == "accepted"


@pytest.mark.parametrize(
    "layout", ["data", "fsdp", "fsdp, norms of whole tensors", "data and fsdp", "tensor", "data and tensor"]
)
def test_ranks_learn_what_one_does_at_the_same_global_batch(spread: Any, layout: str) -> None:
    """Each rank's loss is its own batch's; BERT's ranks count different numbers of words."""
    found = spread[layout]
    assert found["losses"] < 1e-6 and found["weights"] < 1e-6
    assert (found["spread"] > 0) == (layout != "data")


def test_optimizer_state_is_spread_with_its_weights(spread: Any) -> None:
    found = spread["fsdp, norms of whole tensors"]
    assert found["optimizer_spread"] == 2 * found["spread"]


def test_statistics_are_of_the_first_ranks_own_batch(spread: Any) -> None:
    assert spread["first_statistics"] < 1e-5


def test_ranks_drop_differently(spread: Any) -> None:
    assert len(set(spread["dropped"])) == 4


def test_a_rank_counts_its_own_batch(spread: Any) -> None:
    assert spread["counted"] == [5, 3]


def test_a_layout_that_does_not_divide_is_refused(spread: Any) -> None:
    assert "topology.parallel.tensor=4" in spread["indivisible"] and "these do: 2" in spread["indivisible"]


CASES = {
    "llama": ["model=llama2_7b"],
    "llama, accumulated": ["model=llama2_7b", "model.train.batch_size=8", "model.train.gradient_accumulation_steps=3"],
    "bert": ["model=bert"],
    "bert, lamb": ["model=bert", "model.train.batch_size=8", "model.train.optimizer.name=lamb"],
    "resnet": ["model=resnet50", "model.train.batch_size=16", "model.train.optimizer.lr=0.001"],
}
STEPS = 5
TOLERANCE = {"resnet": (1e-6, 1e-6, 1e-4, 1e-4, 3e-2)}
"""Relative, of five losses. Batch norm of pictures of one element multiplies a difference with every step: PyTorch
itself differs by a hundredth at the fifth, between its two memory formats."""


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("twins")
    for framework in ("pytorch", "jax"):
        given = {name: [f"framework={framework}", "data.workers=0", *values] for name, values in CASES.items()}
        run_cases(root / framework, given)
    return root


@pytest.mark.parametrize("name", CASES)
def test_five_losses_are_those_of_pytorch(twins: Path, name: str) -> None:
    found, expected = losses(twins / "jax" / name), losses(twins / "pytorch" / name)
    assert len(found) == len(expected) == STEPS
    for own, theirs, tolerance in zip(found, expected, TOLERANCE.get(name, (1e-5,) * STEPS), strict=True):
        assert own == pytest.approx(theirs, rel=tolerance)
    own, theirs = records(twins / "jax" / name), records(twins / "pytorch" / name)
    assert [(one["samples"], one["tokens"]) for one in own if one["tokens"] == one["tokens"]] == [
        (one["samples"], one["tokens"]) for one in theirs if one["tokens"] == one["tokens"]
    ]


@pytest.mark.parametrize("layout", [[], ["topology.parallel.fsdp=2"], ["topology.parallel.tensor=2"]])
def test_two_processes_learn_what_two_of_pytorch_learn(tmp_path: Path, layout: list[str]) -> None:
    values = [
        "model=bert",
        "model.train.batch_size=8",
        "data.workers=0",
        "topology=node",
        "topology.devices=2",
        *layout,
    ]
    for framework in ("jax", "pytorch"):
        run_cases(tmp_path / framework, {"case": [f"framework={framework}", *values]}, ranks=2)
    for rank in (0, 1):
        own, theirs = (losses(tmp_path / framework / "case", rank) for framework in ("jax", "pytorch"))
        assert own == pytest.approx(theirs, rel=2e-5)
