"""The score of a suite, computed on paper."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from report_samples import failed, report, saved
from scipy.stats import t

from models.published import PublishedFigure
from runner.record.report import Figure, Report
from runner.suites import systems
from runner.suites.command import main
from runner.suites.score import CaseScore, Speed, geometric_mean, score_of
from runner.suites.sweep_record import FILE, SweepCase, SweepRecord


def scored(ours: Speed, theirs: Speed, weight: float = 1.0, *, lower: bool = False) -> CaseScore:
    return CaseScore(name="x", weight=weight, state="scored", ours=ours, theirs=theirs, lower_is_better=lower)


def exact(value: float) -> Speed:
    return Speed(value=value, exact=True)


def test_weights_and_directions() -> None:
    twice = scored(exact(200), exact(100))
    half = scored(exact(50), exact(100), weight=3.0)
    assert geometric_mean([twice]).value == pytest.approx(2.0)
    assert geometric_mean([twice, half]).value == pytest.approx(2**-0.5)  # (1 - 3) / 4
    assert geometric_mean([scored(exact(20), exact(10), lower=True)]).value == pytest.approx(0.5)
    assert geometric_mean([twice, half]).interval == pytest.approx((2**-0.5, 2**-0.5))


def test_interval_by_the_delta_method() -> None:
    first = scored(Speed(value=200, repeats=(190, 200, 210)), exact(100))
    other = scored(Speed(value=50, repeats=(49, 51)), exact(100), weight=3.0)
    # v = (standard error / mean)^2: 10^2 / 3 / 200^2 and 1 / 50^2; weights 1/4 and 3/4, squared.
    parts = [(1 / 16 * 100 / 3 / 200**2, 2), (9 / 16 / 50**2, 1)]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / each for part, each in parts)
    assert freedom == pytest.approx(1.477, abs=1e-3)
    half = t.ppf(0.975, freedom) * math.sqrt(variance)
    mean = geometric_mean([first, other])
    assert mean.interval == pytest.approx((2**-0.5 * math.exp(-half), 2**-0.5 * math.exp(half)))
    assert mean.interval_reason is None


def test_both_sides_vary() -> None:
    both = scored(Speed(value=200, repeats=(190, 200, 210)), Speed(value=100, repeats=(95, 100, 105)))
    half = t.ppf(0.975, 4) * math.sqrt(2 * 100 / 3 / 200**2)  # equal variances: Welch's freedom is 2 + 2
    assert geometric_mean([both]).interval == pytest.approx((2 * math.exp(-half), 2 * math.exp(half)))


def test_one_run_has_no_interval_and_says_why() -> None:
    mean = geometric_mean([scored(Speed(value=200, repeats=(200,)), exact(100))])
    assert mean.interval is None and "measure.repeats" in str(mean.interval_reason)


def test_a_missing_case_leaves_no_score_but_a_partial_one() -> None:
    missing = CaseScore(name="lost", weight=1.0, state="missing", reason="it was not run")
    found = score_of([scored(exact(300), exact(100)), missing])
    assert found.score is None and found.reason == "1 of 2 cases are missing: lost"
    assert found.partial is not None and (found.partial.value, found.partial.cases) == (pytest.approx(3.0), 1)


def test_what_measures_nothing_is_not_missing_and_nothing_at_all_is_no_score() -> None:
    nothing = CaseScore(name="i", weight=1.0, state="not applicable", reason="task=inspect measures no speed")
    assert score_of([scored(exact(3), exact(1)), nothing]).score is not None
    assert score_of([nothing]).score is None and score_of([]).score is None


def with_repeats(made: Report, name: str, values: tuple[float, ...]) -> Report:
    figure = Figure(value=sum(values) / len(values), unit=made.figures[name].unit, repeats=values)
    return replace(made, figures=made.figures | {name: figure})


def sweep(folder: Path, reports: dict[str, Report | None], **case: Any) -> Path:
    """A sweep's folder; None is a case that was not run."""
    cases = []
    for name, made in reports.items():
        if made is not None:
            saved(folder / name, made)
        where = {"folder": name, "exit_code": made.exit_code} if made is not None else {}
        cases.append(SweepCase(name=name, key=(f"model={name}",), identity="0", suite="own", **where, **case))
    folder.mkdir(exist_ok=True, parents=True)
    SweepRecord(cases=cases).save(folder)
    return folder


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    code = main(["score", *map(str, arguments), "--format", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_two_runs_of_a_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speed = "throughput/steady"
    ours = sweep(tmp_path / "a", {m: report(model=m, values={speed: v}) for m, v in (("bert", 400.0), ("gpt2", 90.0))})
    theirs = sweep(
        tmp_path / "b", {m: report(model=m, values={speed: v}) for m, v in (("bert", 100.0), ("gpt2", 90.0))}
    )
    code, found = told(capsys, ours, "--reference", theirs)
    assert code == 0 and found["score"]["value"] == pytest.approx(2.0) and found["score"]["interval"] is None
    assert [case["ratio"] for case in found["cases"]] == pytest.approx([4.0, 1.0])
    assert {case["figure"] for case in found["cases"]} == {speed}
    assert main(["score", str(ours), "--reference", str(theirs), "--format", "markdown"]) == 0
    assert "**Score 2.000**" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"precision": "bf16"}, "precision is bf16 here and fp32 in the reference"),
        ({"scale": "tiny"}, "scale is tiny here and reference in the reference"),
        ({"devices": 8}, "devices is 8 here and 1 in the reference"),
        ({"emulated": True}, "it was emulated on the host CPU"),
    ],
)
def test_unlike_cases_have_no_ratio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    ours = sweep(tmp_path / "a", {"bert": report(**change)})
    theirs = sweep(tmp_path / "b", {"bert": report()})
    code, found = told(capsys, ours, "--reference", theirs)
    assert code == 8 and found["score"] is None and found["partial"] is None
    assert said in found["cases"][0]["reason"]


def test_per_device_divides_each_side_by_its_own_devices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = sweep(tmp_path / "a", {"bert": report(devices=8, values={"throughput/steady": 1600.0})})
    theirs = sweep(tmp_path / "b", {"bert": report(devices=2, values={"throughput/steady": 200.0})})
    _, found = told(capsys, ours, "--reference", theirs, "--per-device")
    assert found["score"]["value"] == pytest.approx(2.0) and found["cases"][0]["unit"] == "sequences/s per device"


def test_failed_imported_and_missing_cases_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported = replace(report(model="vit"), imported={"format": "flagperf", "version": "1", "file": "x", "sha256": "0"})
    ours = sweep(
        tmp_path / "a",
        {"bert": report(), "gpt2": failed(model="gpt2"), "vit": imported, "t5": None, "new": report(model="new")},
    )
    known = ("bert", "gpt2", "vit", "t5")
    theirs = sweep(tmp_path / "b", {name: report(model=name) for name in known})
    code, found = told(capsys, ours, "--reference", theirs)
    reasons = {case["name"]: case["reason"] for case in found["cases"]}
    assert code == 8 and found["reason"] == "4 of 5 cases are missing: gpt2, vit, t5, new"
    assert reasons == {
        "bert": None,
        "gpt2": "it failed (exit 7, DivergedError)",
        "vit": "it was imported from another tool's file (x)",
        "t5": "it was not run",
        "new": "of the reference: it has no such case",
    }
    assert found["partial"]["value"] == pytest.approx(1.0) and found["partial"]["cases"] == 1


def published(**changes: Any) -> PublishedFigure:
    plain = {"chip": "A100-SXM4-40GB", "devices": 1, "precision": "fp32", "figure": "throughput/core"}
    return PublishedFigure(**(plain | {"value": 100.0, "source": "paper"} | changes))


@pytest.mark.parametrize(
    ("rows", "options", "ratio", "said"),
    [
        ([published()], (), 3.0, None),
        ([published(), published(value=150.0)], (), 2.0, None),  # the best of several
        ([published(devices=8, per="device", value=50.0)], ("--per-device",), 6.0, None),
        ([published(devices=8, value=800.0)], ("--per-device",), 3.0, None),
        ([published(devices=8)], (), None, "devices is 1 here and 8 in the reference"),
        ([published(precision="tf32")], (), None, "precision is fp32 here and tf32 in the reference"),
        ([published(figure="throughput/whole")], (), None, "published is throughput/whole, which was not measured"),
        ([published(figure="accuracy/top1")], (), None, "nothing was published of bert's speed"),
    ],
)
def test_against_published_figures(  # noqa: PLR0917 -- a table
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    rows: list[PublishedFigure],
    options: tuple[str, ...],
    ratio: float | None,
    said: str | None,
) -> None:
    monkeypatch.setattr(systems, "_all_published", lambda: {"bert": tuple(rows)})
    ours = sweep(tmp_path / "a", {"bert": report(values={"throughput/core": 300.0}, without=("throughput/whole",))})
    _, found = told(capsys, ours, "--reference", "published:A100-SXM4-40GB", *options)
    (case,) = found["cases"]
    assert case["ratio"] == (None if ratio is None else pytest.approx(ratio))
    assert case["reason"] is None if said is None else said in case["reason"]


def test_a_time_is_never_divided_by_devices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (published(figure="time/to_target_s", devices=8, value=100.0),)
    monkeypatch.setattr(systems, "_all_published", lambda: {"bert": rows})
    ours = sweep(tmp_path / "a", {"bert": report(task="converge", devices=8, values={"time/to_target_s": 50.0})})
    _, found = told(capsys, ours, "--reference", "published:A100-SXM4-40GB", "--per-device")
    assert found["cases"][0]["ratio"] == pytest.approx(2.0) and found["cases"][0]["unit"] == "s"


def test_tiny_is_never_held_against_published_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = sweep(tmp_path / "a", {"bert": report(scale="tiny", model="bert_hf")})
    code, found = told(capsys, ours, "--reference", "published:A100-SXM4-40GB")
    assert code == 8 and "never held against published" in found["cases"][0]["reason"]


def test_an_open_run_is_not_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = [{"key": "model.architecture.layers", "reference": 24, "value": 2, "allowed": False}]
    ours = sweep(tmp_path / "a", {"bert": report(division="open", changed=changed)})
    theirs = sweep(tmp_path / "b", {"bert": report()})
    _, found = told(capsys, ours, "--reference", theirs)
    assert "one of them is open" in found["cases"][0]["reason"]


def test_the_figure_that_a_suite_names_is_taken_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "throughput/tokens_per_second"
    ours = sweep(tmp_path / "a", {"bert": report(values={name: 30.0})}, figure=name, weight=2.0)
    theirs = sweep(tmp_path / "b", {"bert": report(values={name: 10.0})}, figure=name)
    _, found = told(capsys, ours, "--reference", theirs)
    assert found["cases"][0]["ratio"] == pytest.approx(3.0) and found["score"]["weight"] == 2.0


def test_repeats_give_the_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "throughput/steady"
    ours = sweep(tmp_path / "a", {"bert": with_repeats(report(), name, (190.0, 200.0, 210.0))})
    theirs = sweep(tmp_path / "b", {"bert": with_repeats(report(), name, (95.0, 100.0, 105.0))})
    _, found = told(capsys, ours, "--reference", theirs)
    half = t.ppf(0.975, 4) * math.sqrt(2 * 100 / 3 / 200**2)
    assert found["score"]["interval"] == pytest.approx([2 * math.exp(-half), 2 * math.exp(half)])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "There is no folder nowhere"),
        (["EMPTY", "--reference", "published:A100-SXM4-40GB"], "has no sweep.json"),
        (["OTHER", "--reference", "published:A100-SXM4-40GB"], "has version 99"),
        (["HALF", "--reference", "published:A100-SXM4-40GB"], "no record of a sweep"),
        (["SWEEP", "--reference", "published:A100-SXM4-40G"], "Did you mean A100-SXM4-40GB?"),
        (["SWEEP"], "--reference published:CHIP"),
    ],
)
def test_bad_input_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("runner.suites.against.load_suite", lambda name: SimpleNamespace(reference=None))
    for name in ("EMPTY", "OTHER", "HALF"):
        Path(name).mkdir()
    Path("OTHER", FILE).write_text(json.dumps(asdict(SweepRecord()) | {"schema_version": 99}))
    Path("HALF", FILE).write_text('{"schema_version": 1, "cases": [')
    sweep(Path("SWEEP"), {"bert": report()})
    assert main(["score", *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_every_suite_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("smoke", "flagperf_inference", "bytemlperf", "python -m runner.acceptance"))
