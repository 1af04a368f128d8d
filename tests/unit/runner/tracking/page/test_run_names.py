"""What tells two runs apart stands where MLflow's narrow column shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tracking_samples import make_case

from runner.config.schema import Case
from runner.tracking.page.naming import run_name, varied

BATCH = {"key": "model.train.batch_size", "reference": 32, "value": 256, "allowed": True}
SEED = {"key": "seed", "reference": 1234, "value": 2, "allowed": True}


def case(*overrides: str) -> Case:
    return make_case(Path("outputs"), *overrides)


@pytest.mark.parametrize(
    ("overrides", "changed", "name"),
    [
        (("task=train", "model=bert"), [], "bert fp32 train tiny"),
        (
            *(("task=train", "model=resnet50", "precision=bf16", "vendor=nvidia", "scale=reference"), []),
            "resnet50 bf16 nvidia train",
        ),
        (
            (
                *("task=train", "model=resnet50", "precision=bf16", "vendor=nvidia", "scale=reference"),
                *("topology=node", "topology.devices=8"),
            ),
            [BATCH],
            "resnet50 bf16 nvidia x8 train batch_size=256",
        ),
        (("task=train", "vendor=kunlunxin", "emulate=true"), [], "EMULATED bert fp32 kunlunxin train tiny"),
        (("task=train", "vendor=cpu", "emulate=true"), [], "EMULATED bert fp32 cpu train tiny"),
        (("task=train", "vendor=nvidia", "+vendor.chip=A100-SXM4"), [], "bert fp32 nvidia train tiny A100-SXM4"),
        (
            ("task=infer", "model=resnet50", "compiler=openvino", "load=single_stream"),
            [],
            "resnet50 fp32 infer openvino single_stream tiny",
        ),
        (("task=train",), [BATCH, SEED, SEED | {"key": "a.b", "value": "x" * 40}], None),
    ],
)
def test_a_name_says_what_differs(overrides: tuple[str, ...], changed: list[dict[str, Any]], name: str | None) -> None:
    overrides = tuple(one.replace("+vendor.chip", "vendor.chip") for one in overrides)
    expected = name or f"bert fp32 train tiny batch_size=256 seed=2 b={'x' * 23}…"
    assert run_name(case(*overrides), changed=changed) == expected


def test_many_changes_are_counted() -> None:
    changes = [{"key": f"model.train.k{number}", "value": number} for number in range(5)]
    assert run_name(case("task=train"), changed=changes) == "bert fp32 train tiny k0=0 k1=1 k2=2 +2 changes"


def test_in_a_sweep_what_varies_comes_first_and_once() -> None:
    cases = [case("task=train", f"precision={precision}", "model=bert") for precision in ("fp32", "bf16")]
    assert varied(cases) == ["precision"]
    assert [run_name(one, first=varied(cases)) for one in cases] == ["fp32 bert train tiny", "bf16 bert train tiny"]


def test_a_usual_value_is_said_where_it_varies() -> None:
    overrides = ("task=train", "model=bert", "compiler=inductor"), ("task=train", "model=bert", "compiler=eager")
    cases = [case(*one) for one in overrides]
    assert varied(cases) == ["compiler"]
    assert [run_name(one, first=varied(cases)) for one in cases] == [
        "inductor bert fp32 train tiny",
        "eager bert fp32 train tiny",
    ]


def test_single_values_vary_under_their_keys() -> None:
    cases = [case("task=train", f"model.train.batch_size={size}", f"seed={size}") for size in (4, 8)]
    assert varied(cases) == ["model.train.batch_size", "seed"]
    names = [run_name(one, first=varied(cases), changed=[BATCH | {"value": 4}]) for one in cases]
    assert names == ["batch_size=4 seed=4 bert fp32 train tiny", "batch_size=8 seed=8 bert fp32 train tiny"]


def test_different_models_vary_by_their_names_alone() -> None:
    cases = [case("task=train", "model=bert"), case("task=train", "model=resnet50", "seed=3")]
    assert varied(cases) == ["model", "seed"]


def test_one_case_or_none_varies_in_nothing() -> None:
    assert varied([]) == [] and varied([case("task=train")]) == []


def test_where_runs_are_kept_is_no_difference() -> None:
    cases = [case("task=train", "tracking.uri=null"), case("task=train", "tracking.uri=http://h", "resume=true")]
    assert varied(cases) == []
