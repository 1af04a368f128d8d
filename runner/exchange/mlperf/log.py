"""Reader of MLPerf LoadGen's `mlperf_log_summary.txt`: one run, times in nanoseconds, validity with its reasons."""

from __future__ import annotations

import re
from pathlib import Path

from runner.core.errors import ConfigurationError
from runner.exchange.base.imported import Imported, number_of, scaled
from runner.exchange.base.models import MLPERF_INFERENCE
from runner.exchange.mlperf.summary import LOADS
from runner.record.values import Missing

NAME = "mlperf_log"
TITLE = "MLPerf Results Summary"
ENOUGH_FOR_P99 = 100
_HEAD_BYTES = 4096
_LINE = re.compile(r"^\s*([^:]+?)\s*: *(.*?)\s*$")
_SCENARIOS = (*LOADS, "MultiStream")
_RATES = {
    "Samples per second": "infer/samples_per_second",
    "Completed samples per second": "infer/achieved_per_second",
    "Scheduled samples per second": "infer/offered_per_second",
    "Tokens per second": "generation/tokens_per_second",
    "Completed tokens per second": "generation/tokens_per_second",
}
_NANOSECONDS = {
    "Mean latency (ns)": "infer/latency_mean_ms",
    "50.00 percentile latency (ns)": "infer/latency_p50_ms",
    "90.00 percentile latency (ns)": "infer/latency_p90_ms",
    "99.00 percentile latency (ns)": "infer/latency_p99_ms",
    "50.00 percentile first token latency (ns)": "generation/ttft_p50_ms",
    "99.00 percentile first token latency (ns)": "generation/ttft_p99_ms",
    "50.00 percentile time to output token (ns)": "generation/tpot_p50_ms",
}
_INFERRED = "Tokens per second (inferred)"
_PLACE = re.compile(rf"results/([^/]+)/([^/]+)/({'|'.join(_SCENARIOS)})/performance/run_\d+/")
"""Where a submission keeps this file: system, model, scenario."""
_PROCESSED = re.compile(r"Processed at least \d+ queries \((\d+)\)")
_OFFLINE_LATENCY = "all samples are asked for at once: how long the last one waits says how many there were"


def detect(path: Path) -> bool:
    """Whether a file is LoadGen's summary, by its heading."""
    if path.suffix != ".txt" or not path.is_file():
        return False
    with path.open("rb") as file:
        return TITLE.encode() in file.read(_HEAD_BYTES)


def read(path: Path) -> list[Imported]:
    """One run.

    Raises:
        ConfigurationError: no scenario or validity of a version that is known, or a figure that is no number.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    pairs = [(match[1], match[2]) for line in text.splitlines() if (match := _LINE.match(line))]
    told: dict[str, str] = {}
    for key, value in pairs:
        told.setdefault(key, value)
    scenario, result = told.get("Scenario", ""), told.get("Result is", "")
    if scenario not in _SCENARIOS or result not in ("VALID", "INVALID"):
        raise ConfigurationError(
            f"{path}: scenario {scenario or '(none)'!r} with result {result or '(none)'!r} is not known. Known are "
            f"{', '.join(_SCENARIOS)}, VALID or INVALID."
        )
    made = Imported(format=NAME, version="LoadGen", name=_name(path, told), source=path)
    made.case |= {"task": "infer", "load": LOADS.get(scenario), "mlperf_scenario": scenario}
    _take_place(path, scenario, made)
    _take_figures(told, scenario, made)
    _take_tokens(told, made)
    _few(text, told, made)
    if result == "INVALID":
        made.error = ("Invalid", _why_invalid(text, told))
    if "No errors encountered" not in text:
        made.notes.append("LoadGen does not say that no errors were encountered; its detailed log says which.")
    return [made]


def _name(path: Path, told: dict[str, str]) -> str:
    place = _PLACE.search(path.resolve().as_posix())
    return "_".join(place.groups()) if place else f"{told.get('SUT name', 'SUT')}_{told['Scenario']}"


def _take_place(path: Path, scenario: str, made: Imported) -> None:
    place = _PLACE.search(path.resolve().as_posix())
    if place and place[3] == scenario:
        made.environment |= {"mlperf_system": place[1]}
        made.case |= {"mlperf_model": place[2], "model": MLPERF_INFERENCE.get(place[2])}
    if made.case.get("model") is None:
        made.notes.append("LoadGen tells no model, chip or precision; --set model=NAME chip=NAME precision=NAME does.")
    made.notes.append("LoadGen's figures are of the whole system under test, whatever it holds.")


def _take_figures(told: dict[str, str], scenario: str, made: Imported) -> None:
    performance = told.get("Mode") == "PerformanceOnly"
    for key, ours in {**_RATES, **_NANOSECONDS}.items():
        if key not in told:
            continue
        value = number_of(told[key], what=key, source=made.source)
        if value is None:
            continue
        if not performance:
            made.missing(ours, key, f"the run was in mode {told.get('Mode')}: its speed does not count")
        elif scenario == "Offline" and ours.startswith("infer/latency"):
            made.missing(ours, key, _OFFLINE_LATENCY)
        else:
            made.values[ours] = scaled(value, "0.000001") if key in _NANOSECONDS else value
    if scenario == "MultiStream":
        samples = number_of(told.get("samples_per_query"), what="samples_per_query", source=made.source)
        made.case["batch_size"] = int(samples) if samples else None
        made.notes.append("MultiStream: latencies are those of a query of several samples (batch_size).")


def _take_tokens(told: dict[str, str], made: Imported) -> None:
    if _INFERRED in told and "Tokens per second" not in told:
        why = "LoadGen infers it from a mean length; no tokens were counted"
        made.missing("generation/tokens_per_second", _INFERRED, why)
    for key in ("Min latency (ns)", "Max latency (ns)"):
        if key in told:
            made.drop(key, "no figure of ours")


def _few(text: str, told: dict[str, str], made: Imported) -> None:
    """A p99 needs 100 queries; how many there were is told of some scenarios, of others at least how many."""
    counted = _PROCESSED.search(text)
    least = number_of(told.get("min_query_count"), what="min_query_count", source=made.source)
    if counted:
        made.values["infer/requests"] = float(counted[1])
        queries: float | None = float(counted[1])
    else:
        queries = least if least is not None and told.get("Min queries satisfied") == "Yes" else None
    for name in ("infer/latency_p99_ms", "generation/ttft_p99_ms"):
        if isinstance(made.values.get(name), float) and (queries is None or queries < ENOUGH_FOR_P99):
            known = "it is not told how many queries there were" if queries is None else f"{queries:g} queries"
            made.values[name] = Missing(f"{known}; p99 needs {ENOUGH_FOR_P99}")
            made.drop(name.rpartition("/")[2], f"{known}, and a p99 needs {ENOUGH_FOR_P99}")


def _why_invalid(text: str, told: dict[str, str]) -> str:
    kept = (
        "Performance constraints satisfied",
        "Min duration satisfied",
        "Min queries satisfied",
        "Early stopping satisfied",
    )
    missed = [name.removesuffix(" satisfied") for name in kept if told.get(name) == "NO"]
    _, _, after = text.partition("Recommendations:")
    advice = []
    for line in after.splitlines()[1:]:
        if not line.startswith((" *", "   ")):
            break
        advice.append(line.strip(" *"))
    said = f"LoadGen calls the result INVALID: not satisfied: {', '.join(missed) or 'it does not say what'}."
    return f"{said} It recommends: {' '.join(advice)}" if advice else said
