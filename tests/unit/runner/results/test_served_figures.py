"""Figures of a served model, from events and requests that were counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from case_samples import make_case

from models.inference import Inference
from runner.core.events import Event, Name
from runner.core.load import Load, Slo
from runner.record.run_record import RunRecord
from runner.record.values import Missing, Values
from runner.results.served.serving import serving
from runner.results.speed import slowest_over_fastest, unevenness
from runner.serving.load.requests import Request, append_requests


def event(name: Name, **value: Any) -> Event:
    return Event(name=name.value, value=value, rank=0, time_ms=0, monotonic_s=0.0)


def made(
    folder: Path,
    requests: list[Request],
    *events: Event,
    load: Load | None = None,
    inference: Inference | None = None,
) -> Values:
    return figures(folder, requests, *events, load=load, inference=inference)[0]


def figures(
    folder: Path,
    requests: list[Request],
    *events: Event,
    load: Load | None = None,
    inference: Inference | None = None,
) -> tuple[Values, list[str]]:
    """The figures of a run that served so many requests in 10 seconds."""
    case = make_case("infer")
    model = replace(case.model, infer=inference or Inference(batch_size=2, metric="top1"))
    case = replace(case, model=model, load=load or Load(name="offline"))
    folder.mkdir(exist_ok=True)
    samples = sum(one.samples for one in requests)
    edges = {"segment": 0, "begin_s": 100.0, "end_s": 110.0, "seconds": 10.0, "core_s": None}
    counts = {"steps": len(requests), "samples": samples, "tokens": None, "own_s": 0.5}
    append_requests(folder, 0, requests)
    told = [*events, event(Name.SEGMENT_END, **edges, **counts)]
    return serving(RunRecord(folder=folder, case=case, ranks=[told], parent=[]))


def asked(latencies_s: list[float], *, every_s: float = 1.0) -> list[Request]:
    return [
        Request(number=number, arrived_s=due_s, begun_s=due_s, ended_s=due_s + latency_s, samples=2)
        for number, latency_s in enumerate(latencies_s)
        for due_s in (100 + number * every_s,)
    ]


def test_throughput_and_latency_of_a_hand_count(tmp_path: Path) -> None:
    values = made(tmp_path, asked([0.1, 0.2, 0.3, 0.4]))
    assert values["infer/samples_per_second"] == 8 / 10 and values["infer/requests"] == 4
    assert values["infer/achieved_per_second"] == 4 / 10 and values["overhead/fraction"] == 0.5 / 10
    assert values["infer/latency_mean_ms"] == pytest.approx(250)
    assert values["infer/latency_p50_ms"] == pytest.approx(250)
    p99 = values["infer/latency_p99_ms"]
    assert isinstance(p99, Missing) and p99.reason == "the window has 4 requests; p99 needs 100"
    for name in ("infer/offered_per_second", "infer/goodput_per_second", "generation/ttft_p50_ms"):
        assert isinstance(values[name], Missing)


def test_a_server_offers_what_arrived_and_is_as_good_as_its_limit(tmp_path: Path) -> None:
    load = Load(name="server", rate=2.0, slo=Slo(latency_ms=250.0))
    values = made(tmp_path, asked([0.1, 0.2, 0.3, 0.4, 0.1], every_s=0.5), load=load)
    assert values["infer/offered_per_second"] == pytest.approx(4 / 2.0), "four gaps in two seconds"
    assert values["infer/goodput_per_second"] == 3 / 10 and values["infer/achieved_per_second"] == 5 / 10


def test_nothing_is_offered_between_two_segments(tmp_path: Path) -> None:
    """Two a second arrive; that the first segment took nine seconds more to answer them is no slower offer."""
    load = Load(name="server", rate=2.0)
    second = {"segment": 1, "begin_s": 120.0, "end_s": 122.0, "seconds": 2.0, "core_s": None, "own_s": None}
    later = [replace(one, number=3 + one.number, arrived_s=one.arrived_s + 21) for one in asked([0.1] * 2, every_s=0.5)]
    told = event(Name.SEGMENT_END, **second, steps=2, samples=4, tokens=None)
    values = made(tmp_path, [*asked([9.0, 9.0, 9.0], every_s=0.5), *later], told, load=load)
    assert values["infer/offered_per_second"] == pytest.approx((2 + 1) / (1.0 + 0.5))


def test_requests_that_all_wait_from_the_start_have_no_latency(tmp_path: Path) -> None:
    """In LoadGen's Offline the last of them has waited for the whole window."""
    requests = [replace(one, arrived_s=100.0) for one in asked([0.1, 0.1, 0.1])]
    for scenario, there in (("Offline", False), ("SingleStream", True)):
        values = made(tmp_path / scenario, requests, load=Load(name="mlperf", scenario=scenario))
        assert values["infer/samples_per_second"] == 6 / 10
        for name in ("infer/latency_mean_ms", "infer/latency_p50_ms"):
            assert isinstance(values[name], float) is there, scenario


@pytest.mark.parametrize(("theirs_ms", "said"), [(102.0, 1), (140.0, 2)])
def test_a_host_that_was_told_late_is_no_quick_one(tmp_path: Path, theirs_ms: float, said: int) -> None:
    """Ours are 100 ms from when the host heard of a query; LoadGen's begin when it was due."""
    (tmp_path / "mlperf").mkdir()
    summary = f"Scenario : Server\nResult is : VALID\nMean latency (ns) : {theirs_ms * 1e6:.0f}\n"
    (tmp_path / "mlperf" / "mlperf_log_summary.txt").write_text(summary)
    load = Load(name="mlperf", scenario="Server", rate=1.0)
    _, notes = figures(tmp_path, asked([0.1, 0.1, 0.1]), load=load)
    told = [note for note in notes if "LoadGen" in note]
    assert len(told) == said and "a request of 2 rows" in told[0]
    assert said == 1 or "is 140 ms, from when a query was due, and ours 100 ms" in told[1]


def test_a_network_that_runs_in_steps_has_no_share_of_the_bandwidth(tmp_path: Path) -> None:
    """Its weights are counted once a request, and it reads them in every step."""
    inference = Inference(batch_size=2, metric="clip_score", steps_per_sample=50)
    values = made(tmp_path, asked([0.1]), inference=inference)
    assert values["infer/steps_per_second"] == pytest.approx(50 * 2 / 10)
    found = values["compute/mbu"]
    assert isinstance(found, Missing) and "reads its weights in each step" in found.reason


def test_a_limit_that_cannot_be_held_to_is_not_kept(tmp_path: Path) -> None:
    load = Load(name="server", rate=2.0, slo=Slo(ttft_ms=1000.0))
    assert made(tmp_path, asked([0.1]), load=load)["infer/goodput_per_second"] == 0.0


def test_the_worst_output_counts(tmp_path: Path) -> None:
    one = {"mean_abs": 0.1, "max_abs": 0.5, "max_rel": 0.2, "cosine": 0.99, "snr_db": 40.0, "not_finite": 0}
    other = one | {"mean_abs": 0.2, "cosine": 0.9, "snr_db": 30.0, "max_rel": None}
    told = event(Name.NUMERICS, outputs={"a": one, "b": other}, least_snr_db=20, passed=True)
    values = made(tmp_path, asked([0.1]), told)
    assert [
        values[f"numerics/{name}"] for name in ("mean_abs", "max_abs", "max_rel", "cosine", "snr_db", "passed")
    ] == [*(0.2, 0.5, 0.2, 0.9, 30.0, 1.0)]


def test_accuracy_is_held_to_the_reference(tmp_path: Path) -> None:
    judged = {"kept": 0.9, "gate": 0.99, "passed": False, "samples": 50}
    told = event(Name.ACCURACY, metric="top1", metrics={"top1": 0.72}, reference={"top1": 0.8}, **judged)
    values = made(tmp_path, asked([0.1]), told)
    assert values["accuracy/top1"] == 0.72 and values["accuracy/drop"] == pytest.approx(0.08)
    assert values["accuracy/gate_passed"] == 0.0 and values["accuracy/samples"] == 50
    values = made(tmp_path / "other", asked([0.1]), event(Name.ACCURACY, reason="the weights are random"))
    assert values["accuracy/top1"] == Missing("the weights are random") == values["accuracy/reference"]


def test_compilation_is_that_of_the_served_batch_size(tmp_path: Path) -> None:
    coverage = {"taken": 30, "total": 40, "fallbacks": {"TopK": "left to the host"}, "subgraphs": 3}
    first = {"compile_s": 2.0, "export_s": None, "export_reason": "an earlier run had exported it"}
    rest = {"compile_reason": None, "size_bytes": 2**21, "size_reason": None, "coverage_reason": None}
    kept = {"seconds": 2.1, "peak_bytes": 2**31, "batch_size": 2, "versions": {}, "coverage": coverage}
    told = event(Name.COMPILE, **first, **rest, **kept)
    values = made(tmp_path, asked([0.1]), told, event(Name.COMPILE, **{**told.value, "compile_s": 9.0}))
    assert (values["infer/compile_s"], values["infer/coverage"], values["infer/subgraphs"]) == (2.0, 0.75, 3)
    assert values["infer/engine_mib"] == 2.0 and values["infer/compile_peak_gib"] == 2.0
    assert values["infer/export_s"] == Missing("an earlier run had exported it")


def test_what_was_not_reached_is_null_with_its_reason(tmp_path: Path) -> None:
    case = make_case("infer")
    case = replace(case, model=replace(case.model, infer=Inference(batch_size=2, metric="top1")))
    values, _ = serving(RunRecord(folder=tmp_path, case=case, ranks=[[]], parent=[]))
    for name in ("infer/samples_per_second", "infer/compile_s", "numerics/snr_db", "accuracy/top1", "run/window_s"):
        found = values[name]
        assert isinstance(found, Missing) and found.reason


@pytest.mark.parametrize(
    ("load", "slowest_over_fastest_fifth"),
    [
        (Load(name="server", rate=2.0), 1.0),
        (Load(name="mlperf", scenario="Server", rate=2.0), 1.0),
        (Load(name="offline"), 3.0),
    ],
)
def test_a_servers_window_is_as_even_as_its_answers(
    tmp_path: Path, load: Load, slowest_over_fastest_fifth: float
) -> None:
    """Fifty requests whose answers all take as long, and of which the first ten come three times as far apart."""
    append_requests(tmp_path, 0, asked([0.1] * 50))
    gaps = [0.3] * 10 + [0.1] * 40
    rows = [f"0,{step},window,{gap},,2,," for step, gap in enumerate(gaps, 1)]
    header = "rank,step,phase,seconds,core_seconds,samples,tokens,loss"
    (tmp_path / "steps.csv").write_text("\n".join([header, *rows, ""]))
    edges = {"segment": 0, "begin_s": 100.0, "end_s": 107.0, "seconds": 7.0, "core_s": None}
    told = [event(Name.SEGMENT_END, **edges, steps=50, samples=100, tokens=None, own_s=0.0)]
    record = RunRecord(folder=tmp_path, case=replace(make_case("infer"), load=load), ranks=[told], parent=[])
    assert slowest_over_fastest(record) == pytest.approx(slowest_over_fastest_fifth)
    assert len(unevenness(record)) == (slowest_over_fastest_fifth > 1)
    assert all("a request took" in text and "plots/latency.png" in text for text in unevenness(record))
