"""The first signal ends a run in good order; further ones, and one that comes too late, disturb nothing."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from case_samples import make_case

import runner.launch.run_case as engine_module
from runner import cli
from runner.cli import run
from runner.config.division import Division
from runner.config.schema import Case
from runner.console.console import Console
from runner.core.errors import InterruptedRunError
from runner.core.interrupts import SIGNALS, Interrupts
from runner.core.lock import let_go
from runner.launch import sweep
from runner.launch.attempt import _how_to_go_on
from runner.launch.folder import claim
from runner.launch.run_case import CaseRunner
from runner.record.report import Report, load_report


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_that_asks_for_an_end_interrupts_once(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.allowed():
            send(number)
        for further in SIGNALS:
            send(further)
        assert interrupts.asked


def test_further_signals_are_ignored_while_the_worker_is_ended() -> None:
    """That happens inside, where the first one was caught."""
    ended = False
    with Interrupts() as interrupts, interrupts.allowed():
        try:
            send(signal.SIGINT)
        except KeyboardInterrupt:
            send(signal.SIGINT)
            send(signal.SIGTERM)
            ended = True
    assert ended


def test_a_signal_while_the_result_is_written_interrupts_what_comes_next() -> None:
    with Interrupts() as interrupts:
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), interrupts.allowed():
            raise AssertionError("nothing may begin")


def test_what_was_switched_off_stays_so_and_the_rest_is_put_back() -> None:
    """`nohup` has SIGHUP ignored."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts, interrupts.allowed():
            send(signal.SIGHUP)
            assert not interrupts.asked
    finally:
        signal.signal(signal.SIGHUP, before[signal.SIGHUP])
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


def test_the_report_is_written_before_mlflow_is_asked_and_no_signal_disturbs_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case("converge", tracking={"name": "mlflow"})
    folder = claim(case, tmp_path / "run")
    order: list[str] = []

    def attempt(*_: object, **__: object) -> InterruptedRunError:
        try:
            send(signal.SIGTERM)
        except KeyboardInterrupt:
            send(signal.SIGINT)
            order.append("worker ended")
        return InterruptedRunError("Interrupted.")

    class Sampler:
        environment: ClassVar[dict[str, str]] = {}
        problem: ClassVar[str | None] = None

        def stop(self, timeout_s: float) -> None:
            order.append(f"sampler given {timeout_s:g} s")

    class Tracker:
        def __init__(self, *_: object, **__: object) -> None: ...

        def start(self) -> None: ...

        def finish(self, report: Report, *, hurry: bool) -> None:
            assert hurry, "nobody waits long for a store that is being made"
            send(signal.SIGINT)
            assert load_report(folder / "report.json").exit_code == 130
            order.append("filed")

        def where(self) -> list[tuple[str, str]]:
            return []

    fakes: dict[str, Any] = {"attempt": attempt, "Tracker": Tracker, "start_meters": lambda *_, **__: Sampler()}
    for name, fake in (fakes | {"draw": lambda *_: None}).items():
        monkeypatch.setattr(engine_module, name, fake)
    with Interrupts() as interrupts:
        code = CaseRunner(
            case=case,
            folder=folder,
            division=Division(name="closed"),
            console=Console(case, terminal=False, file=io.StringIO()),
            forked=False,
            interrupts=interrupts,
        ).run()
    let_go(folder)
    assert code == 130
    assert order == ["worker ended", "sampler given 1 s", "filed"]


def test_whoever_interrupts_is_told_how_to_go_on(tmp_path: Path) -> None:
    assert "give the same command again" in _how_to_go_on(tmp_path), "nothing was evaluated yet"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    assert "python -m runner … resume=true" in _how_to_go_on(tmp_path)


def test_a_signal_between_two_cases_ends_the_sweep_with_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ran: list[int] = []

    def run_case(case: Case, *_: object, **__: object) -> int:
        ran.append(case.seed)
        send(signal.SIGTERM)
        return 0

    monkeypatch.setattr(sweep, "run_case", run_case)
    monkeypatch.setattr(sweep, "_start_server", lambda cases: None)
    code = run(["-m", "seed=1,2,3", "vendor=cpu", "tracking=none", f"run.root={tmp_path}"])
    assert code == InterruptedRunError.exit_code and ran == [1]
    assert "Sweep: " in capfd.readouterr().out


def test_a_signal_before_anything_has_started_is_an_interruption(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runner.config.plan.plan", lambda *_: send(signal.SIGTERM))
    assert run(["model=bert", "vendor=cpu"]) == InterruptedRunError.exit_code
    assert capfd.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize("number", SIGNALS)
def test_before_and_between_runs_every_signal_is_a_sentence_and_the_same_code(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    monkeypatch.setattr(cli, "_run", lambda arguments: signal.raise_signal(number))
    assert cli.run([]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"
    assert signal.getsignal(number) == before
