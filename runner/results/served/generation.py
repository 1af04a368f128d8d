"""Figures of answers in tokens: when the first one came, and how fast the others."""

from __future__ import annotations

from typing import Any

from runner.core.events import Name
from runner.core.statistics import quantile
from runner.record.names import FIGURES
from runner.record.run_record import RunRecord
from runner.record.values import Missing, Value, Values, at_most_one, divide, known, multiply
from runner.results.compute import WRONG_CHIP
from runner.serving.load.requests import Request, token_gaps_s

ONE_PASS = Missing("the model answers in one forward pass, not in tokens")
ALL_AT_ONCE = Missing("LoadGen has all requests arrive at once: how long they wait is the window's length, no latency")
MEDIAN, HIGH = ("p50", 0.5), ("p99", 0.99)


def generation(run_record: RunRecord, requests: list[Request], seconds: float) -> Values:
    """`generation/*`; null of models that answer in one forward pass.

    Time to first token counts from arrival, waiting included. Time per output token is a request's own mean behind the
    first: (last - first) ÷ (tokens - 1). Times between tokens are those of all requests together, one a step of the
    batch. Tokens are generated ones alone, each row's up to its end of text.
    """
    if run_record.case.model.inference.generation is None:
        return dict.fromkeys((name for name in FIGURES if name.startswith("generation/")), ONE_PASS)
    first = [one.ttft_s for one in requests if one.ttft_s is not None]
    further = [one.tpot_s for one in requests if one.tpot_s is not None]
    tokens = sum(one.tokens or 0 for one in requests)
    waited = percentiles("generation/ttft", first, (MEDIAN, HIGH), "requests")
    return {
        **(dict.fromkeys(waited, ALL_AT_ONCE) if arrived_at_once(run_record) else waited),
        **percentiles("generation/tpot", further, (MEDIAN,), "answers of two tokens or more"),
        **percentiles("generation/itl", token_gaps_s(run_record.folder), (MEDIAN, HIGH), "gaps between tokens"),
        "generation/tokens_per_second": divide(float(tokens), seconds),
        **_parts(run_record),
    }


def arrived_at_once(run_record: RunRecord) -> bool:
    """Whether nothing that counts from arrival is a property of the system."""
    load = run_record.case.load
    return load.name == "mlperf" and load.scenario == "Offline"


def ended_early(run_record: RunRecord, requests: list[Request]) -> Missing | None:
    """Why the counted work of a sample is not that of the answers that were given; None where it is."""
    given = run_record.case.model.inference.generation
    if given is None or all(one.tokens == one.samples * given.new_tokens for one in requests):
        return None
    return Missing("answers ended before their limit, and work is counted for whole ones")


def decode_mbu(run_record: RunRecord, bandwidth: Value) -> Value:
    """Least bytes of a step x steps per second of decoding alone ÷ the chip's bandwidth."""
    inference, account = run_record.case.model.inference, run_record.last(Name.ACCOUNT) or {}
    if inference.generation is None:
        return ONE_PASS
    writing = account.get("writing") or {}
    nothing = account.get("reason", "the model was not counted as one that writes")
    step_bytes = known(writing.get("decode_bytes_per_step"), nothing)
    rate = _parts(run_record)["generation/decode_tokens_per_second"]
    steps = divide(rate, float(inference.batch_size))
    return at_most_one(divide(multiply(step_bytes, steps), bandwidth), WRONG_CHIP)


def _parts(run_record: RunRecord) -> Values:
    """Of the row that has the window's own sizes."""
    inference = run_record.case.model.inference
    given = inference.generation
    assert given is not None
    sizes = {
        "batch_size": inference.batch_size,
        "prompt_tokens": given.prompt_tokens,
        "new_tokens": given.new_tokens,
    }
    rows = (event.value for event in run_record.all(Name.POINT))
    row: dict[str, Any] = next((one for one in rows if sizes.items() <= one.items()), {})
    reason = row.get("parts_reason", "it was not measured by itself")
    names = ("prefill_tokens_per_second", "decode_tokens_per_second")
    return {f"generation/{name}": known(row.get(name), reason) for name in names}


def percentiles(begin: str, seconds: list[float], wanted: tuple[tuple[str, float], ...], what: str) -> Values:
    """`<begin>_<p>_ms` of each; null with the reason where there are too few."""
    values: Values = {}
    for name, fraction in wanted:
        value = quantile(seconds, fraction)
        few = f"the window has {len(seconds)} {what}; {name} needs {round(1 / (1 - fraction))}"
        values[f"{begin}_{name}_ms"] = Missing(few) if value is None else 1e3 * value
    return values
