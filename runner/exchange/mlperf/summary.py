"""Reader of MLPerf Inference's `summary_results.json`: all results of a round, a row each, of the whole system."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.core.errors import ConfigurationError
from runner.exchange.base.files import json_of, require
from runner.exchange.base.imported import Imported, number_of, scaled
from runner.exchange.base.models import MLPERF_INFERENCE
from runner.record.values import Missing

NAME = "mlperf_summary"
VERSIONS = ("v4.1", "v5.0", "v5.1")
"""Rounds whose files were looked at."""
LOADS = {"Offline": "offline", "SingleStream": "single_stream", "Server": "server", "Interactive": "server"}
"""MLPerf's scenarios by our loads; MultiStream's queries of 8 samples are none of them."""
_COLUMNS = ("Submitter", "Platform", "Model", "Scenario", "version", "Performance_Result", "Performance_Units")
_NAMING = ("ID", "version", "Submitter", "Platform", "Model", "Scenario")
_UNITS = ("Tokens/s", "Samples/s", "Queries/s", "Latency (ms)")
_IN_TOKENS = re.compile(r"llama|mixtral|gpt-?j|deepseek|mistral|gpt-oss|qwen", re.IGNORECASE)
"""Models whose results MLPerf states in tokens per second."""
_LATENCIES = {"SingleStream": "infer/latency_p90_ms", "MultiStream": "infer/latency_p99_ms"}
_ACCURACY = re.compile(r"([A-Za-z_0-9]+): *([-+.0-9eE]+)")
_METRICS = {
    **{"acc": ("top1", "0.01"), "F1": ("f1", "0.01"), "mAP": ("box_map", "0.01"), "DICE": ("dice", "1")},
    **{
        "AUC": ("auc", "0.01"),
        "ROUGE1": ("rouge1", "0.01"),
        "ROUGE2": ("rouge2", "0.01"),
        "ROUGEL": ("rougeL", "0.01"),
    },
}
"""MLPerf's accuracies: our name, and what makes a fraction of them."""


def detect(path: Path) -> bool:
    """Whether a file is a round's list of results."""
    rows = json_of(path)
    return isinstance(rows, list) and bool(rows) and isinstance(rows[0], dict) and rows[0].keys() >= set(_COLUMNS)


def read(path: Path) -> list[Imported]:
    """A result for each row.

    Raises:
        ConfigurationError: a row of a round that is not known, in a unit that is not known, or with no number.
    """
    return [_read_row(row, index, path) for index, row in enumerate(json_of(path))]


def _read_row(row: dict[str, Any], index: int, path: Path) -> Imported:
    named = f"row {index + 1} ({row.get('ID', 'without ID')})"
    require(row, _COLUMNS, source=path, what=named)
    if row["version"] not in VERSIONS:
        known = ", ".join(VERSIONS)
        raise ConfigurationError(
            f"{path}: {named} is of round {row['version']}, which is not known here; known: {known}."
        )
    made = Imported(
        format=NAME,
        version=str(row["version"]),
        name="_".join(
            str(row[key]) for key in ("ID", "version", "Submitter", "Platform", "Model", "Scenario") if row.get(key)
        ),
        source=path,
        excerpt=json.dumps(row, indent=1),
        environment={
            key: row[key] for key in ("Submitter", "System", "Software", "Processor", "Location") if row.get(key)
        },
    )
    _take_case(row, made)
    _take_performance(row, named, made)
    _take_accuracy(str(row.get("Accuracy") or ""), made)
    _take_power(row, made)
    _take_faults(row, made)
    return made


def _take_case(row: Mapping[str, Any], made: Imported) -> None:
    scenario, model = str(row["Scenario"]), str(row["Model"])
    made.case |= {
        "task": "infer",
        "model": MLPERF_INFERENCE.get(model),
        "chip": row.get("Accelerator") or None,
        "devices": _devices(row),
        "load": LOADS.get(scenario),
        "mlperf_model": model,
        "mlperf_scenario": scenario,
        "mlperf_division": row.get("Category"),
    }
    if made.case["model"] is None:
        made.notes.append(f"No model of this version is MLPerf's {model}; --set model=NAME says which it is.")
    if row.get("weight_data_types"):
        types = row["weight_data_types"]
        made.notes.append(f"Weights are {types}; what is computed in is not told: --set precision=NAME says it.")
    if made.case["devices"] is None:
        made.notes.append("The row tells no number of accelerators: its figures are of the whole system.")


def _devices(row: Mapping[str, Any]) -> int | None:
    """Accelerators of the whole system; `a#` counts those of one node."""
    try:
        total = float(row.get("Total Accelerators") or float(row.get("a#") or 0) * float(row.get("Nodes") or 0))
    except (TypeError, ValueError):
        return None
    return int(total) if total > 0 and total == int(total) else None


def _take_performance(row: Mapping[str, Any], named: str, made: Imported) -> None:
    unit, scenario, model = str(row["Performance_Units"]), str(row["Scenario"]), str(row["Model"])
    value = number_of(row["Performance_Result"], what=f"{named} Performance_Result", source=made.source)
    if unit not in _UNITS:
        known = ", ".join(_UNITS)
        raise ConfigurationError(
            f"{made.source}: Performance_Result of {named} is in {unit!r}, which is not known here; known: {known}."
        )
    ours, theirs = _figure(unit, scenario), "Performance_Result"
    if value is None:
        made.missing(ours, theirs, "the row has none")
    elif row.get("inferred") in (1, True, "1"):
        made.missing(ours, theirs, "MLPerf inferred it from another scenario: it was not measured")
    elif unit in ("Queries/s", "Samples/s") and _IN_TOKENS.search(model):
        why = f"labelled {unit}, where this model's results are in tokens/s: the round's file has mislabelled rows"
        made.missing(ours, f"{theirs} ({unit})", why)
    elif unit == "Latency (ms)" and scenario not in _LATENCIES:
        made.missing(ours, theirs, f"of which percentile the latency is, is not known of {scenario}")
    else:
        made.values[ours] = value
        if scenario == "MultiStream":
            made.case["batch_size"] = 8
            made.notes.append("MultiStream: the latency is that of a query of 8 samples.")


def _figure(unit: str, scenario: str) -> str:
    if unit == "Tokens/s":
        return "generation/tokens_per_second"
    if unit == "Latency (ms)":
        return _LATENCIES.get(scenario, "infer/latency_p90_ms")
    return "infer/achieved_per_second" if unit == "Queries/s" else "infer/samples_per_second"


def _take_accuracy(told: str, made: Imported) -> None:
    for label, text in _ACCURACY.findall(told):
        value = number_of(text, what=label, source=made.source)
        if label == "TOKENS_PER_SAMPLE":
            made.environment["tokens_per_sample"] = value
        elif label not in _METRICS or value is None:
            made.drop(label, "no figure of ours is known to mean this")
        else:
            metric, factor = _METRICS[label]
            made.metrics = (*made.metrics, metric)
            made.values[f"accuracy/{metric}"] = scaled(value, factor)


def _take_power(row: Mapping[str, Any], made: Imported) -> None:
    if not row.get("has_power"):
        return
    value = number_of(row.get("Power_Result"), what="Power_Result", source=made.source)
    unit = str(row.get("Power_Units", ""))
    if value is not None and unit.lower() == "watts":
        made.values["power/node_mean_w"] = value
    else:
        made.values["power/node_mean_w"] = Missing("the row does not tell it in watts")
        made.drop("Power_Result", f"in {unit or 'no unit'}; ours is in watts")


def _take_faults(row: Mapping[str, Any], made: Imported) -> None:
    errors = number_of(row.get("errors", 0), what="errors", source=made.source)
    if errors:
        made.error = ("Invalid", f"MLPerf's checker found {errors:g} errors in this result.")
    if row.get("compliance") in (0, False):
        made.notes.append("MLPerf's compliance tests are not there or were not passed.")
