"""Only the devices of the case's ranks reach meters and result: the node's others had no part in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from report_folders import NVIDIA
from report_folders import case as report_case

from hardware.base import DeviceIdentity
from hardware.vendors.nvidia import Nvidia
from runner.config.schema import Case
from runner.core.events import EventWriter, Name, read_events
from runner.peaks import worker as peaks_worker
from runner.peaks.plan import Plan
from runner.worker import main as worker

H100 = "NVIDIA H100 80GB HBM3"
LOST = 2
"""A visible GPU that fell off the bus: whoever asks for it gets an error."""
VISIBLE = 8


def uuid_of(index: int) -> str:
    return f"0000000{index}-1111-2222-3333-444444444444"


def answer(index: int, value: Any) -> Any:
    if index == LOST:
        raise RuntimeError("CUDA error: GPU is lost")
    return value


class Gpus(Nvidia):
    """Eight visible H100, of which one is lost; connected without a driver."""

    def connect(self) -> None:
        pass

    def set_matmul(self, mode: str) -> None:
        pass

    def seed(self, seed: int) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def versions(self) -> dict[str, str]:
        return {}


class Sampler:
    """A sampler that notes what it is asked to measure."""

    def __init__(self) -> None:
        self.measured: list[DeviceIdentity] = []

    def watch(self, pid: int) -> None:
        pass

    def devices(self, identities: list[DeviceIdentity]) -> dict[str, str | None]:
        self.measured += identities
        return {"nvml": "no driver"}

    def mark(self, name: str) -> float:
        return 0.0


@pytest.fixture
def sampler(monkeypatch: pytest.MonkeyPatch) -> Sampler:
    for name in ("CUDA_VISIBLE_DEVICES", "LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    made = Sampler()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: VISIBLE)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: answer(index, H100))
    told = {"total_memory": 85_000_000_000, "pci_domain_id": 0, "pci_device_id": 0}
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda index: answer(index, SimpleNamespace(uuid=uuid_of(index), pci_bus_id=16 + index, **told)),
    )
    for module in (worker, peaks_worker):
        monkeypatch.setattr(module, "load_device", lambda spec, emulate=False, runtime=None: Gpus(spec))
        monkeypatch.setattr(module, "SamplerClient", SimpleNamespace(from_environment=lambda: made))
    return made


def run_of(tmp_path: Path, devices: int) -> Case:
    made = report_case(devices=devices, vendor=NVIDIA)
    return replace(made, run=replace(made.run, root=str(tmp_path)))


@pytest.mark.parametrize("devices", [1, 2])
def test_only_the_ranks_own_devices_are_measured_and_told(tmp_path: Path, sampler: Sampler, devices: int) -> None:
    events = EventWriter(tmp_path / "rank0.log", rank=0)
    worker._connect(run_of(tmp_path, devices), tmp_path, 0, events)
    own = [f"GPU-{uuid_of(index)}" for index in range(devices)]
    assert [one.uuid for one in sampler.measured] == own
    (told,) = [event.value for event in read_events(tmp_path / "rank0.log")[0] if event.name == Name.ENVIRONMENT]
    assert [one["uuid"] for one in told["devices"]] == own
    assert [one["memory_bytes"] for one in told["devices"]] == [85_000_000_000] * devices


def test_measured_peaks_are_of_the_ranks_own_devices(tmp_path: Path, sampler: Sampler) -> None:
    events = EventWriter(tmp_path / "rank0.log", rank=0)
    peaks_worker._connect(Plan(case=run_of(tmp_path, 1), seconds=1.0, precisions={}), events)
    (told,) = [event.value for event in read_events(tmp_path / "rank0.log")[0] if event.name == Name.ENVIRONMENT]
    assert [one.uuid for one in sampler.measured] == [f"GPU-{uuid_of(0)}"] == [one["uuid"] for one in told["devices"]]


def test_what_an_idle_neighbour_cannot_do_is_not_held_against_the_case(
    sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A V100 beside the H100 that the case uses: TF32 is refused only to whom the V100 belongs."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0) if index == 0 else (7, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: (H100, "Tesla V100-SXM2-16GB")[index])
    device = Gpus(NVIDIA)
    device.require_tf32()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="V100"):
        device.require_tf32()
