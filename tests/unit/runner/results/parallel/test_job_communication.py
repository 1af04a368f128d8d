"""Figures of what ranks send each other, from the event of a profiled step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_folders import Folder, case

from runner.config.schema import Parallel, Topology
from runner.core.events import Name
from runner.record.names import FIGURES
from runner.record.run_record import read_record
from runner.record.values import Missing, Values
from runner.results.parallel.communication import KINDS, NAMES, communication


def of(folder: Path, told: dict[str, Any] | None, *, topology: Topology | None = None) -> Values:
    run = Folder(folder, replace(case(devices=4), topology=topology or Topology(name="node", devices=4)))
    if told is not None:
        run.tell(Name.COMMUNICATION, told)
    return communication(read_record(folder))


def test_bytes_by_kind_and_on_a_ring(tmp_path: Path) -> None:
    """Of four ranks: 2 x 3/4 x 800 + 3/4 x 400 + 3/4 x 200 + 10."""
    sent = {"all_reduce": 800, "all_gather": 400, "reduce_scatter": 200, "broadcast": 10}
    values = of(tmp_path, {"step": 3, "bytes": sent, "calls": dict.fromkeys(sent, 1), "calls_in_forward": 0})
    assert values["communication/bytes_per_step"] == 1410
    assert {kind: values[f"communication/{kind}_bytes_per_step"] for kind in KINDS} == dict.fromkeys(KINDS, 0.0) | sent
    assert values["communication/ring_bytes_per_step"] == 1200 + 300 + 150 + 10


def test_groups_of_several_sizes_have_no_ring(tmp_path: Path) -> None:
    topology = Topology(name="node", devices=4, parallel=Parallel(fsdp=2))
    values = of(
        tmp_path, {"step": 3, "bytes": {"all_gather": 8}, "calls": {}, "calls_in_forward": 1}, topology=topology
    )
    ring = values["communication/ring_bytes_per_step"]
    assert isinstance(ring, Missing) and "fsdp 2" in ring.reason
    assert values["communication/bytes_per_step"] == 8


@pytest.mark.parametrize(
    ("told", "devices", "reason"),
    [
        (None, 1, "a single rank has none beside it"),
        (None, 4, "no step of warm-up was profiled"),
        ({"reason": "torch's profiler failed: x"}, 4, "torch's profiler failed: x"),
        ({"step": 3, "bytes": {}, "calls": {}, "calls_in_forward": 0}, 4, "shows no collective of torch.distributed"),
    ],
)
def test_what_was_not_counted_is_null_and_never_nothing(
    tmp_path: Path, told: dict[str, Any] | None, devices: int, reason: str
) -> None:
    values = of(tmp_path, told, topology=Topology(name="node", devices=devices))
    for name in NAMES:
        assert isinstance(values[name], Missing) and reason in values[name].reason, name


def test_every_figure_is_declared() -> None:
    declared = {name for name in FIGURES if name.startswith("communication/")}
    assert declared == {*NAMES, "communication/wait_fraction"}
