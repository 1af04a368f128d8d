"""Figures of answers in tokens, from requests, moments and rows that were counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from case_samples import make_case

from models.inference import Generation, Inference
from runner.core.events import Event, Name
from runner.core.load import Load, Slo
from runner.record.run_record import RunRecord
from runner.record.values import Missing, Values
from runner.results.served.generation import decode_mbu, ended_early
from runner.results.served.serving import serving
from runner.serving.load.requests import Request, append_requests

SIZES = {"batch_size": 2, "prompt_tokens": 16, "new_tokens": 4}


def event(name: Name, **value: Any) -> Event:
    return Event(name=name.value, value=value, rank=0, time_ms=0, monotonic_s=0.0)


def answered(number: int, due_s: float, moments_s: tuple[float, ...], tokens: int) -> Request:
    """A request that waited 0.1 s for its turn."""
    return Request(
        number=number,
        arrived_s=due_s,
        begun_s=due_s + 0.1,
        first_token_s=moments_s[0],
        ended_s=moments_s[-1],
        moments_s=moments_s,
        samples=2,
        input_tokens=32,
        tokens=tokens,
        steps=len(moments_s),
    )


REQUESTS = [
    answered(0, 100.0, (100.3, 100.4, 100.5, 100.6), 8),  # to the first token 300 ms, then 100 each
    answered(1, 101.0, (101.5, 101.7, 101.9, 102.4), 8),  # 500 ms, then 200, 200, 500: 300 each
    answered(2, 102.0, (102.2, 102.8), 3),  # 200 ms, then 600; one row ended with its first token
]


def record(folder: Path, requests: list[Request], *events: Event, slo: Slo | None = None) -> RunRecord:
    """A run that answered so many requests in 10 seconds."""
    case = make_case("infer")
    generation = Generation(prompt_tokens=16, new_tokens=4, end_of_text=0)
    model = replace(case.model, infer=Inference(batch_size=2, generation=generation))
    case = replace(case, model=model, load=Load(name="server", rate=1.0, slo=slo or Slo()))
    folder.mkdir(exist_ok=True)
    edges = {"segment": 0, "begin_s": 100.0, "end_s": 110.0, "seconds": 10.0, "core_s": None}
    counts = {"steps": len(requests), "samples": 2 * len(requests), "tokens": None, "own_s": None}
    append_requests(folder, 0, requests)
    told = [*events, event(Name.SEGMENT_END, **edges, **counts)]
    return RunRecord(folder=folder, case=case, ranks=[told], parent=[])


def figures(folder: Path, *events: Event, slo: Slo | None = None) -> Values:
    return serving(record(folder, REQUESTS, *events, slo=slo))[0]


def test_times_of_a_hand_count(tmp_path: Path) -> None:
    values = figures(tmp_path)
    assert values["generation/ttft_p50_ms"] == pytest.approx(300), "of 200, 300 and 500, from arrival on"
    assert values["generation/tpot_p50_ms"] == pytest.approx(300), "of 100, 300 and 600"
    assert values["generation/itl_p50_ms"] == pytest.approx(200), "of 3 x 100, 2 x 200, 500, 600"
    assert values["generation/tokens_per_second"] == pytest.approx(19 / 10)
    assert values["infer/input_tokens_per_second"] == pytest.approx(96 / 10)
    assert values["infer/samples_per_second"] == pytest.approx(6 / 10)
    high = values["generation/ttft_p99_ms"]
    assert isinstance(high, Missing) and high.reason == "the window has 3 requests; p99 needs 100"


@pytest.mark.parametrize(
    ("limits", "good"),
    [({"ttft_ms": 400}, 2), ({"tpot_ms": 300.1}, 2), ({"ttft_ms": 400, "tpot_ms": 300.1}, 1), ({"latency_ms": 700}, 1)],
)
def test_a_request_is_good_when_it_keeps_to_every_limit(tmp_path: Path, limits: dict[str, float], good: int) -> None:
    assert figures(tmp_path, slo=Slo(**limits))["infer/goodput_per_second"] == pytest.approx(good / 10)


def test_an_answer_of_one_token_keeps_to_any_time_per_token(tmp_path: Path) -> None:
    one = record(tmp_path, [answered(0, 100.0, (100.3,), 2)], slo=Slo(tpot_ms=1.0))
    values, _ = serving(one)
    assert values["infer/goodput_per_second"] == pytest.approx(1 / 10)
    assert isinstance(values["generation/tpot_p50_ms"], Missing) and isinstance(
        values["generation/itl_p50_ms"], Missing
    )


def test_parts_are_those_of_the_row_with_the_windows_sizes(tmp_path: Path) -> None:
    parts = {"prefill_tokens_per_second": 1000.0, "decode_tokens_per_second": 50.0}
    other = event(Name.POINT, **(SIZES | {"batch_size": 1}), **dict.fromkeys(parts, 7.0))
    account = event(
        Name.ACCOUNT,
        parameters=1,
        flops_per_sample=1.0,
        minimum_bytes_per_sample=1.0,
        writing={"decode_bytes_per_step": 4e6},
    )
    told = record(tmp_path, REQUESTS, other, event(Name.POINT, **SIZES, **parts), account)
    values, _ = serving(told)
    assert values["generation/prefill_tokens_per_second"] == 1000.0
    assert values["generation/decode_tokens_per_second"] == 50.0
    assert decode_mbu(told, 1e9) == pytest.approx(4e6 * 25 / 1e9), "50 tokens a second in 25 steps of two rows"
    none = values["generation/decode_mbu"]
    assert isinstance(none, Missing) and none.reason, "the chip has no bandwidth here"


def test_work_is_counted_for_whole_answers_alone(tmp_path: Path) -> None:
    account = event(Name.ACCOUNT, parameters=1, flops_per_sample=5.0, minimum_bytes_per_sample=1.0, writing=None)
    early = record(tmp_path / "early", REQUESTS, account)
    assert ended_early(early, REQUESTS) is not None
    for name in ("compute/achieved_flops_per_second", "compute/mfu", "compute/mbu", "roofline/fraction"):
        found = serving(early)[0][name]
        assert isinstance(found, Missing), name
    achieved = serving(early)[0]["compute/achieved_flops_per_second"]
    assert isinstance(achieved, Missing) and "ended before their limit" in achieved.reason
    whole = record(tmp_path / "whole", REQUESTS[:2], account)
    assert serving(whole)[0]["compute/achieved_flops_per_second"] == pytest.approx(5.0 * 4 / 10)


def test_prompts_that_all_wait_from_the_start_have_no_time_to_first_token(tmp_path: Path) -> None:
    one = record(tmp_path, REQUESTS)
    one.case = replace(one.case, load=Load(name="mlperf", scenario="Offline"))
    values, _ = serving(one)
    assert isinstance(values["generation/ttft_p50_ms"], Missing) and values["generation/tpot_p50_ms"] > 0  # type: ignore[operator]
