"""The search for a batch size: with runs that are made up, and as a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_samples import failed, report

from runner.record.report import Report
from runner.tuning import command, run
from runner.tuning.chart import throughput_by_batch
from runner.tuning.command import main
from runner.tuning.trials import FILE, Found, Trial, search


def found(low: int = 1, high: int = 512) -> Found:
    return Found(
        key="model.train.batch_size",
        figure="throughput/steady",
        unit="images/s",
        low=low,
        high=high,
        memory_limit_gib=None,
    )


def chip(batch_size: int) -> Trial:
    """A chip with room for 100 rows that is fastest at 64."""
    if batch_size > 100:
        return Trial(batch_size=batch_size, state="out of memory", reason="no room", exit_code=6)
    return Trial(batch_size=batch_size, state="done", value=1000.0 - abs(batch_size - 64))


def test_the_case_s_own_size_is_first_and_nothing_runs_twice_or_above_what_did_not_fit(tmp_path: Path) -> None:
    one = found()
    search(one, chip, tmp_path, trials=12, first=32, seed=1)
    sizes = [trial.batch_size for trial in one.trials]
    assert sizes[0] == 32 and len(sizes) == len(set(sizes)) <= 12
    for place, size in enumerate(sizes):
        too_large = [trial.batch_size for trial in one.trials[:place] if trial.state == "out of memory"]
        assert size < min(too_large, default=10**9)
    best = max((trial for trial in one.trials if trial.value), key=lambda trial: trial.value or 0)
    assert one.best == best.batch_size and abs(best.batch_size - 64) <= 16
    assert json.loads((tmp_path / FILE).read_text())["best"] == one.best


def test_a_small_range_ends_when_all_of_it_ran(tmp_path: Path) -> None:
    one = found(2, 4)
    search(one, chip, tmp_path, trials=50, first=999, seed=1)
    assert sorted(trial.batch_size for trial in one.trials) == [2, 3, 4] and one.best == 4


def test_failures_are_trials_and_nothing_is_found(tmp_path: Path) -> None:
    one = found()
    broken = Trial(batch_size=1, state="failed", reason="x", exit_code=10)
    search(one, lambda size: Trial(**{**_values(broken), "batch_size": size}), tmp_path, trials=3, first=8, seed=1)
    assert len(one.trials) == 3 and one.best is None and throughput_by_batch(one, "Throughput") is None


def _values(trial: Trial) -> dict[str, object]:
    return {name: getattr(trial, name) for name in ("batch_size", "state", "reason", "exit_code")}


def test_an_interrupted_trial_ends_the_search(tmp_path: Path) -> None:
    one = found()
    search(
        one,
        lambda size: Trial(batch_size=size, state="interrupted", exit_code=130),
        tmp_path,
        trials=9,
        first=8,
        seed=1,
    )
    assert len(one.trials) == 1


def test_what_is_nearly_as_good_and_smaller_is_named() -> None:
    one = found()
    for size, value in ((8, 100.0), (16, 195.0), (32, 197.0), (64, 199.0), (128, 199.0)):
        one.trials.append(Trial(batch_size=size, state="done", value=value))
    best, near = one.best_trial(), one.smallest_near()
    assert best is not None and best.batch_size == 64
    assert near is not None and near.batch_size == 32  # 195 is 97.99 %


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--batch", "8"], 2, "write two numbers"),
        (["--batch", "9..3"], 2, "write two numbers"),
        (["--batch", "0..3"], 2, "write two numbers"),
        (["--trials", "0"], 2, "must be at least 1"),
        (["task=inspect"], 2, "has no batch size"),
        (["tuning.auto_batch=true", "tuning.memory_limit_gib=1"], 2, "another search"),
        (["--figure", "step/p50_ms"], 2, "choose one of"),
        (["model=nothing"], 2, "nothing"),
    ],
)
def test_bad_input(arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vendor=cpu", *arguments]) == code
    assert said in capsys.readouterr().err


def test_without_optuna_the_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert main(["vendor=cpu"]) == 4 and "optuna" in capsys.readouterr().err


def test_the_command_runs_each_trial_in_a_folder_and_says_what_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[int, object]] = []

    def run_case(case, folder, changes, *, placed, **_: object) -> int:  # type: ignore[no-untyped-def]
        batch_size = case.model.training.batch_size
        seen.append((batch_size, [(one["key"], one["value"]) for one in changes.changed]))
        made: Report = report(
            values={"throughput/steady": 100.0 + batch_size, "memory/host_peak_rss_gib": batch_size / 10}
        )
        made = failed(message="no room") if batch_size == 2 else made
        folder.mkdir(parents=True)
        made.save(folder / "report.json")
        placed(folder, False)
        return made.exit_code

    monkeypatch.setattr(run, "run_case", run_case)
    monkeypatch.setattr(command, "start_server", lambda: None)
    words = ["vendor=cpu", "scale=tiny", "tracking=none", f"run.root={tmp_path}", "tuning.memory_limit_gib=0.65"]
    assert main([*words, "--batch", "2..8", "--trials", "7"]) == 0
    (file,) = tmp_path.glob("*/*/tune.json")
    made = json.loads(file.read_text())
    states = {trial["batch_size"]: trial["state"] for trial in made["trials"]}
    assert states[2] == "failed" and all(states[size] == "out of memory" for size in states if size > 6)
    assert made["best"] == 6 and states[6] == "done"
    shown = capsys.readouterr().out
    assert "model.train.batch_size=6" in shown and "throughput_by_batch.png" in shown
    assert all((size, [("model.train.batch_size", size)]) in seen for size in states)
    assert (file.parent / "throughput_by_batch.svg").is_file()
