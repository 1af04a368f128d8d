"""ByteMLPerf llm_perf: `result.json` of a model that writes, a row for each number of devices, batch and prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.exchange.base.files import require
from runner.exchange.base.imported import Imported, number_of
from runner.exchange.base.own_words import TOUCHSTONE, take_about
from runner.exchange.bytemlperf.general import take_model
from runner.record.values import Missing, Values

_COLUMNS = ("TP Size", "Batch Size", "Input Tokens", "Token Throughput", "QPS")
_MEDIAN = {
    "First Token Latency(P50)": ("generation/ttft_p50_ms", "ttft_p50_ms"),
    "Per Token Latency(P50)": ("generation/tpot_p50_ms", "tpot_p50_ms"),
}
"""What our writer adds; ByteMLPerf itself tells means and p90."""
_WHY = {
    "First Token Latency": "a mean and a p90; ours are the median and p99",
    "Per Token Latency": "ByteMLPerf takes milliseconds of the first token from nanoseconds of the answer, so that the "
    "first token is left in",
    "server": "times inside the vendor's server, which no figure of ours is",
    "PPL": "the perplexity of what the model itself wrote; there is no right answer to it",
    "Token Diff": "it compares the largest logits, not the tokens",
    "Logits Diff": "of the first token alone, against another device's logits",
}


def is_llm(content: Mapping[str, Any]) -> bool:
    """Whether a result is llm_perf's, by its rows or by how it tells accuracy."""
    rows = [row for row in content.get("Performance") or [] if isinstance(row, dict)]
    accuracy = content.get("Accuracy")
    return any("TP Size" in row for row in rows) or (isinstance(accuracy, dict) and "PPL" in accuracy and not rows)


def read(content: Mapping[str, Any], source: Path) -> list[Imported]:
    """A result for each number of devices (TP Size): each is a case of its own.

    Raises:
        ConfigurationError: a row lacks a column of every known version, or a figure is no number.
    """
    rows = [row for row in content.get("Performance") or [] if isinstance(row, dict)]
    for row in rows:
        require(row, _COLUMNS, source=source, what="a row of Performance")
    sizes: list[int | None] = [*sorted({int(row["TP Size"]) for row in rows})]
    return [
        _read_size(content, [row for row in rows if row["TP Size"] == size], size, source) for size in sizes or [None]
    ]


def _read_size(content: Mapping[str, Any], rows: list[dict[str, Any]], size: int | None, source: Path) -> Imported:
    made = Imported(
        format="bytemlperf",
        version="llm_perf",
        name=f"{content['Backend']}_{content['Model']}_{f'tp{size}_' if size else ''}{source.stem}",
        source=source,
        excerpt=json.dumps(content, indent=1),
        environment={key: content[key] for key in ("Host Info", "Version", "Execution Date") if key in content},
    )
    own = content.get(TOUCHSTONE)
    if isinstance(own, dict):
        take_about(own, made)
    else:
        take_model(content, made)
        made.notes.append(
            "Token throughput counts from the first request on, while clients still start; every prompt is one "
            "character repeated."
        )
    made.case["devices"] = size
    for name in ("PPL", "Token Diff", "Logits Diff"):
        if (content.get("Accuracy") or {}).get(name):
            made.drop(name, _WHY[name])
    for row in rows:
        _take_row(row, made)
    _choose(made)
    return made


def _take_row(row: Mapping[str, Any], made: Imported) -> None:
    told = {key: number_of(row.get(key), what=key, source=made.source) for key in (*_COLUMNS, "Request Number")}
    client = row.get("client") or {}
    point: dict[str, Any] = {
        "batch_size": int(told["Batch Size"] or 0),
        "prompt_tokens": None if told["Input Tokens"] is None else int(told["Input Tokens"]),
        "tokens_per_second": told["Token Throughput"],
        "requests_per_second": told["QPS"],
        "requests": None if told["Request Number"] is None else int(told["Request Number"]),
        "ttft_mean_ms": number_of(client.get("First Token Latency(AVG)"), what="TTFT", source=made.source),
        "ttft_p90_ms": number_of(client.get("First Token Latency(P90)"), what="TTFT", source=made.source),
    }
    for key, (_, column) in _MEDIAN.items():
        if key in client:
            point[column] = number_of(client[key], what=key, source=made.source)
    for name in ("First Token Latency", "Per Token Latency"):
        if client.get(f"{name}(AVG)") is not None:
            made.drop(name, _WHY[name])
    if row.get("server"):
        made.drop("server", _WHY["server"])
    made.points.append(point)


def _choose(made: Imported) -> None:
    """The fastest row of each batch size; of all of them, the fastest."""
    rows: dict[int, dict[str, Any]] = {}
    for point in made.points:
        before = rows.get(point["batch_size"])
        if before is None or (point["tokens_per_second"] or 0) > (before["tokens_per_second"] or 0):
            rows[point["batch_size"]] = point
    if not rows:
        return
    made.by_batch = {size: _values(point) for size, point in rows.items()}
    fastest = max(rows.values(), key=lambda point: point["tokens_per_second"] or 0)
    made.case |= {"batch_size": fastest["batch_size"], "prompt_tokens": fastest["prompt_tokens"]}
    made.values |= made.by_batch[fastest["batch_size"]]
    if len({point["prompt_tokens"] for point in made.points}) > 1:
        made.notes.append("Of several prompt lengths, the figures of each batch size are those of its fastest row.")


def _values(point: Mapping[str, Any]) -> Values:
    none = Missing("the row has none")
    values: Values = {
        "generation/tokens_per_second": none if point["tokens_per_second"] is None else point["tokens_per_second"],
        "infer/achieved_per_second": none if point["requests_per_second"] is None else point["requests_per_second"],
        "infer/requests": none if point["requests"] is None else float(point["requests"]),
        "generation/tpot_p50_ms": Missing(_WHY["Per Token Latency"]),
        "generation/ttft_p50_ms": Missing(_WHY["First Token Latency"]),
    }
    return values | {name: point[column] for name, column in _MEDIAN.values() if point.get(column) is not None}
