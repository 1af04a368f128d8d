"""DeepSpeed's engine on one rank of the host, with a model that can be computed by hand; several ranks: tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command import SEARCH_PATH
from hydra import compose, initialize_config_module
from zero_ranks import ZeroRun, train_ranks

from runner.config import resolvers
from runner.config.checks import with_devices
from runner.config.compose import to_case
from runner.config.schema import Case
from runner.core.events import Name

pytestmark = pytest.mark.heavy
pytest.importorskip("deepspeed")

TOY = (
    *("model=toy", "measure=smoke", "tracking=none", "scale=tiny", "vendor=cpu", SEARCH_PATH),
    *("measure.warmup.max_steps=2", "measure.warmup.block_steps=1"),
    *("measure.window.min_s=0.001", "measure.window.min_steps=10", "measure.window.max_s=1"),
)
CONVERGE = ("task=converge", "model.train.quality.every_samples=40")


def cases(folder: Path, words: dict[str, tuple[str, ...]]) -> dict[Path, Case]:
    resolvers.register()
    with initialize_config_module("conf", version_base="1.3"):
        composed = {name: to_case(compose("config", overrides=[*TOY, *given])) for name, given in words.items()}
    return {folder / name: with_devices(case) for name, case in composed.items()}


def zero(stage: int, *words: str) -> tuple[str, ...]:
    return "framework=deepspeed", f"framework.zero_stage={stage}", *words


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ZeroRun]:
    """All of them, and the one that stops early a second time with its whole budget."""
    folder = tmp_path_factory.mktemp("alone")
    overflows = "model.implementations.pytorch=zero_toys.OverflowOnOneRank"
    words = {f"converge{stage}": (*CONVERGE, *zero(stage)) for stage in range(4)}
    words |= {f"overflow{stage}": zero(stage, "precision=fp16", overflows) for stage in range(4)}
    words["lightning"] = CONVERGE
    words["averages"] = (*CONVERGE, *zero(1, "model.train.regularisation.ema_decay=0.5"))
    words |= {f"goes_on{stage}": (*CONVERGE, *zero(stage, "model.train.max_train_samples=80")) for stage in (0, 3)}
    runs = train_ranks(cases(folder, words), ranks=1)
    again = {f"goes_on{stage}": (*CONVERGE, *zero(stage)) for stage in (0, 3)}
    return runs | train_ranks(cases(folder, again), ranks=1)


def qualities(run: ZeroRun) -> list[float]:
    return [event["quality"]["error"] for event in run.told(Name.INIT_EVALUATION) + run.told(Name.EVALUATE)]


@pytest.mark.parametrize("stage", range(4))
def test_it_learns_what_lightning_learns(stage: int, trained: dict[str, ZeroRun]) -> None:
    run, lightning = trained[f"converge{stage}"], trained["lightning"]
    assert run.errors == lightning.errors == [""]
    assert len(lightning.losses()) % 5 == 0 and len(lightning.losses()) >= 15
    assert run.losses() == pytest.approx(lightning.losses(), rel=1e-5)
    assert qualities(run) == pytest.approx(qualities(lightning), rel=1e-5)
    ours, theirs = ([event["learning_rate"] for event in one.told(Name.STEP_END)] for one in (run, lightning))
    assert ours == theirs
    marks = ([mark for mark in one.marks if "segment" not in mark] for one in (run, lightning))
    assert next(marks) == next(marks)


@pytest.mark.parametrize("stage", range(4))
def test_weights_at_the_target_are_kept_as_lightning_keeps_them(stage: int, trained: dict[str, ZeroRun]) -> None:
    kept, expected = (
        torch.load(trained[name].folder / "checkpoints" / "reached.ckpt", weights_only=True)["state_dict"]
        for name in (f"converge{stage}", "lightning")
    )
    assert kept.keys() == expected.keys() == {"trainable.network.weight", "trainable.network.bias"}
    for name, tensor in expected.items():
        torch.testing.assert_close(kept[name], tensor, rtol=1e-4, atol=1e-6)


def test_averaged_weights_are_kept_beside_them(trained: dict[str, ZeroRun]) -> None:
    kept = torch.load(trained["averages"].folder / "checkpoints" / "reached.ckpt", weights_only=True)["state_dict"]
    assert kept["average.average_0"].shape == (1, 4) and kept["average.average_1"].shape == (1,)
    assert not torch.equal(kept["average.average_0"], kept["trainable.network.weight"])


@pytest.mark.parametrize("stage", range(4))
def test_steps_that_overflow_are_skipped_and_count_for_nothing(stage: int, trained: dict[str, ZeroRun]) -> None:
    run = trained[f"overflow{stage}"]
    assert run.errors == [""]
    (totals,) = run.told(Name.TRAIN_END)
    # The first gradients, times the scaler's first 65,536, are beyond what float16 holds; the others the test spoils.
    assert [event["step"] for event in run.told(Name.STEP_END) if event["skipped"]] == [1, 2, 3, 9]
    assert (totals["skipped_steps"], totals["samples"]) == (4, totals["steps"] * 8)
    assert run.told(Name.PRECISION)[0]["gradient_scaler"] is True
    shared = min(len(run.losses()), len(trained["overflow0"].losses()))
    assert run.losses()[:shared] == pytest.approx(trained["overflow0"].losses()[:shared], rel=2e-3)
    assert run.losses()[:4] != run.losses()[4:8], "it goes on learning"


@pytest.mark.parametrize("stage", [0, 3])
def test_a_run_goes_on_where_it_stopped(stage: int, trained: dict[str, ZeroRun]) -> None:
    run, whole = trained[f"goes_on{stage}"], trained[f"converge{stage}"]
    assert run.errors == [""] and [event["step"] for event in run.told(Name.RESUMED)] == [10]
    assert run.losses() == pytest.approx(whole.losses(), rel=1e-5)
    assert run.told(Name.TRAIN_END)[-1]["samples"] == whole.told(Name.TRAIN_END)[-1]["samples"]
    assert len(list((run.folder / "checkpoints" / "deepspeed").glob("step*"))) == 1


def test_the_home_folder_is_left_alone(trained: dict[str, ZeroRun]) -> None:
    home = trained["converge3"].folder.parent / "home"
    assert not list(home.rglob("torch_extensions")) and not list(home.rglob("*deepspeed*"))
