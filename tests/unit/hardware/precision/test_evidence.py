"""What an engine computes in is held to what was asked for."""

from __future__ import annotations

from collections import Counter

import pytest

from hardware.base import PrecisionUnsupportedError
from hardware.precision.evidence import Evidence, check_evidence, expected
from hardware.spec import PrecisionSpec


def precision(name: str, **changes: object) -> PrecisionSpec:
    values: dict[str, object] = {"weights": "float32", "autocast": None, "matmul": "ieee"} | changes
    return PrecisionSpec(name=name, **values)  # type: ignore[arg-type]


FP32, INT8 = precision("fp32"), precision("int8", served="int8")
MIXED, INT4 = precision("bf16", autocast="bfloat16"), precision("int4", served="int4")


def test_what_a_precision_means() -> None:
    assert expected(FP32) == ("float32", "float32") and expected(MIXED) == ("float32", "bfloat16")
    assert expected(INT8) == ("int8", "int8") and expected(INT4) == ("int4", "float32")
    assert expected(precision("tf32", matmul="tf32")) == ("float32", "tf32")


@pytest.mark.parametrize(
    ("asked", "weights", "compute"),
    [
        (FP32, ("float32",), ("float32",)),
        (MIXED, ("float32",), ("bfloat16",)),
        (INT8, ("float32", "int8"), ("float32", "int8")),  # the last layer stays wide, as many quantisers leave it
    ],
)
def test_what_was_asked_for_is_taken(asked: PrecisionSpec, weights: tuple[str, ...], compute: tuple[str, ...]) -> None:
    check_evidence(Evidence(weights=weights, compute=compute, source="graph").told(), asked)


@pytest.mark.parametrize(
    ("asked", "weights", "compute", "said"),
    [
        (FP32, ("float32",), ("bfloat16",), "compute: expected float32, found bfloat16"),
        (FP32, ("float32",), ("float32", "tf32"), "compute: expected float32, found float32, tf32"),
        (FP32, ("float32", "int8"), ("float32",), "weights: expected float32, found float32, int8"),
        (INT8, ("float32",), ("float32",), "weights: expected int8, found float32"),
        (FP32, (), (), "weights: expected float32, found none"),
    ],
)
def test_another_type_is_refused(
    asked: PrecisionSpec, weights: tuple[str, ...], compute: tuple[str, ...], said: str
) -> None:
    with pytest.raises(PrecisionUnsupportedError) as caught:
        check_evidence(Evidence(weights=weights, compute=compute, source="graph").told(), asked)
    assert said in str(caught.value)


def test_a_network_of_which_little_is_quantised_is_none() -> None:
    few = Evidence.counted({"float32", "int8"}, Counter({"float32": 53, "int8": 1}))
    with pytest.raises(PrecisionUnsupportedError, match="only 2% of the products are int8, where 50% are asked for"):
        check_evidence(few.told(), INT8)
    check_evidence(Evidence.counted({"float32", "int8"}, Counter({"float32": 1, "int8": 1})).told(), INT8)
