"""Devices through TensorFlow, over a fake of it; a delayed operator of the real one, in a process of its own."""

from __future__ import annotations

import sys
import threading
from contextlib import nullcontext
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from hardware_specs import vendor
from tensorflow_results import checked

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.runtimes import cluster
from hardware.runtimes import tensorflow as runtime
from hardware.runtimes.tensorflow import TensorflowDevice
from hardware.vendors.cpu import Cpu
from hardware.vendors.nvidia import Nvidia

DEVICE = "hardware.runtimes.tensorflow"


class FakeTensorflow(ModuleType):
    """Two GPUs and a host; notes what it is told."""

    __version__ = "2.99"

    def __init__(self, gpus: int = 2) -> None:
        super().__init__("tensorflow")
        self.told: dict[str, Any] = {"visible": [], "growth": []}
        self.devices = {"GPU": [f"gpu{number}" for number in range(gpus)], "CPU": ["cpu0"]}
        told = self.told
        self.config = SimpleNamespace(
            list_physical_devices=lambda kind: self.devices.get(kind, []),
            set_visible_devices=lambda own, kind: told["visible"].append((kind, own)),
            threading=SimpleNamespace(
                set_intra_op_parallelism_threads=lambda count: told.update(intra=count),
                set_inter_op_parallelism_threads=lambda count: told.update(inter=count),
            ),
            experimental=SimpleNamespace(
                set_memory_growth=lambda device, value: told["growth"].append((device, value)),
                enable_tensor_float_32_execution=lambda value: told.update(tf32=value),
                get_memory_info=self.memory_info,
                reset_memory_stats=lambda name: told.update(reset=name),
                get_device_details=lambda device: {"device_name": f"Chip of {device}"},
            ),
        )
        self.device = lambda name: nullcontext(told.update(device=name))
        self.raw_ops = SimpleNamespace(SyncDevice=lambda: told.update(synced=told["device"]))
        self.random = SimpleNamespace(set_seed=lambda seed: told.update(seed=seed))

    def memory_info(self, name: str) -> dict[str, int]:
        if self.told.get("no memory"):
            raise ValueError("No matching devices found")
        return {"current": 1, "peak": 7 if name == "GPU:0" else 0}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTensorflow:
    found = FakeTensorflow()
    monkeypatch.setitem(sys.modules, "tensorflow", found)
    monkeypatch.setitem(sys.modules, "keras", ModuleType("keras"))
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    return found


def gpu() -> TensorflowDevice:
    return TensorflowDevice(Nvidia(vendor("nvidia")), on_host=False)


def host() -> TensorflowDevice:
    return TensorflowDevice(Cpu(vendor("cpu")), on_host=True)


class TestStart:
    def test_a_rank_sees_its_own_gpu_alone(self, fake: FakeTensorflow, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOCAL_RANK", "1")
        device = gpu()
        device.start()
        assert fake.told["visible"] == [("GPU", ["gpu1"])]
        assert fake.told["growth"] == [("gpu1", True)]
        assert (device.own(), device.visible(), device.strategy) == ("/device:GPU:0", 2, None)

    def test_on_the_host_no_gpu_is_seen(self, fake: FakeTensorflow) -> None:
        device = host()
        device.start()
        assert fake.told["visible"] == [("GPU", [])]
        assert fake.told["growth"] == []
        assert device.own() == "/device:CPU:0"

    def test_it_computes_on_as_many_threads_as_torch(self, fake: FakeTensorflow, monkeypatch: Any) -> None:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
        device = host()
        device.start()
        assert (fake.told["intra"], fake.told["inter"]) == (3, 1)
        assert device.versions()["threads of an operation"] == "3"
        assert device.versions()["tensorflow"] == "2.99"

    def test_several_ranks_get_a_strategy_over_the_agreed_addresses(
        self, fake: FakeTensorflow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setattr(runtime, "agreed_addresses", lambda name, rank, world: ["a:1", "b:2"])
        fake.train = SimpleNamespace(ClusterSpec=lambda spec: spec)
        fake.distribute = SimpleNamespace(
            cluster_resolver=SimpleNamespace(SimpleClusterResolver=lambda spec, **options: (spec, options)),
            MultiWorkerMirroredStrategy=lambda cluster_resolver: cluster_resolver,
        )
        device = gpu()
        device.start()
        spec, options = device.strategy
        assert spec == {"worker": ["a:1", "b:2"]}
        assert (options["task_type"], options["task_id"], options["num_accelerators"]) == ("worker", 1, {"GPU": 1})

    def test_keras_is_told_its_backend(self, fake: FakeTensorflow, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KERAS_BACKEND", "jax")
        monkeypatch.setattr(runtime, "find_spec", lambda name: None)
        monkeypatch.setattr(TensorflowDevice, "unavailable_reason", lambda self: "nothing is here")
        with pytest.raises(HardwareUnavailableError, match="nothing is here"):
            host().connect()
        assert runtime.os.environ["KERAS_BACKEND"] == "tensorflow"

    def test_triton_is_imported_first(self, fake: FakeTensorflow, monkeypatch: pytest.MonkeyPatch) -> None:
        imported: list[str] = []
        monkeypatch.setenv("KERAS_BACKEND", "")
        monkeypatch.setattr(runtime, "find_spec", lambda name: object())
        monkeypatch.setattr(runtime, "import_module", imported.append)
        monkeypatch.setattr(runtime.RuntimeDevice, "connect", lambda self: imported.append("tensorflow"))
        host().connect()
        assert imported == ["triton._C.libtriton", "tensorflow"]


class TestPrecision:
    @pytest.mark.parametrize(("mode", "expected"), [("ieee", False), ("tf32", True)])
    def test_tf32_is_switched(self, fake: FakeTensorflow, mode: str, expected: bool) -> None:
        gpu().set_matmul(mode)
        assert fake.told["tf32"] is expected

    def test_the_host_has_no_tf32(self, fake: FakeTensorflow) -> None:
        with pytest.raises(PrecisionUnsupportedError, match="has no TF32"):
            host().set_matmul("tf32")
        assert "tf32" not in fake.told

    def test_other_modes_are_refused(self, fake: FakeTensorflow) -> None:
        with pytest.raises(PrecisionUnsupportedError, match="not as 'fast'"):
            gpu().set_matmul("fast")


class TestMemory:
    def test_the_allocators_peak_and_its_reset(self, fake: FakeTensorflow) -> None:
        device = gpu()
        device.reset_memory_peaks()
        peaks = device.memory_peaks()
        assert (fake.told["reset"], peaks.allocated_bytes, peaks.reserved_bytes) == ("GPU:0", 7, None)

    def test_what_is_not_told_is_none_with_the_reason(self, fake: FakeTensorflow) -> None:
        fake.told["no memory"] = True
        peaks = gpu().memory_peaks()
        assert peaks.allocated_bytes is None
        assert "No matching devices found" in str(peaks.reason)

    def test_the_host_keeps_none(self, fake: FakeTensorflow) -> None:
        device = host()
        device.reset_memory_peaks()
        assert "reset" not in fake.told
        assert device.memory_peaks().allocated_bytes is None


class LateResult:
    """A result of a device; it is there when it is released."""

    def __init__(self) -> None:
        self.asked, self.there = threading.Event(), threading.Event()

    def numpy(self) -> float:
        self.asked.set()
        assert self.there.wait(10)
        return 1.0


class TestWaiting:
    def test_every_result_is_asked_for_when_it_is_submitted(self, fake: FakeTensorflow) -> None:
        device, results = gpu(), [LateResult(), LateResult()]
        marks = []
        for result in results:
            device.submitted(result)
            marks.append(device.event())
            marks[-1].record()
        assert all(result.asked.wait(10) for result in results), "the second copy began before the first was there"
        assert [mark.at_s for mark in marks] == [None, None]
        results[1].there.set()
        results[0].there.set()
        device.synchronize()
        assert fake.told["synced"] == "/device:GPU:0"
        assert marks[0].at_s is not None and marks[1].at_s is not None and marks[0].at_s <= marks[1].at_s

    def test_calls_on_the_host_are_done_when_they_return(self, fake: FakeTensorflow) -> None:
        device = host()
        device.submitted(LateResult())  # not waited for
        mark = device.event()
        mark.record()
        assert mark.at_s is not None

    def test_a_delayed_operator_is_waited_for(self) -> None:
        found = checked("device")["waited"]
        assert found["submitted_s"] < 0.25
        assert found["synchronised_s"] >= 0.6
        assert found["steps"] == [pytest.approx(0.3, abs=0.25), pytest.approx(0.3, abs=0.25)]
        assert min(found["steps"]) >= 0.28
        assert found["failure"] == "the device's work failed: the device met an error"


def test_seeds_reach_tensorflow(fake: FakeTensorflow) -> None:
    host().seed(7)
    assert fake.told["seed"] == 7


def test_ranks_agree_on_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed import HashStore

    store: Any = HashStore()
    met = import_module("torch.distributed.rendezvous")
    monkeypatch.setattr(met, "rendezvous", lambda *_: iter([(store, 0, 2)]))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    found: dict[int, list[str]] = {}
    ranks = [
        threading.Thread(target=lambda rank=rank: found.update({rank: cluster.agreed_addresses("x", rank, 2)}))
        for rank in (0, 1)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(20)
    assert found[0] == found[1]
    assert len(set(found[0])) == 2
    assert all(one.startswith("127.0.0.1:") for one in found[0])
