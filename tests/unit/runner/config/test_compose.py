"""Every choice composes into a valid case; a vendor's change is found and judged."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml
from case_samples import make_case
from hydra import compose

from runner.config.compose import composing, reference_case, to_case, tuning_in_use
from runner.config.division import division
from runner.config.schema import Case, load_case
from runner.core import packages

pytestmark = pytest.mark.usefixtures("hydra")

SCALES = ("reference", "tiny", "tiny")
"""Three, so that over six precisions each topology meets both."""


def choices(group: str) -> list[str]:
    return packages.choices(group, outside=False)


def case(*overrides: str) -> Case:
    named = {override.partition("=")[0] for override in overrides}
    defaults = [] if "vendor" in named else ["vendor=cpu"]
    return to_case(compose("config", overrides=[*overrides, *defaults]))


def require_composes(model: str, vendor: str, precision: str, topology: str, scale: str) -> None:
    chosen = (f"model={model}", f"vendor={vendor}", f"precision={precision}", f"topology={topology}", f"scale={scale}")
    found = case(*chosen)
    names = (found.model.name, found.vendor.name, found.precision.name, found.topology.name, found.scale)
    assert names == (model, vendor, precision, topology, scale)


@pytest.mark.parametrize("vendor", choices("vendor"))
def test_models_compose_with_every_vendor(vendor: str) -> None:
    """Every fourth model, from another one on for each vendor; over them, all precisions, topologies and scales.

    All pairs, in all ways, are the heavy test's below.
    """
    others = zip(choices("precision"), itertools.cycle(choices("topology")), itertools.cycle(SCALES), strict=False)
    mine = choices("model")[choices("vendor").index(vendor) % 4 :: 4]
    for model, (precision, topology, scale) in zip(mine, itertools.cycle(others), strict=False):
        require_composes(model, vendor, precision, topology, scale)


@pytest.mark.heavy
@pytest.mark.parametrize("model", choices("model"))
@pytest.mark.parametrize("vendor", choices("vendor"))
def test_every_model_composes_with_every_vendor_precision_topology_and_scale(model: str, vendor: str) -> None:
    for precision, topology, scale in itertools.product(
        choices("precision"), choices("topology"), ("reference", "tiny")
    ):
        require_composes(model, vendor, precision, topology, scale)


@pytest.mark.parametrize("group", ["task", "framework", "compiler", "measure", "tracking"])
def test_every_other_choice_composes(group: str) -> None:
    for choice in choices(group):
        assert getattr(case(f"{group}={choice}"), group).name == choice


def test_a_value_of_the_command_line_wins_at_both_scales() -> None:
    for scale in ("reference", "tiny"):
        assert case(f"scale={scale}", "model.train.batch_size=3").model.training.batch_size == 3


@pytest.mark.parametrize("model", choices("model"))
def test_the_case_survives_its_file(tmp_path: Path, model: str) -> None:
    """With its identity, by which `resume=true` finds it: 0 and 0.0 are equal, and have different hashes."""
    original = case(f"model={model}", "scale=tiny", "precision=bf16")
    original.save(tmp_path / "run.yaml")
    assert load_case(tmp_path) == original
    assert load_case(tmp_path).identity == original.identity
    with pytest.raises(FileExistsError):
        original.save(tmp_path / "run.yaml")


def test_identity_ignores_where_a_run_is_kept_and_sees_what_it_measures() -> None:
    same = [
        case(),
        case("tracking=none"),
        case("run.root=elsewhere"),
        case("resume=true"),
        case("run.timeout_s=5"),
        case("data.cache=elsewhere"),
    ]
    other = [
        case("seed=7"),
        case("model.train.batch_size=3"),
        case("precision=bf16"),
        case("scale=tiny"),
        case("measure=smoke"),
    ]
    assert len({one.identity for one in same}) == 1
    assert len({one.identity for one in [*same, *other]}) == 1 + len(other)


def all_choices(**changed: Any) -> dict[str, Any]:
    names = ("task", "model", "framework", "compiler", "precision", "topology", "data", "measure", "tracking")
    standard = ("train", "resnet50", "pytorch", "eager", "fp32", "single", "sample", "standard", "mlflow")
    return dict(zip(names, standard, strict=True)) | changed


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.train.batch_size=5", "closed"),
        ("model.train.gradient_accumulation_steps=2", "closed"),
        ("model.train.optimizer.lr=9", "open"),
    ],
)
def test_the_division_follows_from_what_was_changed(override: str, expected: str) -> None:
    found = division(case("model=resnet50", override), reference_case(all_choices(), "reference"))
    assert found.name == expected
    assert [change["key"] for change in found.changed] == [override.partition("=")[0]]
    assert found.changed[0]["value"] != found.changed[0]["reference"]


def test_a_vendors_tuning_is_found_against_the_reference() -> None:
    tuned = case("model=resnet50", "vendor=nvidia")
    found = division(tuned, reference_case(all_choices(), "reference"))
    assert found.name == "closed"
    assert {change["key"] for change in found.changed} == {"model.train.batch_size", "model.memory_format"}


def test_the_tuning_file_in_use_is_known() -> None:
    """Hydra names `vendor/model` as the choice also where no such file is."""
    with composing():
        assert tuning_in_use({"tuning": "nvidia/resnet50"}) == "nvidia/resnet50"
        assert tuning_in_use({"tuning": "nvidia/bert"}) is None
        assert tuning_in_use({}) is None


@pytest.mark.parametrize("scale", ["reference", "tiny"])
@pytest.mark.parametrize("model", choices("model"))
def test_a_case_is_the_same_after_it_was_written_down(model: str, scale: str, tmp_path: Path) -> None:
    made = case(f"model={model}", f"scale={scale}")
    made.save(tmp_path / "run.yaml")
    assert load_case(tmp_path).identity == made.identity


def test_a_run_folder_of_before_parallel_layouts_is_read(tmp_path: Path) -> None:
    values = make_case(topology={"name": "node", "devices": 8}).to_dict()
    values["topology"] = {"name": "node", "devices": 8, "fsdp": 4}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    topology = load_case(tmp_path).topology
    assert (topology.ranks, topology.parallel.fsdp, topology.layout) == (8, 4, "fsdp 4")
