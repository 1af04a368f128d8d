"""Scaling efficiency against the newest good run of the same case on one device, copied when the run begins."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_folders import A100, Folder, case
from toy import changed

from runner.config.schema import Case, Parallel, RunOptions, Topology
from runner.core.events import EventWriter, Name
from runner.record.run_record import read_record
from runner.record.values import Missing, Value
from runner.results.parallel.one_device import COPY, take_along
from runner.results.parallel.scaling import FIGURE, scaling

ONE, TWO = Topology(name="single", devices=1), Topology(name="node", devices=2)
HOST = {"host": {"cpu": "a processor"}, "threads_per_rank": 4, "packages": {"torch": "2.15.0"}}


def on(topology: Topology, root: Path, **changes: Any) -> Case:
    return replace(case(), topology=topology, run=RunOptions(root=str(root)), **changes)


def alone(
    root: Path,
    name: str,
    speed: float,
    *,
    after_s: float = 0.0,
    chip: str = A100,
    code: int = 0,
    steady: bool = True,
    environment: dict[str, Any] | None = None,
    topology: Topology = ONE,
    **changes: Any,
) -> None:
    """A run of ten seconds on one device, filed under the root."""
    folder = Folder(root / "2026-11-26" / name, on(topology, root, **changes))
    folder.clock_s += after_s
    folder.tell(Name.LAUNCH_TRAINING)
    folder.tell(Name.ENVIRONMENT, {"devices": [{"index": 0, "name": chip}], **HOST, **(environment or {})})
    folder.tell(Name.TRAIN_START, {"step": 0, "samples": 0}, after_s=10)
    folder.tell(Name.WARMUP_END, {"steady": steady, "steps": 10, "seconds": 5.0, "reason": "x"})
    folder.segment(0, samples=round(speed * 10), seconds=10.0, core_s=8.0)
    report = folder.end(samples=round(speed * 10), training_s=20.0, evaluate_s=0.0, core_s=8.0, code=code)
    report.save(folder.path / "report.json")


def several(root: Path, name: str = "several", *, names: tuple[str, ...] = (A100, A100), **changes: Any) -> Path:
    """The folder of a run on two devices that begins now."""
    changes = {"topology": TWO, **changes}
    topology = changes.pop("topology")
    made = on(topology, root, **changes)
    folder = Folder(root / "2026-11-26" / name, made)
    take_along(made, folder.path)
    folder.tell(Name.ENVIRONMENT, {"devices": [{"index": i, "name": each} for i, each in enumerate(names)], **HOST})
    return folder.path


def efficiency(folder: Path, speed: Value = 300.0) -> tuple[Value, list[str]]:
    values, notes = scaling(read_record(folder), speed)
    return values[FIGURE], notes


def reason(value: Value) -> str:
    assert isinstance(value, Missing), value
    return value.reason


def test_speed_over_twice_the_speed_of_one(tmp_path: Path) -> None:
    alone(tmp_path, "one", 200.0)
    assert efficiency(several(tmp_path)) == (0.75, [])


def test_the_newest_good_run_counts(tmp_path: Path) -> None:
    alone(tmp_path, "old", 100.0)
    alone(tmp_path, "newer", 200.0, after_s=50)
    alone(tmp_path, "failed", 400.0, after_s=100, code=7)
    assert efficiency(several(tmp_path))[0] == 0.75


def test_the_report_follows_from_its_folder_alone(tmp_path: Path) -> None:
    alone(tmp_path, "one", 200.0)
    folder = several(tmp_path)
    alone(tmp_path, "later", 100.0, after_s=100)
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    assert efficiency(moved)[0] == 0.75


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 7},
        {"scale": "tiny"},
        {"model": changed(case().model, batch_size=16)},
        {"model": changed(case().model, architecture={"width": 8})},
        {"precision": replace(case().precision, name="fp16", autocast="float16")},
        {"topology": TWO},
        {"emulate": True},
    ],
    ids=["seed", "scale", "batch", "architecture", "precision", "two devices", "emulated"],
)
def test_another_case_is_no_reference(tmp_path: Path, changes: dict[str, Any]) -> None:
    alone(tmp_path, "one", 200.0, **changes)
    assert "no 1-device run of this case under run.root" in reason(efficiency(several(tmp_path))[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"vendor": replace(case().vendor, communication_backend="another")},
        {"measure": replace(case().measure, repeats=1)},
        {"topology": Topology(name="node", devices=1)},
    ],
    ids=["communication", "repeats", "a node of one device"],
)
def test_what_one_device_does_not_do_makes_no_other_case(tmp_path: Path, changes: dict[str, Any]) -> None:
    alone(tmp_path, "one", 200.0, **changes)
    folder = several(tmp_path, measure=replace(case().measure, repeats=3))
    assert efficiency(folder)[0] == 0.75


def test_a_run_of_another_chip_is_no_reference_and_one_of_the_same_is_found_behind_it(tmp_path: Path) -> None:
    alone(tmp_path, "other", 400.0, chip="NVIDIA T4", after_s=50)
    assert "of another chip: NVIDIA T4, not NVIDIA A100" in reason(efficiency(several(tmp_path, "first"))[0])
    alone(tmp_path, "same", 200.0)
    assert efficiency(several(tmp_path, "second"))[0] == 0.75


def test_devices_of_different_kinds_have_no_one_device(tmp_path: Path) -> None:
    alone(tmp_path, "one", 200.0)
    assert "of different kinds" in reason(efficiency(several(tmp_path, names=(A100, "NVIDIA T4")))[0])


@pytest.mark.parametrize(
    ("chip", "found"), [(A100, 0.75), ("NVIDIA T4", "of different kinds"), (None, "the device is not known")]
)
def test_the_devices_of_every_node_count(tmp_path: Path, chip: str | None, found: float | str) -> None:
    alone(tmp_path, "one", 200.0)
    folder = several(tmp_path, names=(A100,), topology=Topology(name="cluster", nodes=2, devices=1))
    devices = [] if chip is None else [{"index": 0, "name": chip}]
    EventWriter(folder / "events" / "rank1.log", rank=1).emit(Name.ENVIRONMENT, {"devices": devices, **HOST})
    value = efficiency(folder)[0]
    assert value == found if isinstance(found, float) else found in reason(value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"topology": ONE}, "a single rank has none beside it"),
        ({"emulate": True}, "emulated ranks share one processor"),
        ({"topology": Topology(name="node", devices=2, parallel=Parallel(tensor=2))}, "ranks share a batch (tensor 2)"),
    ],
)
def test_what_is_no_weak_scaling_is_null(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    alone(tmp_path, "one", 200.0, **({"emulate": True} if "emulate" in changes else {}))
    assert told in reason(efficiency(several(tmp_path, **changes))[0])


def test_sharded_weights_scale_as_data_parallel_does(tmp_path: Path) -> None:
    alone(tmp_path, "one", 200.0)
    fsdp = Topology(name="node", devices=2, parallel=Parallel(fsdp=2))
    assert efficiency(several(tmp_path, topology=fsdp))[0] == 0.75


def test_what_is_unlike_is_said(tmp_path: Path) -> None:
    other = {"host": {"cpu": "another"}, "packages": {"torch": "2.14.0"}, "threads_per_rank": 8}
    alone(tmp_path, "one", 200.0, environment=other, steady=False)
    value, (note,) = efficiency(several(tmp_path))
    assert value == 0.75
    for told in ("processor another, here a processor", "threads per rank 8, here 4", "torch 2.14.0, here 2.15.0"):
        assert told in note
    assert "its speed was not steady" in note and "2026-11-26/one" in note


def test_a_job_without_a_throughput_has_no_efficiency(tmp_path: Path) -> None:
    alone(tmp_path, "one", 200.0)
    assert reason(efficiency(several(tmp_path), Missing("no window was completed"))[0]) == "no window was completed"


def test_a_changed_report_is_no_reference(tmp_path: Path) -> None:
    alone(tmp_path, "one", 200.0)
    path = tmp_path / "2026-11-26/one/report.json"
    path.write_text(path.read_text().replace("200.0", "20.0"))
    assert "no 1-device run" in reason(efficiency(several(tmp_path))[0])


def test_an_empty_root_and_a_damaged_folder_are_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "2026-11-26/broken").mkdir(parents=True)
    (tmp_path / "2026-11-26/broken/report.json").write_text("{")
    folder = several(tmp_path)
    assert json.loads((folder / COPY).read_text()) == {"runs": []}
    began = time.monotonic()
    take_along(on(TWO, tmp_path / "nowhere"), folder)
    assert time.monotonic() - began < 5
