"""Every figure of a served model: accuracy, numerics, speed under its load, what compiling took."""

from __future__ import annotations

import statistics
from typing import Any

from runner.core.events import Name
from runner.record.names import FIGURES
from runner.record.run_record import RunRecord, spans_of
from runner.record.values import GIB, Missing, Value, Values, divide, known, multiply
from runner.results.clocks import clocks
from runner.results.compute import bandwidth_of, chip_of, compute
from runner.results.power import memory, power, windows_of
from runner.results.served.generation import (
    ALL_AT_ONCE,
    arrived_at_once,
    decode_mbu,
    ended_early,
    generation,
    percentiles,
)
from runner.results.speed import times
from runner.serving.load.mlperf import read_summary
from runner.serving.load.requests import Request, read_requests

MIB = 2**20
"""Bytes."""
NO_WINDOW = Missing("no window was completed")
MEAN, APART = "Mean latency (ns)", 0.05
"""LoadGen's name of its mean latency, and the share by which ours may differ without a word."""
READ_AGAIN = "the network reads its weights in each step of a sample, and the least traffic counts them once"
PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


def serving(run_record: RunRecord) -> tuple[Values, list[str]]:
    """All figures, and what a reader must know about them."""
    requests = read_requests(run_record.folder)
    values = _accuracy(run_record) | _numerics(run_record) | _compilation(run_record) | _speed(run_record, requests)
    values["infer/steps_per_second"] = _steps(run_record, values["infer/samples_per_second"])
    chip = chip_of(run_record)
    throughput = values["infer/samples_per_second"]
    early = ended_early(run_record, requests)
    values |= compute(run_record, chip, early or throughput, 1)
    if not isinstance(values["infer/steps_per_second"], Missing):
        values["compute/mbu"] = Missing(READ_AGAIN)
    values["generation/decode_mbu"] = decode_mbu(run_record, bandwidth_of(chip))
    energy, notes = power(run_record)
    clock, clock_notes = clocks(run_record)
    # Of the window alone: the reference and the compiler have memory of their own.
    held = memory(run_record, windows_of(spans_of(run_record)))
    notes += [*clock_notes, *_evidence(run_record), *_verdict(run_record, requests)]
    return values | times(run_record) | energy | clock | held, notes


def _verdict(run_record: RunRecord, requests: list[Request]) -> list[str]:
    """What LoadGen says of its own run."""
    told = read_summary(run_record.folder)
    if "Result is" not in told:
        return []
    scenario, size = told.get("Scenario", "unknown scenario"), run_record.case.model.inference.batch_size
    counts = f" What it counts as a sample is a request of {size} rows." if size > 1 else ""
    said = f"LoadGen ({scenario}) says: {told['Result is']}.{counts} Its logs are in mlperf/."
    return [said, *_late(run_record, requests, told)]


def _late(run_record: RunRecord, requests: list[Request], told: dict[str, str]) -> list[str]:
    """Where the host told us of queries late: LoadGen counts from when one was due, we from when we heard of it."""
    edges = (run_record.last(Name.SEGMENT_END) or {}) if not arrived_at_once(run_record) else {}
    if not edges or MEAN not in told:
        return []
    there = [one.latency_s for one in requests if edges["begin_s"] <= one.arrived_s <= edges["end_s"]]
    ours_ms, theirs_ms = 1e3 * statistics.fmean(there) if there else 0.0, float(told[MEAN]) / 1e6
    if abs(ours_ms - theirs_ms) <= APART * theirs_ms:
        return []
    return [
        f"LoadGen's mean latency is {theirs_ms:.4g} ms, from when a query was due, and ours {ours_ms:.4g} ms, from "
        "when the host let us know of it: the host was busy, and the latencies here leave that wait out."
    ]


def _steps(run_record: RunRecord, samples_per_second: Value) -> Value:
    infer = run_record.case.model.infer
    if infer is None or infer.steps_per_sample is None:
        return Missing("the network does not run in steps within a sample")
    return multiply(samples_per_second, float(infer.steps_per_sample))


def _evidence(run_record: RunRecord) -> list[str]:
    found = run_record.last(Name.PRECISION) or {}
    if found.get("source") != "asked":
        return []
    name = run_record.case.precision.name
    return [
        f"The engine does not tell what it computes in: precision={name} is what it was asked for, and the numerics "
        "are all that holds it to it."
    ]


def _accuracy(run_record: RunRecord) -> Values:
    infer = run_record.case.model.infer
    names = ["accuracy/reference", "accuracy/drop", "accuracy/kept", "accuracy/gate_passed", "accuracy/samples"]
    own = [f"accuracy/{infer.metric}"] if infer and infer.metric else []
    told = run_record.last(Name.ACCURACY)
    if told is None or "reason" in told:
        reason = (told or {}).get("reason", "the run ended before its answers were scored")
        return dict.fromkeys([*own, *names], Missing(reason))
    metric = told["metric"]
    ours: Value = known(told["metrics"][metric], "it is no number")
    reference: Value = known(told["reference"][metric], "it is no number")
    drop: Value = Missing("one of the two is no number")
    if not isinstance(ours, Missing) and not isinstance(reference, Missing):
        drop = reference - ours if infer is None or infer.mode == "max" else ours - reference
    passed = told["passed"]
    return {
        f"accuracy/{metric}": ours,
        "accuracy/reference": reference,
        "accuracy/drop": drop,
        "accuracy/kept": known(told["kept"], "there is no share: a number is missing, zero or negative"),
        "accuracy/gate_passed": known(None if passed is None else float(passed), "task.accuracy_gate is null"),
        "accuracy/samples": float(told["samples"]),
    }


def _numerics(run_record: RunRecord) -> Values:
    """Of several outputs the worst."""
    told = run_record.last(Name.NUMERICS)
    names = [name for name in FIGURES if name.startswith("numerics/")]
    if told is None or "reason" in told:
        reason = (told or {}).get("reason", "the run ended before its outputs were compared")
        return dict.fromkeys(names, Missing(reason))
    outputs = list(told["outputs"].values())
    broken = any(one["not_finite"] for one in outputs)
    nothing = Missing("an output is not finite") if broken else Missing("no output can be compared in this way")
    exact = Missing("there is no error at all")
    values: Values = {"numerics/passed": float(told["passed"])}
    for key, worst in (("mean_abs", max), ("max_abs", max), ("max_rel", max), ("cosine", min), ("snr_db", min)):
        there = [one[key] for one in outputs if one[key] is not None]
        reason = exact if key == "snr_db" and not broken and all(one.get("exact") for one in outputs) else nothing
        values[f"numerics/{key}"] = reason if broken or not there else float(worst(there))
    return values


def _compilation(run_record: RunRecord) -> Values:
    """Of the served batch size, which is compiled first."""
    told: dict[str, Any] = next((event.value for event in run_record.all(Name.COMPILE)), {})
    unfinished = "the run ended before it was compiled"
    coverage = told.get("coverage")
    unknown = told.get("coverage_reason") or unfinished
    return {
        "infer/compile_s": known(told.get("compile_s"), told.get("compile_reason") or unfinished),
        "infer/export_s": known(told.get("export_s"), told.get("export_reason") or unfinished),
        "infer/compile_peak_gib": divide(known(told.get("peak_bytes"), unfinished), GIB),
        "infer/engine_mib": divide(known(told.get("size_bytes"), told.get("size_reason") or unfinished), MIB),
        "infer/coverage": divide(float(coverage["taken"]), float(coverage["total"])) if coverage else Missing(unknown),
        "infer/subgraphs": known(coverage["subgraphs"] if coverage else None, unknown),
    }


def _speed(run_record: RunRecord, requests: list[Request]) -> Values:
    segments = [event.value for event in run_record.all(Name.SEGMENT_END)]
    if not segments or not requests:
        names = [name for name in FIGURES if name.startswith(("infer/", "generation/"))]
        return dict.fromkeys((*names, "run/window_s", "overhead/fraction"), NO_WINDOW) | _compilation(run_record)
    seconds: float = sum(segment["seconds"] for segment in segments)
    own = [segment["own_s"] for segment in segments]
    values: Values = {
        "infer/samples_per_second": divide(float(sum(segment["samples"] for segment in segments)), seconds),
        "infer/input_tokens_per_second": _input_tokens(requests, seconds),
        "infer/requests": float(len(requests)),
        "run/window_s": seconds,
        "overhead/fraction": Missing("requests overlap: what lies between them is not the harness's alone")
        if None in own
        else divide(sum(own), seconds),
    }
    return (
        values
        | _core(run_record)
        | _latencies(run_record, requests)
        | _rates(run_record, requests, seconds)
        | generation(run_record, requests, seconds)
    )


def _input_tokens(requests: list[Request], seconds: float) -> Value:
    counts = [one.input_tokens for one in requests if one.input_tokens is not None]
    if len(counts) < len(requests):
        return Missing("the inputs are not tokens")
    return divide(float(sum(counts)), seconds)


def _core(run_record: RunRecord) -> Values:
    size = run_record.case.model.inference.batch_size
    found = (event.value for event in run_record.all(Name.POINT))
    served = next((one for one in found if one.get("copies") is False and one.get("batch_size") == size), None)
    reason = "it was not measured without copies"
    return {"infer/core_samples_per_second": known(served["samples_per_second"] if served else None, reason)}


def _latencies(run_record: RunRecord, requests: list[Request]) -> Values:
    if arrived_at_once(run_record):
        names = ("infer/latency_mean_ms", *(f"infer/latency_{name}_ms" for name, _ in PERCENTILES))
        return dict.fromkeys(names, ALL_AT_ONCE)
    latencies = [one.latency_s for one in requests]
    values: Values = {"infer/latency_mean_ms": 1e3 * statistics.fmean(latencies)}
    return values | percentiles("infer/latency", latencies, PERCENTILES, "requests")


def _rates(run_record: RunRecord, requests: list[Request], seconds: float) -> Values:
    load = run_record.case.load
    closed = Missing(f"load={load.name} sends a request when another is answered: none is offered by itself")
    offered: Value = closed
    if load.by_rate and len(requests) > 1:
        offered = _offered(run_record, requests)
    limits = load.slo.given
    good = sum(_good(one, limits) for one in requests)
    return {
        "infer/offered_per_second": offered,
        "infer/achieved_per_second": divide(float(len(requests)), seconds),
        "infer/goodput_per_second": divide(float(good), seconds) if limits else Missing("load.slo gives no limit"),
    }


def _offered(run_record: RunRecord, requests: list[Request]) -> Value:
    """Gaps between arrivals ÷ their time, segment by segment: between two of them nothing arrives."""
    gaps, seconds = 0, 0.0
    for edges in (event.value for event in run_record.all(Name.SEGMENT_END)):
        arrivals = [one.arrived_s for one in requests if edges["begin_s"] <= one.arrived_s <= edges["end_s"]]
        if arrivals:
            gaps, seconds = gaps + len(arrivals) - 1, seconds + max(arrivals) - min(arrivals)
    return divide(float(gaps), seconds)


def _good(one: Request, limits: dict[str, float]) -> bool:
    """Whether a request keeps to every limit; one that cannot be held to a limit does not."""
    found = {"latency_ms": one.latency_s, "ttft_ms": one.ttft_s, "tpot_ms": one.tpot_s}
    if one.steps == 1:
        found["tpot_ms"] = 0.0  # there is no further token to be late
    return all((value := found[name]) is not None and 1e3 * value <= limit for name, limit in limits.items())
