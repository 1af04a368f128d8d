"""Reader of InferenceX (InferenceMAX): `agg_*.json`, a model that writes under a number of clients.

Its times are seconds, though they come from `…_ms`; its rates are per GPU. With prefill and decoding on GPUs of their
own, the rate of output is per GPU that decodes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.core import packages
from runner.core.errors import ConfigurationError
from runner.exchange.base.files import json_of
from runner.exchange.base.imported import Imported, number_of, scaled
from runner.record.values import Missing

NAME = "inferencex"
POWER_VERSION = 2
"""`power_metric_schema_version` whose figures are of the whole deployment."""
PROMPTS_PER_CLIENT = 10
"""Prompts that InferenceX sends for each client."""
ENOUGH_FOR_P99 = 100
_KEYS = frozenset({"hw", "conc", "model", "framework", "precision", "tput_per_gpu"})
_SECONDS = {
    "median_ttft": "generation/ttft_p50_ms",
    "p99_ttft": "generation/ttft_p99_ms",
    "median_tpot": "generation/tpot_p50_ms",
    "median_itl": "generation/itl_p50_ms",
    "p99_itl": "generation/itl_p99_ms",
    "mean_e2el": "infer/latency_mean_ms",
    "median_e2el": "infer/latency_p50_ms",
    "p90_e2el": "infer/latency_p90_ms",
    "p99_e2el": "infer/latency_p99_ms",
}
_POWER = {
    "avg_total_gpu_power_w": "power/device_mean_w",
    "total_gpu_energy_j": "energy/device_j",
    "joules_per_successful_query": "energy/per_sample_j",
}
_NO_FIGURE = {
    "tput_per_gpu": "prompt and answer added up; ours is of the answers",
    "input_tput_per_gpu": "prompts beside answers; ours is of prefill alone",
    "avg_power_w": "of one GPU; power/device_mean_w is of all",
    "joules_per_output_token": "no figure of ours",
    "joules_per_input_token": "no figure of ours",
    "joules_per_total_token": "no figure of ours",
}
_STATISTICS = ("mean_", "median_", "std_", "p50_", "p75_", "p90_", "p95_", "p99_", "p99.9_")


def detect(path: Path) -> bool:
    """Whether a file is one of InferenceX's aggregates, or a list of them."""
    content = json_of(path)
    rows = content if isinstance(content, list) else [content]
    return bool(rows) and isinstance(rows[0], dict) and rows[0].keys() >= _KEYS


def read(path: Path) -> list[Imported]:
    """A result for each aggregate.

    Raises:
        ConfigurationError: one of another kind, or a figure is no number.
    """
    content = json_of(path)
    rows = content if isinstance(content, list) else [content]
    for row in rows:
        if not isinstance(row, dict) or not row.keys() >= _KEYS:
            raise ConfigurationError(f"{path}: one of its results has no {', '.join(sorted(_KEYS))}.")
    return [_read_row(row, path) for row in rows]


def _read_row(row: Mapping[str, Any], path: Path) -> Imported:
    parts = [str(row[key]) for key in ("model", "hw", "framework", "precision")]
    shape = [f"{key}{row[key]}" for key in ("isl", "osl", "tp", "conc") if row.get(key) is not None]
    made = Imported(
        format=NAME,
        version="multi-node" if row.get("is_multinode") else "single-node",
        name="_".join([*parts, *shape]),
        source=path,
        excerpt=json.dumps(row, indent=1),
        environment={
            key: row[key] for key in ("image", "hw", "infmax_model_prefix", "disagg") if row.get(key) is not None
        },
    )
    _take_case(row, made)
    _take_rate(row, made)
    _take_times(row, made)
    _take_power(row, made)
    for key, why in _NO_FIGURE.items():
        if row.get(key) is not None:
            made.drop(key, why)
    if any(key.endswith("_intvty") or key.startswith("intvty") for key in row):
        made.drop("intvty", "1 ÷ TPOT, which generation/tpot_p50_ms tells")
    return made


def _take_case(row: Mapping[str, Any], made: Imported) -> None:
    precision = str(row["precision"])
    made.case |= {
        "task": "infer",
        "model": None,
        "chip": str(row["hw"]),
        "compiler": str(row["framework"]),
        "precision": precision,
        "devices": _devices(row),
        "load": "clients",
        "clients": row["conc"],
        "prompt_tokens": row.get("isl"),
        "new_tokens": row.get("osl"),
        "served_model": str(row["model"]),
    }
    made.notes.append(f"No model of this version is {row['model']}; --set model=NAME says which it is.")
    if precision not in packages.choices("precision"):
        made.notes.append(f"Precision {precision} is InferenceX's own word.")
    if str(row.get("spec_decoding") or "none") != "none":
        made.notes.append(f"With speculative decoding ({row['spec_decoding']}).")
        change = {"key": "speculative decoding", "reference": "none", "value": row["spec_decoding"], "allowed": False}
        made.changed.append(change)


def _count(row: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = row.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else otherwise


def _devices(row: Mapping[str, Any]) -> int | None:
    """GPUs of the whole deployment; None where the row does not tell."""
    if row.get("is_multinode"):
        prefill, decode = row.get("num_prefill_gpu"), row.get("num_decode_gpu")
        return prefill + decode if isinstance(prefill, int) and isinstance(decode, int) else None
    if not isinstance(row.get("tp"), int):
        return None
    return int(row["tp"]) * _count(row, "pp", 1) * _count(row, "pcp_size", 1)


def _take_rate(row: Mapping[str, Any], made: Imported) -> None:
    """The job's rate of answers: what every GPU did times the GPUs that it was divided by."""
    ours, theirs = "generation/tokens_per_second", "output_tput_per_gpu"
    each = number_of(row.get(theirs), what=theirs, source=made.source)
    devices = made.case["devices"]
    if row.get("is_multinode") and devices is not None:
        devices = row["num_decode_gpu"] or devices
    if each is None:
        made.values[ours] = Missing(f"the file has no {theirs}")
    elif devices is None:
        made.missing(ours, theirs, "it is per GPU, and the number of GPUs is not told")
    else:
        made.values[ours] = each * devices


def _take_times(row: Mapping[str, Any], made: Imported) -> None:
    clients = number_of(row["conc"], what="conc", source=made.source)
    few = clients is None or clients * PROMPTS_PER_CLIENT < ENOUGH_FOR_P99
    for key, ours in _SECONDS.items():
        value = number_of(row.get(key), what=key, source=made.source)
        if value is None:
            continue
        if key.startswith("p99") and few:
            why = f"of {PROMPTS_PER_CLIENT} prompts for each of {row['conc']} clients; p99 needs {ENOUGH_FOR_P99}"
            made.missing(ours, key, why)
        else:
            made.values[ours] = scaled(value, "1000")
    for key in row:
        base = next((key.removeprefix(one) for one in _STATISTICS if key.startswith(one)), None)
        if base in ("ttft", "tpot", "itl", "e2el") and key not in _SECONDS:
            made.drop(key, "no figure of ours is this statistic")


def _take_power(row: Mapping[str, Any], made: Imported) -> None:
    told = [key for key in _POWER if row.get(key) is not None]
    valid = row.get("power_valid") in (1, True)
    version = row.get("power_metric_schema_version")
    if "power_valid" in row and not valid:
        why = "InferenceX calls its power reading invalid"
    elif told and version != POWER_VERSION:
        why = f"power figures of version {version}, which may be of a part of the deployment; known is {POWER_VERSION}"
    else:
        for key in told:
            value = number_of(row[key], what=key, source=made.source)
            made.values[_POWER[key]] = Missing("the file has none") if value is None else value
        return
    for key, ours in _POWER.items():
        made.values[ours] = Missing(why)
        if key in told:
            made.drop(key, why)
