"""ByteMLPerf general_perf: `result*.json` of one served model, a row for each batch size."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.core import packages
from runner.core.errors import ConfigurationError
from runner.exchange.base.files import require
from runner.exchange.base.imported import Imported, number_of, scaled
from runner.exchange.base.models import known_model, of_bytemlperf
from runner.exchange.base.own_words import TOUCHSTONE, take_about
from runner.record.values import Missing, Values

BACKENDS = {"HPU": "habana", "IPU": "graphcore", "SPU": "moffett", "STC": "stc", "GPU": "nvidia"}
"""ByteMLPerf's backends by our vendors; another one is a vendor's own name."""
ENOUGH_FOR_P99 = 100
NOT_COMPILED_S = 1e-3
"""Nothing is compiled in less: the backend compiles later, with its first batch."""
TOP1, PERCENT = {"Top-1": "top1"}, {"F1 Score": "f1", "Exact Match": "exact_match"}
"""Accuracies as ByteMLPerf calls them: fractions, and those in per cent."""
_NUMERICS = {"Mean Diff": "numerics/mean_abs", "Max Diff": "numerics/max_abs"}
_NO_NUMERICS = {
    "Std Diff": "no figure of ours",
    "Mean Rel-Diff": "no figure of ours",
    "Max Rel-Diff": "it divides by values near zero; numerics/max_rel leaves those out",
}
_P99 = "ByteMLPerf's p99 is the slowest of 100 iterations or the vendor's own, and of how many is not told"
_VENDOR_CLOCK = {
    "IPU": "IPU: the vendor's own clock, several clients at once; models with packing run sequences of 172 tokens on "
    "average where others run padded ones of 384.",
    "SPU": "SPU: the vendor's own clock; ByteMLPerf's code for it divides the mean latency by the iterations twice.",
    "STC": "STC: the vendor's own tool measured the throughput.",
}


def read(content: Mapping[str, Any], source: Path) -> list[Imported]:
    """One result.

    Raises:
        ConfigurationError: a row lacks a column of every known version, or a figure is no number.
    """
    own = content.get(TOUCHSTONE)
    model, backend = str(content["Model"]), str(content["Backend"])
    made = Imported(
        format="bytemlperf",
        version="general_perf",
        name=f"{backend}_{model}_{source.stem}",
        source=source,
        excerpt=json.dumps(content, indent=1),
        environment={
            key: content[key] for key in ("Host Info", "Version", "Execution Date", "Dataset") if key in content
        },
    )
    if isinstance(own, dict):
        take_about(own, made)
    else:
        _take_case(content, made)
    _take_compilation(content.get("Graph Compile") or {}, made, backend=backend, own=own is not None)
    _take_accuracy(
        content.get("Accuracy") or {}, made, fake="FAKE" in str(content.get("Dataset")).upper(), own=own is not None
    )
    _take_rows(list(_rows(content.get("Performance") or [])), made, backend="" if own is not None else backend)
    return [made]


def take_model(content: Mapping[str, Any], made: Imported) -> None:
    """Model and vendor, by ByteMLPerf's names of them."""
    model, backend = str(content["Model"]), str(content["Backend"])
    vendor = BACKENDS.get(backend, backend.lower())
    made.case |= {"task": "infer", "model": of_bytemlperf(model)}
    made.case["vendor"] = vendor if vendor in packages.choices("vendor") else None
    if made.case["model"] is None:
        made.notes.append(f"No model of this version is ByteMLPerf's {model}; --set model=NAME says which it is.")


def _take_case(content: Mapping[str, Any], made: Imported) -> None:
    take_model(content, made)
    backend = str(content["Backend"])
    if backend in _VENDOR_CLOCK:
        made.notes.append(_VENDOR_CLOCK[backend])
    count = content.get("Device Count")
    if backend == "CPU" and count is not None:
        made.drop("Device Count", "ByteMLPerf writes the same number for every CPU")
    elif isinstance(count, int) and count > 0:
        made.case["devices"] = count
    made.notes.append("ByteMLPerf gives models of whole numbers all-zero inputs in its performance test.")


def _take_compilation(told: Mapping[str, Any], made: Imported, *, backend: str, own: bool) -> None:
    precision = str(told.get("Compile Precision", "")).lower()
    if precision in packages.choices("precision"):
        made.case.setdefault("precision", precision)
    elif precision and not own:
        made.notes.append(
            f"Compiled to {precision.upper()}, which is no single precision; --set precision=NAME says it."
        )
    seconds = number_of(told.get("Compile Duration"), what="Compile Duration", source=made.source)
    if seconds is not None and seconds < NOT_COMPILED_S:
        why = f"in {seconds:g} s nothing was compiled: the backend does it later, with its first batch"
        made.missing("infer/compile_s", "Compile Duration", why)
    elif seconds is not None:
        made.values["infer/compile_s"] = seconds
    share = number_of(told.get("Subgraph Coverage"), what="Subgraph Coverage", source=made.source)
    if share is not None and (own or backend == "STC"):
        made.values["infer/coverage"] = scaled(share, "0.01")
    elif share is not None:
        made.missing(
            "infer/coverage", "Subgraph Coverage", f"ByteMLPerf's {backend} backend writes 100 without looking"
        )
    sparsity = told.get("Sparsity Ratio")
    if sparsity is not None:
        made.notes.append(
            f"Sparse weights: a share of {sparsity} of them is zero, and is not computed. Not a dense model."
        )
        made.changed.append({"key": "weights.sparsity", "reference": 0, "value": sparsity, "allowed": False})


def _take_accuracy(told: Mapping[str, Any], made: Imported, *, fake: bool, own: bool) -> None:
    share = number_of(told.get("Data Percent"), what="Data Percent", source=made.source)
    if share is not None and share < 100:  # noqa: PLR2004 -- per cent
        made.notes.append(f"The accuracy is over the first {share:g} % of the data.")
    for key, raw in told.items():
        if key in ("Data Percent", "Diff Dist"):
            continue
        if key in _NO_NUMERICS:
            made.drop(key, _NO_NUMERICS[key])
            continue
        value = number_of(raw, what=key, source=made.source)
        if value is None:
            continue
        if key in _NUMERICS:
            _take_error(key, value, made, own=own)
        elif fake and not own:
            made.drop(key, "the data were random numbers: ByteMLPerf writes a constant")
        else:
            _take_metric(key, value, made, own=own)


def _take_error(key: str, value: float, made: Imported, *, own: bool) -> None:
    if not own and "SQUAD" in str(made.environment.get("Dataset")).upper():
        why = "outputs at masked positions were set to zero on both sides before they were compared"
        made.missing(_NUMERICS[key], key, why)
        return
    made.values[_NUMERICS[key]] = value
    if not own:
        made.notes.append(f"{key}: ByteMLPerf replaces NaN and infinity by zero on both sides before it compares.")


def _take_metric(key: str, value: float, made: Imported, *, own: bool) -> None:
    metric = {**TOP1, **PERCENT}.get(key, key if own else None)
    if metric is None:
        made.drop(key, "no figure of ours is known to mean this")
        return
    if key in TOP1 and value > 1:
        made.drop(key, f"it is {value:g}, and ByteMLPerf's is a fraction: in per cent, or wrong")
        return
    known = known_model(str(made.case.get("model"))) if key in TOP1 and not own else None
    if known and known.served_metric and known.served_metric != metric:
        if known.served_metric != "accuracy":
            made.drop(key, f"a share of right answers, where model={made.case['model']} has {known.served_metric}")
            return
        metric = known.served_metric
    made.metrics = (*made.metrics, metric)
    made.values[f"accuracy/{metric}"] = scaled(value, "0.01") if key in PERCENT else value


def _rows(performance: list[Any]) -> Iterator[dict[str, Any]]:
    """The rows; a list for each batch size, as the SPU's backend writes, is taken apart."""
    for one in performance:
        if isinstance(one, list):
            yield from _rows(one)
        elif isinstance(one, dict):
            yield {key.replace("_", " "): value for key, value in one.items()}


def _take_rows(rows: list[dict[str, Any]], made: Imported, *, backend: str) -> None:
    for row in rows:
        require(row, ("BS", "QPS"), source=made.source, what="a row of Performance")
        size, point, values = _take_row(row, made, backend=backend)
        if point in made.points:
            continue
        made.points.append(point)
        before = made.by_batch.get(size, {}).get("infer/samples_per_second")
        if not isinstance(before, float) or _rate(values) > before:
            made.by_batch[size] = values
    if not made.by_batch:
        return
    fastest = max(made.by_batch, key=lambda size: _rate(made.by_batch[size]))
    own = made.case.get("batch_size")
    chosen = own if own in made.by_batch else fastest
    made.case["batch_size"] = chosen
    made.values |= made.by_batch[chosen]
    if own is not None:
        made.by_batch = {chosen: made.by_batch[chosen]}


def _take_row(row: Mapping[str, Any], made: Imported, *, backend: str) -> tuple[int, dict[str, Any], Values]:
    size, rate, mean, p99, p50, requests = (
        number_of(row.get(key), what=key, source=made.source)
        for key in ("BS", "QPS", "AVG Latency", "P99 Latency", "P50 Latency", "Iterations")
    )
    if size is None or size < 1:
        raise ConfigurationError(f"{made.source}: a row of Performance has the batch size {row.get('BS')}.")
    enough = requests is not None and float(requests) >= ENOUGH_FOR_P99
    point: dict[str, Any] = {"batch_size": int(size), "samples_per_second": rate, "latency_mean_ms": mean}
    values: Values = {"infer/samples_per_second": Missing("the row has none") if rate is None else rate}
    if backend == "STC" and mean is not None:
        why = "worked out from the throughput of 8 threads, not measured"
        made.drop("AVG Latency", why)
        point["latency_mean_ms"], values["infer/latency_mean_ms"] = None, Missing(why)
    elif mean is not None:
        values["infer/latency_mean_ms"] = mean
    if p99 is not None and enough:
        point["latency_p99_ms"], values["infer/latency_p99_ms"] = p99, p99
    elif p99 is not None:
        made.drop("P99 Latency", _P99)
        values["infer/latency_p99_ms"] = Missing(_P99)
    if p50 is not None:
        point["latency_p50_ms"], values["infer/latency_p50_ms"] = p50, p50
    if requests is not None:
        point["requests"], values["infer/requests"] = int(requests), requests
    return int(size), point, values


def _rate(values: Values) -> float:
    rate = values.get("infer/samples_per_second")
    return rate if isinstance(rate, float) else 0.0
