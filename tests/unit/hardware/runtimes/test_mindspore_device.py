"""Ascend's devices through MindSpore, against a fake of the package with exact numbers."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hardware_specs import vendor as vendor_spec

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.runtimes import mindspore_ranks
from hardware.runtimes.mindspore import MindsporeDevice, StreamEvent
from hardware.stacks.host import HostEvent


class Calls(list[tuple[Any, ...]]):
    """What the fake was asked, in order."""

    def note(self, name: str, answer: Any = None) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self.append((name, *arguments, *named.values()))
            return answer

        return call


class FakeEvent:
    """Holds the count of marks at which it was recorded; a mark is 250 ms."""

    marks = 0

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing, "an event without timing cannot be read"
        self.at = 0

    def record(self) -> None:
        FakeEvent.marks += 1
        self.at = FakeEvent.marks

    def elapsed_time(self, end: FakeEvent) -> float:
        return 250.0 * (end.at - self.at)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    package = ModuleType("mindspore")
    fake: Any = package
    fake.PYNATIVE_MODE = 1
    fake.set_device, fake.set_context = calls.note("set_device"), calls.note("set_context")
    fake.set_seed = calls.note("set_seed")
    fake.hal = SimpleNamespace(
        device_count=calls.note("device_count", 8), get_device_name=calls.note("name", "Ascend910B2")
    )
    fake.runtime = SimpleNamespace(
        Event=FakeEvent,
        synchronize=calls.note("synchronize"),
        max_memory_allocated=calls.note("allocated", 3 << 20),
        max_memory_reserved=calls.note("reserved", 4 << 20),
        reset_peak_memory_stats=calls.note("reset"),
    )
    precision = ModuleType("mindspore.device_context.ascend.op_precision")
    for name in ("precision_mode", "matmul_allow_hf32", "conv_allow_hf32"):
        setattr(precision, name, calls.note(name))
    ascend = ModuleType("mindspore.device_context.ascend")
    ascend.op_precision = precision  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mindspore", package)
    monkeypatch.setitem(sys.modules, "mindspore.device_context", ModuleType("mindspore.device_context"))
    monkeypatch.setitem(sys.modules, "mindspore.device_context.ascend", ascend)
    monkeypatch.setitem(sys.modules, "mindspore.device_context.ascend.op_precision", precision)
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MS_OM_PATH", "/somewhere")
    return calls


def device(*, on_host: bool = False) -> MindsporeDevice:
    from hardware.vendors.ascend import Ascend
    from hardware.vendors.cpu import Cpu

    vendor = Cpu(vendor_spec("cpu")) if on_host else Ascend(vendor_spec("ascend"))
    return MindsporeDevice(vendor, on_host=on_host)


def test_a_rank_computes_on_the_device_of_its_number(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    device().start()
    assert calls == [("set_device", "Ascend", 3), ("set_context", 1)]


def test_the_hosts_processor_has_no_number(calls: Calls) -> None:
    device(on_host=True).start()
    assert calls == [("set_device", "CPU", None), ("set_context", 1)]


def test_steps_are_timed_by_the_devices_events(calls: Calls) -> None:
    ascend = device()
    start, end = ascend.event(), ascend.event()
    start.record()
    FakeEvent(enable_timing=True).record()
    end.record()
    assert isinstance(start, StreamEvent)
    assert ascend.elapsed_s(start, end) == 0.5  # two marks of 250 ms
    assert ascend.times_on_device()
    assert ascend.versions()["timing"] == "MindSpore's timing events on the device"
    assert isinstance(device(on_host=True).event(), HostEvent)
    assert not device(on_host=True).times_on_device()


def test_an_edge_waits_for_the_device(calls: Calls) -> None:
    device().synchronize()
    assert calls == [("synchronize",)]


def test_float32_is_kept_as_it_is(calls: Calls) -> None:
    device().set_matmul("ieee")
    assert calls == [
        ("precision_mode", "must_keep_origin_dtype"),
        ("matmul_allow_hf32", False),
        ("conv_allow_hf32", False),
    ]
    with pytest.raises(PrecisionUnsupportedError, match="has no TF32"):
        device().set_matmul("tf32")


def test_a_switch_that_is_not_taken_is_refused(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(value: bool) -> None:
        raise RuntimeError("can not be set repeatedly")

    monkeypatch.setattr(sys.modules["mindspore.device_context.ascend.op_precision"], "conv_allow_hf32", refuse)
    with pytest.raises(PrecisionUnsupportedError, match="cannot keep float32 as it is: can not be set repeatedly"):
        device().set_matmul("ieee")


def test_peaks_are_the_pools_and_begin_afresh(calls: Calls) -> None:
    peaks = device().memory_peaks()
    assert (peaks.allocated_bytes, peaks.reserved_bytes, peaks.reason) == (3 << 20, 4 << 20, None)
    device().reset_memory_peaks()
    assert calls[-1] == ("reset",)
    host = device(on_host=True)
    host.reset_memory_peaks()
    assert calls[-1] == ("reset",) and calls.count(("reset",)) == 1
    assert host.memory_peaks().allocated_bytes is None


def test_a_device_that_mindspore_cannot_set_is_no_device(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: str, index: int | None) -> None:
        raise RuntimeError(f"Unsupported device target {kind}")

    monkeypatch.setattr(sys.modules["mindspore"], "set_device", refuse)
    monkeypatch.setattr(MindsporeDevice, "unavailable_reason", lambda self: None)
    with pytest.raises(HardwareUnavailableError, match=r"cannot use its devices \(Ascend\): Unsupported device"):
        device().connect()


class FakeCommunication(ModuleType):
    """Numbers this process as it was told to."""

    def __init__(self, rank: int) -> None:
        super().__init__("mindspore.communication")
        self.init, self.get_rank, self.get_group_size = lambda: None, lambda: rank, lambda: 2


@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_meet_at_the_first_ones_address(calls: Calls, monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    started: list[dict[str, str]] = []
    communication = FakeCommunication(rank)
    monkeypatch.setattr(sys.modules["mindspore"], "communication", communication, raising=False)
    monkeypatch.setitem(sys.modules, "mindspore.communication", communication)
    monkeypatch.setattr(
        mindspore_ranks, "agreed_addresses", lambda name, own, world: ["10.0.0.1:7001", "10.0.0.2:7002"]
    )
    monkeypatch.setattr(mindspore_ranks, "_wait_for", lambda host, port: calls.append(("waited", host, port)))
    monkeypatch.setattr(mindspore_ranks.subprocess, "Popen", lambda command, env, **_: started.append(env))
    for name in ("MS_ROLE", "MS_NODE_ID", "MS_SCHED_HOST", "MS_SCHED_PORT", "MS_WORKER_NUM"):
        monkeypatch.setenv(name, "")
    mindspore_ranks.meet(rank, 2)
    assert len(started) == (rank == 0)
    expected = {"MS_SCHED_HOST": "10.0.0.1", "MS_SCHED_PORT": "7001", "MS_WORKER_NUM": "2"}
    for environment in started:
        assert {**expected, "MS_ROLE": "MS_SCHED"}.items() <= environment.items()
    own = {name: mindspore_ranks.os.environ[name] for name in (*expected, "MS_ROLE", "MS_NODE_ID")}
    assert own == {**expected, "MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank)}
    assert calls == [("waited", "10.0.0.1", 7001)]
    with pytest.raises(HardwareUnavailableError, match=f"rank {rank} of 2, the job's launcher rank {1 - rank} of 2"):
        mindspore_ranks.meet(1 - rank, 2)


def test_a_scheduler_that_does_not_come_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(mindspore_ranks, "WAIT_S", 0.3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = taken.getsockname()[1]
        with pytest.raises(HardwareUnavailableError, match=f"scheduler does not listen on 127.0.0.1:{port}"):
            mindspore_ranks._wait_for("127.0.0.1", port)
