"""Every rule of publication: kept by a good run, broken by each fault, and never kept where nothing is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_samples import report

from runner.record.names import FIGURES
from runner.record.report import Figure, Publication, Report
from runner.results.publication.rules import RULES, judge, judged, reasons

PROBED = {
    "parameters": ["float32"],
    "autocast": None,
    "matmul_mantissa_bits": 23,
    "convolution_mantissa_bits": 23,
    "gradient_scaler": False,
    "master_weights": ["float32"],
}
ASKED = {
    "vendor": "NVIDIA GPU",
    "publishable": True,
    "repeats": 1,
    "tolerance": 0.05,
    "min_s": 30,
    "min_steps": 50,
    "precision": {"name": "fp32", "weights": "float32", "autocast": None, "matmul": "ieee"},
    "weights": "random",
    "initial_weights": None,
}
PART: dict[str, Any] = {
    "steady": 1.0,
    "steady_reason": None,
    "window_s": 30.4,
    "window_steps": 61,
    "unevenness": 1.02,
    "others": 0.01,
    "others_reason": None,
    "power_coverage": 0.99,
    "power_flags": [],
    "throttling": [],
    "throttling_untold": [],
    "beyond_peak": [],
    "precision": PROBED,
}
UNREAD = {"throttling_untold": ["GPU-a"], "throttling_unread": ["GPU-a"]}
ENERGY = {"energy/device_j": 3600.0}


def made(task: str = "train", *, values: dict[str, float] | None = None, **changes: Any) -> Report:
    """A report whose one part has these conditions instead of the good ones."""
    asked = {key: value for key, value in changes.items() if key in ASKED and key not in PART}
    part = PART | {key: value for key, value in changes.items() if key in PART}
    about = {key: value for key, value in changes.items() if key not in PART and key not in ASKED}
    whole = report(task=task, repeats=1, values=ENERGY | (values or {}), **about)
    return judged(replace(whole, publication=Publication(asked=ASKED | asked, parts=[part], by_run=True)))


SERVES = {"accuracy": "not applicable"}
"""What training has none of."""


def outcomes(one: Report) -> dict[str, str]:
    """Outcomes by rule, of those that are not ok."""
    return {found.rule: found.outcome for found in judge(one) if found.outcome != "ok"}


def test_a_good_run_keeps_every_rule() -> None:
    for task in ("train", "converge"):
        one = made(task)
        assert outcomes(one) == SERVES and reasons(one) == []
        assert one.figures["run/publishable"].value == 1.0


@pytest.mark.parametrize("task", ["train", "converge"])
@pytest.mark.parametrize(
    ("changes", "rule", "told"),
    [
        ({"emulated": True}, "emulated", "NVIDIA GPU"),
        ({"scale": "tiny"}, "scale", "tiny"),
        ({"publishable": False, "measure": "smoke"}, "measure", "measure=smoke is not for publication"),
        ({"steady": 0.0, "steady_reason": "the cap was reached"}, "steadiness", "the cap was reached"),
        ({"window_s": 29.9}, "window", "29.9 s and 61 steps, where 30 s and 50 steps"),
        ({"window_steps": 30}, "window", "30.4 s and 30 steps, where 30 s and 50 steps"),
        ({"unevenness": 1.25}, "evenness", "1.25 times as long"),
        ({"others": 0.05}, "host", "others took 5.0% of its processors"),
        ({"throttling": ["HwSlowdown"]}, "throttling", "HwSlowdown"),
        ({"beyond_peak": ["compute/mfu is left out: it comes to 128.2 %."]}, "peak", "comes to 128.2 %"),
        ({"power_coverage": 0.94}, "energy", "the meters saw 94% of a segment"),
        ({"power_flags": ["low_coverage"]}, "energy", "low_coverage"),
        ({"power_flags": ["counter_disagrees"]}, "energy", "counter_disagrees"),
        ({"precision": PROBED | {"matmul_mantissa_bits": 10}}, "precision", "expected 23, found 10"),
        ({"repeats": 3}, "repeats", "of 3 are there"),
    ],
)
def test_each_fault_makes_a_run_unpublishable_and_is_said(
    task: str, changes: dict[str, Any], rule: str, told: str
) -> None:
    one = made(task, **changes)
    assert one.figures["run/publishable"].value == 0.0
    assert rule in outcomes(one) and any(text.startswith(f"{rule}: ") and told in text for text in reasons(one))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"others": None, "others_reason": "the sampler ended"}, "host"),
        ({"steady": None}, "steadiness"),
        ({"window_s": None}, "window"),
        ({"unevenness": None}, "evenness"),
        ({"precision": None}, "precision"),
        ({"power_coverage": None}, "energy"),
    ],
)
def test_what_nobody_knows_is_never_fine(changes: dict[str, Any], rule: str) -> None:
    one = made(**changes)
    assert outcomes(one)[rule] in ("unknown", "failed") and one.figures["run/publishable"].value == 0.0


def test_training_to_a_target_starts_where_the_published_case_does() -> None:
    wanted = {"initial_weights": "backbone.pth"}
    assert outcomes(made("converge", **wanted)) == SERVES | {"weights": "failed"}
    assert outcomes(made("converge", weights="/somewhere.pth", **wanted)) == SERVES
    assert outcomes(made("train", **wanted)) == SERVES | {"weights": "not applicable"}, "speed does not depend on it"


def test_a_window_between_two_readings_of_throttling_is_said_so() -> None:
    one = made(throttling_untold=["GPU-a"])
    one = judged(replace(one, publication=replace(one.publication, parts=[PART | UNREAD])))  # type: ignore[type-var]
    assert outcomes(one)["throttling"] == "unknown"
    assert any("throttling was read 0 times in the window" in text for text in reasons(one))


@pytest.mark.parametrize("missing", sorted(PART))
def test_a_condition_that_is_not_in_the_report_is_not_fine(missing: str) -> None:
    if missing in ("steady_reason", "others_reason"):
        return  # said only where there is something to explain
    one = made()
    assert one.publication is not None
    part = {name: value for name, value in PART.items() if name != missing}
    bare = judged(replace(one, publication=replace(one.publication, parts=[part])))
    assert "unknown" in outcomes(bare).values() and bare.figures["run/publishable"].value == 0.0


def test_a_report_that_says_nothing_is_not_publishable() -> None:
    old = judged(replace(made(), publication=None))
    assert old.figures["run/publishable"].value == 0.0
    assert outcomes(old)["window"] == "unknown"


def test_energy_is_looked_at_only_where_it_is_claimed() -> None:
    one = made(power_coverage=0.2)
    figures = one.figures | {"energy/device_j": Figure(value=None, unit="J", reason="no sensor")}
    assert outcomes(judged(replace(one, figures=figures))) == SERVES | {"energy": "not applicable"}


def test_throttling_does_not_apply_where_no_meter_tells_of_it() -> None:
    one = made(throttling=None)
    assert outcomes(one) == SERVES | {"throttling": "not applicable"} and one.figures["run/publishable"].value == 1.0


def test_an_open_run_may_be_published_as_open_only() -> None:
    changed = [{"key": "model.train.optimizer.lr", "reference": 1, "value": 2, "allowed": False}]
    one = made(division="open", changed=changed)
    assert one.figures["run/publishable"].value == 1.0
    (said,) = [found.text for found in judge(one) if found.rule == "open"]
    assert "as open only" in said and "model.train.optimizer.lr" in said


def test_a_measure_that_was_made_laxer_is_not_that_measure() -> None:
    changed = [{"key": "measure.window.min_s", "reference": 30, "value": 3, "allowed": False}]
    one = made(division="open", changed=changed, min_s=3, window_s=3.1)
    assert reasons(one) == ["measure: measure=standard was changed: measure.window.min_s=3, where it has 30"]


def test_a_failed_run_has_one_reason() -> None:
    one = replace(made(window_s=None), status="failed", exit_code=7, error={"class": "DivergedError", "message": "x"})
    assert reasons(judged(one)) == ["status: failed (exit 7, DivergedError)"]


def test_the_worst_of_several_parts_counts() -> None:
    one = made()
    assert one.publication is not None
    three = replace(one.publication, asked=ASKED | {"repeats": 3}, parts=[PART, PART | {"window_s": 9.0}, PART])
    found = judged(replace(one, case=one.case | {"repeats": 3}, publication=three))
    assert reasons(found) == ["window: 9.0 s and 61 steps, where 30 s and 50 steps are asked for"]


def test_the_documentation_names_every_rule() -> None:
    text = Path("docs/fairness.md").read_text()
    assert [rule.name for rule in RULES if f"| {rule.name} |" not in text] == []


def test_highest_values_say_so() -> None:
    highest = {name for name, known in FIGURES.items() if known.highest}
    named = {name for name in FIGURES if "peak_" in name or "_max_" in name or "/max_mhz" in name} - {
        "compute/peak_flops_per_second",
        "compute/measured_peak_flops_per_second",
    }
    assert highest == named
