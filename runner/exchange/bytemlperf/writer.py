"""Writer of ByteMLPerf's result JSON: general_perf's form, and llm_perf's for models that write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.core.errors import ConfigurationError
from runner.exchange.base.imported import scaled
from runner.exchange.base.own_words import TOUCHSTONE, about, marks
from runner.exchange.bytemlperf.general import BACKENDS, PERCENT, TOP1
from runner.record.report import Report
from runner.record.task import task_named

_KEYS = {ours: theirs for theirs, ours in {**TOP1, **PERCENT}.items()}
_FIXED = ("reference", "drop", "kept", "gate_passed", "samples")


def write(results: Sequence[tuple[Path, Report]]) -> str:
    """An object for one result, a list of them for several; what was not measured is null.

    Raises:
        ConfigurationError: nothing to write, or a result that is not of a served model.
    """
    if not results:
        raise ConfigurationError("There is no result to write.")
    for folder, report in results:
        task = task_named(report.case.get("task"))
        if task is None or not task.serves:
            raise ConfigurationError(
                f"ByteMLPerf's results are of served models; {folder} is task={report.case.get('task')}. Leave it out."
            )
    objects = [_object(report) for _, report in results]
    return json.dumps(objects[0] if len(objects) == 1 else objects, indent=4, ensure_ascii=False) + "\n"


def _object(report: Report) -> dict[str, Any]:
    case = report.case
    vendor = str(case.get("vendor") or "")
    backend = next((name for name, one in BACKENDS.items() if one == vendor), vendor.upper())
    writes = _value(report, "generation/tokens_per_second") is not None
    return {
        **({"Mark": marks(report)} if marks(report) else {}),
        "Model": str(case.get("model") or case.get("name") or "").upper(),
        "Backend": backend,
        "Host Info": str((report.environment.get("host") or {}).get("cpu", "")) if _host(report) else "",
        "Dataset": str(case.get("data") or ""),
        "Device Count": case.get("devices"),
        TOUCHSTONE: about(report),
        **({} if writes else {"Graph Compile": _compilation(report)}),
        "Accuracy": {} if writes else _accuracy(report),
        "Performance": [_answers(report)] if writes else _rows(report),
    }


def _host(report: Report) -> bool:
    return isinstance(report.environment.get("host"), dict)


def _value(report: Report, name: str) -> float | None:
    figure = report.figures.get(name)
    return None if figure is None else figure.value


def _compilation(report: Report) -> dict[str, Any]:
    coverage = _value(report, "infer/coverage")
    return {
        "Compile Duration": _value(report, "infer/compile_s"),
        "Compile Precision": str(report.case.get("precision") or "").upper(),
        "Subgraph Coverage": None if coverage is None else scaled(coverage, "100"),
    }


def _accuracy(report: Report) -> dict[str, Any]:
    told: dict[str, Any] = {"Data Percent": 100}
    for name in report.figures:
        metric = name.removeprefix("accuracy/")
        if metric == name or metric in _FIXED:
            continue
        value, key = _value(report, name), _KEYS.get(metric, metric)
        told[key] = scaled(value, "100") if value is not None and key in PERCENT else value
    told["Mean Diff"] = _value(report, "numerics/mean_abs")
    told["Max Diff"] = _value(report, "numerics/max_abs")
    return told


def _rows(report: Report) -> list[dict[str, Any]]:
    """The case's own batch size first, then those measured beside it, with the copies of their inputs."""
    size, requests = report.case.get("batch_size"), _value(report, "infer/requests")
    own = {
        "BS": size,
        "QPS": _value(report, "infer/samples_per_second"),
        "AVG Latency": _value(report, "infer/latency_mean_ms"),
        "P99 Latency": _value(report, "infer/latency_p99_ms"),
        "P50 Latency": _value(report, "infer/latency_p50_ms"),
        "Iterations": None if requests is None else int(requests),
    }
    others = [
        {
            "BS": point["batch_size"],
            "QPS": point.get("samples_per_second"),
            "AVG Latency": point.get("latency_mean_ms"),
            "P99 Latency": point.get("latency_p99_ms"),
            "P50 Latency": point.get("latency_p50_ms"),
            "Iterations": point.get("requests"),
        }
        for point in report.points
        if isinstance(point.get("batch_size"), int) and point["batch_size"] != size and point.get("copies", True)
    ]
    return [*([own] if isinstance(size, int) else []), *others]


def _answers(report: Report) -> dict[str, Any]:
    requests = _value(report, "infer/requests")
    return {
        "TP Size": report.case.get("devices") or 1,
        "Batch Size": report.case.get("batch_size") or 0,
        "Input Tokens": report.case.get("prompt_tokens"),
        "client": {
            "First Token Latency(AVG)": None,
            "First Token Latency(P50)": _value(report, "generation/ttft_p50_ms"),
            "Per Token Latency(AVG)": None,
            "Per Token Latency(P50)": _value(report, "generation/tpot_p50_ms"),
        },
        "Token Throughput": _value(report, "generation/tokens_per_second"),
        "Request Number": None if requests is None else int(requests),
        "QPS": _value(report, "infer/achieved_per_second"),
    }
