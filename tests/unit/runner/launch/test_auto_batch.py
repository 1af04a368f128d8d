"""`tuning.auto_batch`: the largest batch size that fits, and what is left of the attempts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from case_samples import make_case
from hydra import compose
from report_samples import report

from runner.config.compose import to_case
from runner.config.division import Division
from runner.config.schema import Case, TuningOptions
from runner.core.errors import (
    ConfigurationError,
    DataMissingError,
    InterruptedRunError,
    OutOfMemoryError,
    TimedOutError,
    TouchstoneError,
    WorkerCrashedError,
)
from runner.launch.auto_batch import check_auto_batch, find_batch, found_earlier
from runner.launch.batch_case import with_batch, with_change
from runner.launch.batch_search import largest_that_fits


class Memory:
    """Holds so many rows, and remembers what it was asked for."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.tried: list[int] = []

    def __call__(self, batch_size: int) -> bool:
        self.tried.append(batch_size)
        return batch_size <= self.rows


@pytest.mark.parametrize(
    ("rows", "start", "options", "found", "tried"),
    [
        (40, 8, {}, 40, [8, 16, 32, 64, 48, 40, 44, 42, 41]),
        (40, 64, {}, 40, [64, 32, 48, 40, 44, 42, 41]),
        (1, 8, {}, 1, [8, 4, 2, 1]),
        (0, 4, {}, None, [4, 2, 1]),
        (10**9, 8, {"largest": 20}, 20, [8, 16, 20]),
        (10**9, 100, {"largest": 20}, 20, [20]),
        (45, 8, {"multiple": 8}, 40, [8, 16, 32, 64, 48, 40]),
        (7, 12, {"multiple": 8}, None, [8]),
        (10, 5, {"multiple": 8, "largest": 4}, None, []),
    ],
)
def test_doubling_then_bisection(
    rows: int, start: int, options: dict[str, int], found: int | None, tried: list[int]
) -> None:
    memory = Memory(rows)
    assert largest_that_fits(start, memory, **options) == found
    assert memory.tried == tried


@pytest.mark.parametrize("rows", range(1, 70))
def test_whatever_fits_is_found_and_no_size_is_tried_twice(rows: int) -> None:
    memory = Memory(rows)
    assert largest_that_fits(6, memory, largest=64) == min(rows, 64)
    assert len(set(memory.tried)) == len(memory.tried)


def test_what_was_found_is_a_vendors_change() -> None:
    case = make_case()
    before = case.model.training.batch_size
    found = with_batch(case, before * 2)
    made = with_change(Division(name="closed"), case, found)
    change = {"key": "model.train.batch_size", "reference": before, "value": before * 2, "allowed": True}
    assert made == Division(name="closed", changed=[change])


def test_what_the_case_had_changed_itself_keeps_its_reference() -> None:
    case = make_case()
    own = {"key": "model.train.batch_size", "reference": 3, "value": case.model.training.batch_size, "allowed": True}
    other = {"key": "data.workers", "reference": 0, "value": 2, "allowed": True}
    changes = Division(name="closed", changed=[other, own])
    assert with_change(changes, case, with_batch(case, 7)).changed == [other, own | {"value": 7}]
    assert with_change(changes, case, with_batch(case, 3)).changed == [other]


class Machine:
    """Runs attempts that are made up: each takes `gib_per_row` of memory, and `ends` says how a size ends otherwise."""

    def __init__(self, gib_per_row: float, ends: dict[int, TouchstoneError] | None = None) -> None:
        self.gib_per_row, self.ends = gib_per_row, ends or {}
        self.ran: list[Case] = []

    def __call__(self, case: Case, folder: Path) -> TouchstoneError | None:
        self.ran.append(case)
        size = case.model.training.batch_size
        made = report(values={"memory/host_peak_rss_gib": size * self.gib_per_row})
        folder.mkdir(parents=True)
        made.save(folder / "report.json")
        return self.ends.get(size)


def searched(tmp_path: Path, machine: Machine, **tuning: Any) -> tuple[int, dict[str, Any]]:
    base = make_case(vendor={"on_host": True})
    options = TuningOptions(auto_batch=True, **tuning)
    found = find_batch(replace(base, tuning=options), tmp_path, machine, lambda text: None)
    return found, json.loads((tmp_path / "auto_batch.json").read_text())


def test_the_limit_decides_by_what_each_attempt_took(tmp_path: Path) -> None:
    machine = Machine(0.1)
    found, file = searched(tmp_path, machine, memory_limit_gib=2.05)
    assert found == file["found"] == 20 and file["limit_gib"] == 2.05
    refused = [one for one in file["attempts"] if not one["fits"]]
    assert refused and all(one["batch_size"] > 20 and "GiB" in one["reason"] for one in refused)
    assert all(one["peak_gib"] == pytest.approx(one["batch_size"] * 0.1) for one in file["attempts"])
    assert all((tmp_path / one["folder"] / "report.json").is_file() for one in file["attempts"])
    assert all(case.tracking.name == "none" and case.measure.window.min_steps == 3 for case in machine.ran)


def test_out_of_memory_a_kill_and_a_timeout_are_attempts_that_do_not_fit(tmp_path: Path) -> None:
    ends: dict[int, TouchstoneError] = dict.fromkeys(range(1, 200), OutOfMemoryError("no room"))
    for size in range(1, 12):
        del ends[size]
    ends[13] = WorkerCrashedError("The worker was killed by SIGKILL. If nobody did that, …")
    ends[12] = TimedOutError("too long")
    found, file = searched(tmp_path, Machine(0.1, ends), memory_limit_gib=100.0)
    assert found == 11
    assert {one["exit_code"] for one in file["attempts"] if not one["fits"]} <= {6, 9, 10}


def test_another_failure_before_anything_ran_ends_the_search_with_it(tmp_path: Path) -> None:
    ends: dict[int, TouchstoneError] = dict.fromkeys(range(1, 200), DataMissingError("no data"))
    with pytest.raises(DataMissingError):
        searched(tmp_path, Machine(0.1, ends), memory_limit_gib=100.0)
    assert json.loads((tmp_path / "auto_batch.json").read_text())["found"] is None


def test_an_interruption_ends_it_at_once(tmp_path: Path) -> None:
    first = make_case().model.training.batch_size
    with pytest.raises(InterruptedRunError):
        searched(tmp_path, Machine(0.001, {2 * first: InterruptedRunError("x")}), memory_limit_gib=100.0)


def test_where_nothing_fits_it_is_out_of_memory(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemoryError, match="not even"):
        searched(tmp_path, Machine(5.0), memory_limit_gib=2.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tuning.memory_limit_gib=1", "task=converge"], "tuning.allow_converge=true"),
        (["task=train"], "needs tuning.memory_limit_gib"),
        (["task=inspect"], "task=inspect has none"),
        (["tuning.memory_limit_gib=1", "tuning.largest_batch=4", "tuning.batch_multiple=8"], "no multiple of"),
    ],
)
def test_what_cannot_be_searched_is_refused(hydra: None, words: list[str], said: str) -> None:
    config = compose("config", overrides=["model=bert", "vendor=cpu", "tuning.auto_batch=true", *words])
    with pytest.raises(ConfigurationError, match=said):
        check_auto_batch(to_case(config))


def test_searched_for_or_not_a_case_is_the_same(hydra: None) -> None:
    plain = to_case(compose("config", overrides=["model=bert", "vendor=cpu"]))
    assert replace(plain, tuning=TuningOptions(auto_batch=True)).identity == plain.identity


def test_an_earlier_search_is_found_again(tmp_path: Path) -> None:
    case = replace(make_case(), tuning=TuningOptions(auto_batch=True, memory_limit_gib=2.0))
    folder = tmp_path / "day" / "run"
    (folder / "events").mkdir(parents=True)
    with_batch(case, 77).save(folder / "run.yaml")
    (folder / "auto_batch.json").write_text('{"found": 77}')
    assert found_earlier(case, tmp_path) == with_batch(case, 77)
    assert found_earlier(replace(case, tuning=TuningOptions(auto_batch=True, memory_limit_gib=3.0)), tmp_path) is None
    assert found_earlier(replace(case, seed=5), tmp_path) is None
    (folder / "auto_batch.json").write_text('{"found": null}')
    assert found_earlier(case, tmp_path) is None
