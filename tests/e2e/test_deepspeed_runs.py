"""DeepSpeed's engine on two ranks of the host: the same losses as Lightning's, whatever ZeRO spreads; really run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command import SEARCH_PATH, run
from hydra import compose, initialize_config_module
from zero_ranks import ZeroRun, train_ranks

from runner.config import resolvers
from runner.config.checks import with_devices
from runner.config.compose import to_case
from runner.config.schema import Case
from runner.core.events import Name

pytestmark = pytest.mark.heavy

pytest.importorskip("deepspeed")

SHORT = (
    *("measure=smoke", "tracking=none", "scale=tiny", "vendor=cpu", SEARCH_PATH),
    *("measure.warmup.max_steps=2", "measure.warmup.block_steps=1"),
    *("measure.window.min_s=0.001", "measure.window.min_steps=6", "measure.window.max_s=1"),
)
LLAMA = ("model=llama2_7b", "task=converge", "model.train.quality.every_samples=32", "model.train.quality.samples=37")
BUDGET = "model.train.max_train_samples=192"
TWO = ("topology=node", "topology.devices=2", "model.train.batch_size=8")
TOLERANCE = 2e-6
"""Of a loss in float32: sums over ranks and flat pieces are taken in another order, which is all that differs."""


def cases(folder: Path, **words: tuple[str, ...]) -> dict[Path, Case]:
    """Composed cases, each with the folder it runs in."""
    resolvers.register()
    with initialize_config_module("conf", version_base="1.3"):
        composed = {name: to_case(compose("config", overrides=[*SHORT, *given])) for name, given in words.items()}
    return {folder / name: with_devices(case) for name, case in composed.items()}


def zero(stage: int, *words: str) -> tuple[str, ...]:
    return "framework=deepspeed", f"framework.zero_stage={stage}", *words


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ZeroRun]:
    """One rank with all of the global batch, trained by Lightning, and by DeepSpeed."""
    folder = tmp_path_factory.mktemp("alone")
    batch = "model.train.batch_size=16"
    words = {
        "lightning": (*LLAMA, BUDGET, batch),
        "lightning_accumulated": (*LLAMA, BUDGET, batch, "model.train.gradient_accumulation_steps=2"),
        "deepspeed": (*LLAMA, BUDGET, batch, *zero(3)),
    }
    return train_ranks(cases(folder, **words), ranks=1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ZeroRun]:
    """Two ranks that share the global batch."""
    folder = tmp_path_factory.mktemp("pair")
    llama = (*LLAMA, BUDGET, *TWO)
    words = {f"zero{stage}": (*llama, *zero(stage)) for stage in range(4)}
    twice = "model.train.gradient_accumulation_steps=2"
    words |= {f"accumulated{stage}": (*llama, *zero(stage, twice)) for stage in range(4)}
    words |= {
        f"recomputed{stage}": (*llama, *zero(stage, "framework.activation_checkpointing=true")) for stage in (1, 3)
    }
    words |= {f"offloaded{stage}": (*llama, *zero(stage, "framework.offload=cpu")) for stage in (1, 3)}
    words |= {f"bf16_{stage}": (*llama, *zero(stage, "precision=bf16")) for stage in (0, 3)}
    toy = ("model=toy", "task=train", "topology=node", "topology.devices=2", "precision=fp16")
    overflows = "model.implementations.pytorch=zero_toys.OverflowOnOneRank"
    words |= {
        f"overflow{stage}": (*toy, *zero(stage, overflows, "model.train.max_grad_norm=1.0")) for stage in range(4)
    }
    words["reaches"] = ("model=toy", "task=converge", "topology=node", "topology.devices=2", *zero(3))
    words["averages"] = (*words["reaches"], "framework.zero_stage=2", "model.train.regularisation.ema_decay=0.5")
    return train_ranks(cases(folder, **words), ranks=2)


@pytest.mark.parametrize("name", ["zero0", "zero1", "zero2", "zero3", "offloaded1", "offloaded3"])
def test_losses_are_those_of_one_rank_of_lightning(
    name: str, alone: dict[str, ZeroRun], pair: dict[str, ZeroRun]
) -> None:
    expected = alone["lightning"].losses()
    assert len(expected) == 12
    assert pair[name].losses() == pytest.approx(expected, rel=TOLERANCE)


def test_losses_of_a_single_rank_are_lightnings(alone: dict[str, ZeroRun]) -> None:
    assert alone["deepspeed"].losses() == pytest.approx(alone["lightning"].losses(), rel=TOLERANCE)


@pytest.mark.parametrize("stage", range(4))
def test_losses_of_accumulated_passes_are_lightnings(
    stage: int, alone: dict[str, ZeroRun], pair: dict[str, ZeroRun]
) -> None:
    expected = alone["lightning_accumulated"].losses()
    assert len(expected) == 6
    assert pair[f"accumulated{stage}"].losses() == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize("stage", [1, 3])
def test_computing_blocks_again_changes_nothing(stage: int, pair: dict[str, ZeroRun]) -> None:
    assert pair[f"recomputed{stage}"].losses() == pytest.approx(pair[f"zero{stage}"].losses(), rel=TOLERANCE)


@pytest.mark.parametrize("name", ["zero0", "zero1", "zero2", "zero3"])
def test_evaluations_are_lightnings_though_the_ranks_have_not_as_many_batches(
    name: str, alone: dict[str, ZeroRun], pair: dict[str, ZeroRun]
) -> None:
    def qualities(run: ZeroRun) -> list[float]:
        told = run.told(Name.INIT_EVALUATION) + run.told(Name.EVALUATE)
        return [event["quality"]["perplexity"] for event in told]

    expected = qualities(alone["lightning"])
    assert len(expected) == 1 + 6
    assert qualities(pair[name]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("stage", [0, 3])
def test_bf16_is_float32_weights_under_autocast(stage: int, pair: dict[str, ZeroRun]) -> None:
    (told,) = pair[f"bf16_{stage}"].told(Name.PRECISION)
    found = {name: told[name] for name in ("parameters", "autocast", "master_weights", "gradient_scaler")}
    assert found == {
        "parameters": ["float32"],
        "autocast": "bfloat16",
        "master_weights": ["float32"],
        "gradient_scaler": False,
    }
    losses, wide = pair[f"bf16_{stage}"].losses(), pair["zero0"].losses()
    assert losses != wide and losses == pytest.approx(wide, rel=5e-3)


@pytest.mark.parametrize("stage", range(4))
def test_a_step_that_overflows_on_one_rank_is_skipped_on_all(stage: int, pair: dict[str, ZeroRun]) -> None:
    run = pair[f"overflow{stage}"]
    assert run.errors == ["", ""]
    skipped = [[event["step"] for event in run.told(Name.STEP_END, rank) if event["skipped"]] for rank in range(2)]
    assert skipped[0] == skipped[1] and {2, 3, 9} <= set(skipped[0]) <= {1, 2, 3, 9}
    for rank in range(2):
        (totals,) = run.told(Name.TRAIN_END, rank)
        assert totals["skipped_steps"] == len(skipped[0])
        assert totals["samples"] == totals["steps"] * 2 * 8
    if stage:
        assert run.losses()[:12] == pytest.approx(pair["overflow0"].losses()[:12], rel=1e-3)


def test_training_ends_at_the_target_with_whole_weights(pair: dict[str, ZeroRun]) -> None:
    run = pair["reaches"]
    assert run.errors == ["", ""] and run.told(Name.EVALUATE)[-1]["reached"]
    kept = torch.load(run.folder / "checkpoints" / "reached.ckpt", weights_only=True)["state_dict"]
    assert {name: tuple(tensor.shape) for name, tensor in kept.items()} == {
        "trainable.network.weight": (1, 4),
        "trainable.network.bias": (1,),
    }
    # y is the sum of x: every weight is 1, and there is no bias.
    assert kept["trainable.network.weight"].tolist() == [pytest.approx([1.0] * 4, abs=0.1)]
    assert run.marks[0] == "train_begin" and run.marks[-2:] == ["target", "train_end"]


def test_averaged_weights_are_kept_as_lightning_keeps_them(pair: dict[str, ZeroRun]) -> None:
    kept = torch.load(pair["averages"].folder / "checkpoints" / "reached.ckpt", weights_only=True)["state_dict"]
    assert {"average.average_0", "average.average_1"} <= kept.keys()


def test_the_home_folder_is_left_alone(pair: dict[str, ZeroRun]) -> None:
    home = pair["zero1"].folder.parent / "home"
    assert not list(home.rglob("torch_extensions")) and not list(home.rglob("*deepspeed*"))


@pytest.mark.parametrize("stage", [0, 2, 3])
def test_a_run_goes_on_where_it_stopped(stage: int, tmp_path: Path, pair: dict[str, ZeroRun]) -> None:
    words = (*LLAMA, *TWO, *zero(stage))
    train_ranks(cases(tmp_path, goes_on=(*words, "model.train.max_train_samples=96")), ranks=2)
    went_on = train_ranks(cases(tmp_path, goes_on=(*words, BUDGET)), ranks=2)["goes_on"]
    assert [event["step"] for event in went_on.told(Name.RESUMED)] == [6]
    assert went_on.losses() == pytest.approx(pair[f"zero{stage}"].losses(), rel=TOLERANCE)
    totals = went_on.told(Name.TRAIN_END)[-1]
    assert (totals["steps"], totals["samples"]) == (12, 192)
    assert len(list((tmp_path / "goes_on" / "checkpoints" / "deepspeed").glob("step*"))) == 1


def test_the_command_line_trains_and_what_it_trained_is_served(tmp_path: Path) -> None:
    words = ("model=toy", "scale=tiny", "measure=smoke", "framework=deepspeed")
    two = ("topology=node", "topology.devices=2")
    trained = run(tmp_path / "trained", *words, *two, "framework.zero_stage=3", "task=converge")
    assert trained.code == 0, trained.out
    (report,) = trained.found
    assert report["case"]["name"] == "converge_toy_tiny_fp32_cpu_x2_deepspeed_zero3"
    served = run(
        tmp_path / "served", "task=infer", "model=toy", "scale=tiny", "measure=smoke", f"weights={trained.folder}"
    )
    assert served.code == 0, served.out


def test_a_vendors_cell_is_tried_on_the_host(tmp_path: Path) -> None:
    words = ("model=llama2_7b", "vendor=iluvatar", "precision=bf16", "emulate=true", "scale=tiny", "measure=smoke")
    two = ("topology=node", "topology.devices=2")
    ended = run(tmp_path, *words, *two, "framework=deepspeed", "framework.activation_checkpointing=true")
    assert ended.code == 0, ended.out
    (report,) = ended.found
    assert report["case"]["framework"] == "deepspeed" and report["case"]["emulated"]
    assert report["division"]["name"] == "closed", json.dumps(report["division"])
