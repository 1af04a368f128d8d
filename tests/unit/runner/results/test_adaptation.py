from pathlib import Path
from typing import Any

import pytest
from report_samples import failed, report

from runner.core.errors import BY_NAME
from runner.core.events import EventWriter, Name
from runner.record.report import Figure, Report
from runner.results.ecosystem.adaptation import ENDINGS, adaptation


def ended(code: int, message: str, *, status: str = "failed", **changes: Any) -> Report:
    made = failed(message=message, **changes)
    made.exit_code = code
    made.status = status  # type: ignore[assignment]
    return made


def served(coverage: float | None, compile_s: float | None, **changes: Any) -> Report:
    made = report(task="train", **changes)
    for name, value, unit in (("infer/coverage", coverage, "1"), ("infer/compile_s", compile_s, "s")):
        made.figures[name] = Figure(value=value, unit=unit, reason=None if value is not None else f"no {name}")
    return made


def counted(*reports: Report, by: Any = "vendor", folder: Path = Path("/runs")) -> Any:
    for index, one in enumerate(reports):
        if one.case["identity"] == "0" * 64:
            one.case["identity"] = f"{index:064d}"
    return adaptation([(folder / str(index), one) for index, one in enumerate(reports)], by=by)


def test_every_exit_code_has_its_words():
    assert set(ENDINGS) == {0} | {kind.exit_code for kind in BY_NAME.values()}


def test_share_counts_refused_failed_and_killed_cases():
    (one,) = counted(
        report(),
        ended(2, "vendor=nvidia does not offer precision=int8.\nMore.", precision="int8"),
        ended(10, "Segmentation fault."),
        ended(130, "Interrupted.", status="killed"),
        ended(8, "The best accuracy was 0.1."),
    )
    assert (one.asked, one.ran, one.attempts, one.quality_missed) == (5, 2, 5, 1)
    assert one.share == pytest.approx(0.4)
    assert [(end.exit_code, end.ending, end.cases) for end in one.endings] == [
        (2, "configuration refused", 1),
        (10, "crashed", 1),
        (130, "killed", 1),
    ]
    assert one.endings[0].reason == "vendor=nvidia does not offer precision=int8."


def test_a_case_tried_twice_is_one_case_that_ran_when_one_attempt_did():
    again = {"identity": "a" * 64}
    (one,) = counted(ended(10, "Crash.", **again), report(**again), ended(10, "Crash.", **again))
    assert (one.asked, one.ran, one.attempts, one.endings) == (1, 1, 3, [])


def test_invalid_cases_without_identity_are_each_their_own():
    (one,) = counted(ended(2, "One.", identity=None), ended(2, "Two.", identity=None))
    assert one.asked == 2


def test_precisions_are_refused_only_by_what_names_them():
    (one,) = counted(
        report(precision="fp32"),
        ended(2, "vendor=nvidia does not offer precision=int8.", precision="int8"),
        ended(3, "V100 (compute capability 7.0) has no bfloat16: that needs 8.0 or later", precision="bf16"),
        ended(2, "vendor.chip=H100 is not in the catalogue.", precision="fp16"),
        ended(10, "bf16_true crashed.", precision="bf16_true"),
    )
    assert {each.precision: each.refused for each in one.precisions} == {
        **{"fp32": 0, "int8": 1, "bf16": 1, "fp16": 0, "bf16_true": 0},
    }
    assert {each.precision: (each.ran, each.asked) for each in one.precisions}["fp32"] == (1, 1)


def test_refused_operator_is_told_with_the_engines_words():
    (one,) = counted(
        ended(2, "tensorrt cannot take the network: aten::roll: no such layer", compiler="tensorrt"), by="compiler"
    )
    assert (one.name, list(one.operators_refused)) == ("tensorrt", ["aten::roll"])


def test_emulated_runs_are_never_the_vendors_and_imported_ones_nobodys():
    foreign = report(vendor="nvidia")
    foreign.imported = {"format": "flagperf", "version": "1", "file": "x", "sha256": "0"}
    found = counted(report(vendor="kunlunxin", emulated=True), ended(3, "No device.", vendor="kunlunxin"), foreign)
    assert [(one.name, one.emulated, one.ran, one.asked) for one in found] == [
        ("kunlunxin", False, 0, 1),
        ("kunlunxin", True, 1, 1),
    ]


def test_changed_keys_are_counted_over_cases_that_ran_open_ones_first():
    batch = {"key": "model.train.batch_size", "value": 8, "reference": 16, "allowed": True}
    layers = {"key": "model.architecture.layers", "value": 2, "reference": 24, "allowed": False}
    (one,) = counted(report(changed=[batch]), report(changed=[batch, layers], division="open"))
    assert [(each.key, each.cases, each.allowed) for each in one.changed] == [
        ("model.architecture.layers", 1, False),
        ("model.train.batch_size", 2, True),
    ]


def test_coverage_and_compile_seconds_are_spread_over_those_that_told(tmp_path):
    events = EventWriter(tmp_path / "0" / "events" / "rank0.log", rank=0)
    told = {"taken": 9, "total": 10, "fallbacks": {"aten::roll": "not supported"}, "subgraphs": 3}
    events.emit(Name.COMPILE, {"coverage": told})
    events.close()
    (one,) = counted(served(0.9, 2.0), served(1.0, 3.5), served(None, None), folder=tmp_path)
    assert (one.coverage.lowest, one.coverage.highest, one.coverage.cases) == (0.9, 1.0, 2)
    assert (one.compile.total, one.compile.highest, one.compile.cases, one.compile.unit) == (5.5, 3.5, 2, "s")
    assert one.fallbacks == {"aten::roll": "not supported"}


def test_unknown_is_null_with_its_reason():
    (told,) = counted(served(None, None))
    assert (told.coverage.lowest, told.coverage.reason) == (None, "no infer/coverage")
    assert (told.compile.total, told.compile.reason) == (None, "no infer/compile_s")
    (silent,) = counted(report())
    assert silent.compile.total is None and silent.compile.reason
    assert silent.to_dict()["share"] == 1.0
