"""Answers in tokens: what counts, and when it was there, by a clock that is told the time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from written import Scripted, ToldClock

from runner.serving.load.requests import append_requests, read_requests, token_gaps_s
from runner.serving.load.writing import GenerationSystem

END = 9
LINES = [[5, 6], [END, 7], [3, 8], [4, END], [1, 1]]
SECONDS = [0.5, 0.1, 0.1, 0.2, 0.1]
PROMPTS = [torch.zeros(2, 3, dtype=torch.int64)]


def system(clock: ToldClock, *, new_tokens: int = 5, end: int | None = END) -> tuple[GenerationSystem, Scripted]:
    engine = Scripted(clock, LINES, SECONDS)
    return GenerationSystem(engine, PROMPTS, new_tokens=new_tokens, end_of_text=end, clock=clock), engine


def test_tokens_behind_the_end_of_text_do_not_count() -> None:
    """The first row ends with its 2nd token, the second with its 4th: 2 + 4, and nothing more is asked for."""
    clock = ToldClock()
    asked, engine = system(clock)
    one = asked.answer(0)
    assert (one.tokens, one.steps, engine.given) == (6, 4, 4)
    assert (one.samples, one.input_tokens) == (2, 6)


def test_without_an_end_every_answer_has_its_full_length() -> None:
    asked, engine = system(ToldClock(), end=None, new_tokens=3)
    one = asked.answer(0)
    assert (one.tokens, one.steps, engine.given) == (6, 3, 3)


def test_times_are_those_of_the_clock() -> None:
    """Due at 9.5, asked at 10: the first token at 10.5, then 0.1, 0.1 and 0.2 s apart."""
    clock = ToldClock()
    clock.now_s = 10.0
    one = system(clock)[0].answer(0, arrived_s=9.5)
    assert one.ttft_s == pytest.approx(1.0) and one.begun_s == 10.0
    assert one.tpot_s == pytest.approx(0.4 / 3)
    assert one.latency_s == pytest.approx(1.4) and one.ended_s == one.moments_s[-1]


def test_an_answer_of_one_token_has_no_further_ones() -> None:
    one = system(ToldClock(), new_tokens=1)[0].answer(0)
    assert one.ttft_s == pytest.approx(0.5) and one.tpot_s is None


def test_moments_are_kept_for_every_request(tmp_path: Path) -> None:
    clock = ToldClock()
    first, second = (system(clock)[0].answer(number) for number in (0, 1))
    append_requests(tmp_path, 0, [first, second])
    gaps = [0.1, 0.1, 0.2]
    assert token_gaps_s(tmp_path) == pytest.approx(gaps + gaps), "nothing lies between one request and the next"
    again = read_requests(tmp_path)
    assert [(one.tokens, one.steps, one.input_tokens) for one in again] == [(6, 4, 6)] * 2
    assert again[1].ttft_s == second.ttft_s and again[1].tpot_s == second.tpot_s
    with (tmp_path / "tokens.csv").open("a") as file:
        file.write("1,0,4,99")  # a line that a full disk cut off
    assert len(token_gaps_s(tmp_path)) == len(gaps + gaps)
