"""What a run changed is found in every section, and judged; `fairness.require=closed` refuses an open one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from hydra.core.global_hydra import GlobalHydra

from runner.cli import run
from runner.config.compose import to_case
from runner.config.division import allowed
from runner.config.fairness import choices_of, division_of, require
from runner.config.schema import Case, load_case
from runner.core.errors import ConfigurationError
from runner.record.report import load_report

pytestmark = pytest.mark.usefixtures("hydra")

OPEN = [
    "model.train.optimizer.lr=9",
    "model.architecture.classes=7",
    "model.train.quality.every_samples=5",
    "model.train.max_train_samples=5",
    "model.train.max_grad_norm=3",
    "precision.weights=bfloat16",
    "precision.matmul=tf32",
    "task.segment_s=3",
    "measure.window.min_s=3",
    "measure.window.min_steps=3",
    "measure.warmup.tolerance=0.9",
    "measure.warmup.max_steps=3",
    "measure.warmup.block_steps=50",
    "measure.publishable=false",
    "measure.sampling_period_s=5",
    "vendor.device=hardware.vendors.nvidia.Nvidia",
    "vendor.meters=[host]",
]
CLOSED = [
    "seed=3",
    "model.train.batch_size=5",
    "model.train.gradient_accumulation_steps=2",
    "model.memory_format=channels_last",
    "data.workers=3",
    "vendor.communication_backend=mpi",
    "vendor.chip=Some",
    "measure.repeats=5",
    "measure.window.min_s=300",
    "measure.window.min_steps=300",
    "measure.warmup.tolerance=0.01",
    "measure.sampling_period_s=0.05",
]
NO_CHANGE = [
    "scale=tiny emulate=true compiler=inductor precision=bf16 measure=strict data=synthetic task=converge",
    "topology=node topology.devices=2 measure=smoke data=dataset data.root=/somewhere data.cache=/somewhere",
    "tracking=none tracking.flush_s=3 run.timeout_s=3 resume=true debug=true fairness.require=closed",
]


def case(*overrides: str) -> Case:
    named = {override.partition("=")[0] for override in overrides}
    defaults = [f"{group}={choice}" for group, choice in (("vendor", "cpu"), ("model", "resnet50"))]
    return to_case(
        compose("config", overrides=[*(one for one in defaults if one.split("=")[0] not in named), *overrides])
    )


def test_what_is_not_a_vendors_to_change_makes_a_run_open() -> None:
    found = division_of(case("task=converge", *OPEN))
    changes = {change["key"]: change for change in found.changed}
    assert found.name == "open" and len(changes) == len(OPEN)
    for override in OPEN:
        key, _, value = override.partition("=")
        assert changes[key]["allowed"] is False, key
        assert changes[key]["reference"] != changes[key]["value"]
        assert value.strip("[]").lower() in str(changes[key]["value"]).lower()


def test_what_a_vendor_may_change_is_listed_and_stays_closed() -> None:
    found = division_of(case(*CLOSED))
    assert found.name == "closed"
    listed = [(change["key"], change["allowed"]) for change in found.changed]
    assert listed == sorted((override.partition("=")[0], True) for override in CLOSED)


@pytest.mark.parametrize(
    "override", ["model.train.max_train_samples=5", "measure.window.min_s=3", "vendor.meters=[host]"]
)
def test_one_such_change_is_enough(override: str) -> None:
    assert division_of(case(override, "model.train.batch_size=5")).name == "open"


@pytest.mark.parametrize("overrides", NO_CHANGE)
def test_choices_are_the_case_itself(overrides: str) -> None:
    assert division_of(case(*overrides.split())).changed == []


def test_a_compilers_settings_are_the_vendors() -> None:
    found = division_of(case("compiler=inductor", "compiler.mode=max-autotune"))
    assert (found.name, [change["key"] for change in found.changed]) == ("closed", ["compiler.mode"])


def test_a_vendors_own_section_is_compared_with_the_vendors_own_leaf_without_its_tuning() -> None:
    plain = division_of(case("vendor=nvidia"))
    assert plain.name == "closed"
    assert {change["key"] for change in plain.changed} == {"model.train.batch_size", "model.memory_format"}
    changed = division_of(case("vendor=nvidia", "vendor.device=somewhere.Else"))
    assert changed.name == "open" and "vendor.device" in {change["key"] for change in changed.changed}


def test_both_values_are_told() -> None:
    (change,) = division_of(case("model.train.optimizer.lr=9")).changed
    assert change == {"key": "model.train.optimizer.lr", "reference": 0.1, "value": 9.0, "allowed": False}


def test_every_changed_key_is_told() -> None:
    found = division_of(case("seed=3", "model.train.batch_size=5", "precision.loss_scaling=true"))
    assert [change["key"] for change in found.changed] == ["model.train.batch_size", "precision.loss_scaling", "seed"]
    assert [change["allowed"] for change in found.changed] == [True, False, True]


@pytest.mark.parametrize(
    ("key", "before", "after", "expected"),
    [
        ("measure.window.min_s", 30, 31, True),
        ("measure.window.min_s", 30, 29, False),
        ("measure.warmup.tolerance", 0.05, 0.04, True),
        ("measure.warmup.tolerance", 0.05, 0.06, False),
        ("measure.window.min_s", 30, None, False),
        ("measure.window.min_s", None, 30, False),
        ("measure.window.min_s", 30, "60", False),
        ("seed", 1, 2, True),
    ],
)
def test_a_measurement_may_become_stricter_never_laxer(key: str, before: Any, after: Any, expected: bool) -> None:
    assert allowed(key, {key: before}, {key: after}) is expected


def test_a_leaf_that_calls_itself_by_a_shipped_name_is_compared_with_the_shipped_one(tmp_path: Path) -> None:
    shipped = Path("conf/model/resnet50.yaml").read_text()
    (tmp_path / "model").mkdir()
    (tmp_path / "model/faster.yaml").write_text(shipped.replace('lr: "${scale:0.1,0.01}"', "lr: 7.0"))
    place = f"file://{tmp_path}"
    mine = case("model=faster", f"hydra.searchpath=[{place}]")
    assert mine.model.name == "resnet50" and choices_of(mine, {"model": "faster"})["model"] == "resnet50"
    found = division_of(mine, [place], {"model": "faster"})
    assert found.name == "open"
    assert [change["key"] for change in found.changed] == ["model.train.optimizer.lr"]


def test_a_model_of_ones_own_is_compared_with_its_own_leaf(tmp_path: Path) -> None:
    shipped = Path("conf/model/resnet50.yaml").read_text()
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_text(shipped.replace("name: resnet50", "name: own", 1))
    place = f"file://{tmp_path}"
    mine = case("model=mine", f"hydra.searchpath=[{place}]", "model.train.optimizer.lr=7")
    found = division_of(mine, [place], {"model": "mine"})
    assert [change["key"] for change in found.changed] == ["model.train.optimizer.lr"]


def test_an_edited_run_yaml_is_found_out_without_the_command_line(tmp_path: Path) -> None:
    case("model.train.batch_size=5").save(tmp_path / "run.yaml")
    text = (tmp_path / "run.yaml").read_text()
    (tmp_path / "run.yaml").write_text(text.replace("weight_decay: 0.0001", "weight_decay: 0.5"))
    found = division_of(load_case(tmp_path))
    assert {change["key"]: change["allowed"] for change in found.changed} == {
        "model.train.batch_size": True,
        "model.train.optimizer.weight_decay": False,
    }


def test_what_is_required_decides_nothing_about_the_case() -> None:
    assert case().identity == case("fairness.require=closed").identity


def asked(*overrides: str) -> None:
    """What the engine asks of a case before it starts a worker."""
    one = case(*overrides)
    require(one, division_of(one))


def test_an_open_run_is_refused_where_a_closed_one_is_required() -> None:
    changed = ("model.train.optimizer.lr=9", "seed=3", "model.train.batch_size=5")
    asked(*changed)
    asked("model.train.batch_size=5", "fairness.require=closed")
    with pytest.raises(ConfigurationError) as refused:
        asked(*changed, "fairness.require=closed")
    told = str(refused.value)
    assert "model.train.optimizer.lr=9.0 (the reference has 0.1)" in told and "seed=3" not in told
    assert "batch_size" not in told


def test_repeats_of_a_case_are_accepted() -> None:
    asked("measure.repeats=3", "fairness.require=closed")


def test_a_refusal_comes_before_anything_heavy_and_is_a_result(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    GlobalHydra.instance().clear()
    fixed = ["model=resnet50", "vendor=cpu", "tracking=none", f"run.root={tmp_path}"]
    assert run([*fixed, "seed=3", "model.train.optimizer.lr=9", "fairness.require=closed"]) == 2
    told = " ".join(capfd.readouterr().err.split())
    assert (
        "fairness.require=closed, and this run is open" in told
        and "model.train.optimizer.lr=9.0 (the reference has 0.1)" in told
    )
    (folder,) = (path.parent for path in tmp_path.glob("*/*/report.json"))
    report = load_report(folder / "report.json")
    assert report.error is not None and report.error["class"] == "ConfigurationError"
    assert report.division.name == "open" and len(report.division.changed) == 2
    assert not (folder / "worker.log").exists(), "no worker was started"
