"""The slowest rank by its own work, on steps written by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_folders import Folder, case

from runner.config.schema import Case, Parallel, Topology
from runner.core.events import EventWriter, Name
from runner.measure.step_records import StepsFile
from runner.record.report import Report
from runner.record.run_record import read_record
from runner.record.values import Missing, Values
from runner.results.build import build
from runner.results.parallel.ranks import FIGURES, ranks
from runner.results.repeats import combine
from runner.results.training import skipped

STEP_S = 1.0


def of(
    folder: Path, own: dict[int, list[float]], *, made: Case | None = None, told: dict[str, Any] | None = None
) -> tuple[Values, list[str]]:
    """Ranks that did so much by themselves in each step of a second, and waited for the rest of it."""
    run = Folder(folder, made or case(devices=len(own)))
    run.begin()
    if told is not None:
        run.tell(Name.COMMUNICATION, told)
    rows = [
        f"{rank},{step},{'warmup' if step == 0 else 'window'},{STEP_S},0.9,8,,1.0,{seconds},{STEP_S - seconds}"
        for rank, each in own.items()
        for step, seconds in enumerate(each)
    ]
    (folder / "steps.csv").write_text("\n".join([",".join(StepsFile.COLUMNS), *rows, ""]))
    return ranks(read_record(folder))


def test_the_slowest_rank_is_named_though_all_steps_took_equally_long(tmp_path: Path) -> None:
    """Medians 0.4, 0.4, 0.6 and 0.5; the lower middle one is 0.4. Waited: 0.55, 0.6, 0.4, 0.5 of a step. The first
    step is warm-up's."""
    own = {0: [9.0, 0.4, 0.4, 0.55], 1: [0.1, 0.4, 0.4, 0.4], 2: [0.1, 0.6, 0.6, 0.6], 3: [0.1, 0.5, 0.5, 0.5]}
    values, notes = of(tmp_path, own)
    assert values["ranks/slowest"] == 2
    assert values["ranks/slowest_to_median"] == pytest.approx(1.5)
    waited = (1 - 1.35 / 3, 0.6, 0.4, 0.5)
    assert values["communication/wait_fraction"] == pytest.approx(sum(waited) / 4)
    assert notes == [
        "Rank 2 (device 2) is the slowest: 1.50x the median rank's own work in a step. The others wait for it."
    ]


def test_of_two_ranks_the_slower_is_held_against_the_other(tmp_path: Path) -> None:
    assert of(tmp_path, {0: [0, 0.8], 1: [0, 0.4]})[0]["ranks/slowest_to_median"] == 2.0


def test_ranks_that_are_alike_are_no_news(tmp_path: Path) -> None:
    values, notes = of(tmp_path, {0: [0, 0.40], 1: [0, 0.42]})
    assert values["ranks/slowest"] == 1 and values["ranks/slowest_to_median"] == pytest.approx(1.05)
    assert notes == []


def test_a_rank_of_several_nodes_is_told_with_its_place(tmp_path: Path) -> None:
    topology = Topology(name="cluster", nodes=2, devices=2)
    _, notes = of(
        tmp_path, {0: [0, 0.4], 1: [0, 0.4], 2: [0, 0.4], 3: [0, 0.8]}, made=replace(case(), topology=topology)
    )
    assert notes[0].startswith("Rank 3 (node 1, device 1) is the slowest: 2.00x")


@pytest.mark.parametrize(
    ("topology", "told", "reason"),
    [
        (Topology(name="single", devices=1), None, "a single rank has none beside it"),
        (Topology(name="node", devices=2, parallel=Parallel(fsdp=2)), None, "(fsdp 2) wait for each other on the way"),
        (Topology(name="node", devices=2, parallel=Parallel(tensor=2)), None, "(tensor 2) wait for each other"),
        (
            Topology(name="node", devices=2),
            {"step": 3, "bytes": {"all_reduce": 8}, "calls": {"all_reduce": 4}, "calls_in_forward": 3},
            "inside the forward pass: it has 3 collectives",
        ),
    ],
    ids=["single", "fsdp", "tensor", "synchronised batch norm"],
)
def test_where_ranks_wait_for_each_other_on_the_way_none_is_named(
    tmp_path: Path, topology: Topology, told: dict[str, Any] | None, reason: str
) -> None:
    own = {rank: [0.0, 0.4 + rank] for rank in range(topology.ranks)}
    values, notes = of(tmp_path, own, made=replace(case(), topology=topology), told=told)
    for name in FIGURES:
        assert isinstance(values[name], Missing) and reason in values[name].reason, name
    assert notes == []


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["0,1,window,1.0,0.9,8,,1.0,0.4,0.6"], "steps.csv has no steps of rank 1"),
        (["0,1,window,,,8,,1.0,,", "1,1,window,,,8,,1.0,,"], "no device events"),
        (["0,1,window,1,1,8,,1.0,,", "1,1,window,1,1,8,,1.0,,"], "framework=pytorch does not mark where"),
        (["0,1,warmup,1,1,8,,1.0,0.4,0.6"], "no window was completed"),
    ],
)
def test_what_is_not_in_the_steps_has_a_reason(tmp_path: Path, rows: list[str], reason: str) -> None:
    run = Folder(tmp_path, case(devices=2))
    run.begin()
    (tmp_path / "steps.csv").write_text("\n".join([",".join(StepsFile.COLUMNS), *rows, ""]))
    value = ranks(read_record(tmp_path))[0]["ranks/slowest"]
    assert isinstance(value, Missing) and reason in value.reason


def report(folder: Path, own: dict[int, list[float]]) -> Report:
    of(folder, own)
    return build(folder)


def test_there_is_no_mean_of_two_ranks_names(tmp_path: Path) -> None:
    first, second = {0: [0, 0.8], 1: [0, 0.4]}, {0: [0, 0.4], 1: [0, 0.8]}
    reports = [report(tmp_path / str(number), own) for number, own in enumerate((first, second, second))]
    figure = combine(reports[0], reports).figures["ranks/slowest"]
    assert figure.value is None and figure.reason == "the repeats do not name the same one: 0, 1, 1"
    joined = combine(reports[1], reports[1:]).figures
    assert joined["ranks/slowest"].value == 1 and joined["ranks/slowest"].interval is None
    assert joined["ranks/slowest_to_median"].value == 2.0


@pytest.mark.parametrize(("parallel", "skipped_examples"), [(Parallel(), 10.0), (Parallel(tensor=2), 5.0)])
def test_an_example_that_a_tensor_group_left_out_is_one(
    tmp_path: Path, parallel: Parallel, skipped_examples: float
) -> None:
    made = replace(case(), topology=Topology(name="node", devices=2, parallel=parallel))
    run = Folder(tmp_path, replace(made, data=replace(made.data, on_error="skip")))
    for rank in (0, 1):
        writer = EventWriter(tmp_path / "events" / f"rank{rank}.log", rank=rank)
        writer.emit(Name.SKIPPED, {"train": 5, "evaluation": 0})
    run.begin()
    assert skipped(read_record(tmp_path))["data/skipped_train_examples"] == skipped_examples
