"""Devices through Paddle: the documented calls with each vendor's name, and edges of work that is done later."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fake_paddle import FakePaddle
from hardware_specs import vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.device import load_device
from hardware.runtimes.paddle import PaddleDevice

RUNTIME = "hardware.runtimes.paddle:PaddleDevice"
KINDS = {
    "kunlunxin": "xpu",
    "iluvatar": "iluvatar_gpu",
    "nvidia": "gpu",
    "ascend": "npu",
    "cambricon": "mlu",
    "metax": "metax_gpu",
    "habana": "intel_hpu",
    "xpu": "intel_gpu",
    "dcu": "gpu",
    "amd": "gpu",
}


def connected(
    monkeypatch: pytest.MonkeyPatch, name: str, fake: FakePaddle | None = None, *, rank: int = 0
) -> tuple[PaddleDevice, FakePaddle]:
    fake = fake or FakePaddle(KINDS[name])
    fake.install(monkeypatch)
    monkeypatch.setenv("LOCAL_RANK", str(rank))
    device = load_device(vendor(name), runtime=RUNTIME)
    assert isinstance(device, PaddleDevice)
    monkeypatch.setattr(device.vendor, "found_nodes", lambda: [Path("/dev/null")], raising=False)
    device.connect()
    return device, fake


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_rank_computes_on_its_vendors_device_by_the_documented_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    device, fake = connected(monkeypatch, name, rank=1)
    assert ("set_device", f"{KINDS[name]}:1") in fake.calls
    assert device.count() == 2
    fake.calls.clear()
    device.synchronize()
    assert fake.calls == [("synchronize", f"{KINDS[name]}:1")]
    assert device.reached_through == f"paddle: {KINDS[name]}"


def test_marks_are_the_devices_own_and_tell_when_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    device, fake = connected(monkeypatch, "kunlunxin")
    first, second = device.event(), device.event()
    began_s = time.perf_counter()
    first.record()
    fake.submit(2.5)
    second.record()
    fake.submit(100.0)
    device.synchronize()
    assert device.elapsed_s(first, second) == pytest.approx(2.5)
    assert time.perf_counter() - began_s < 1, "nothing here waited for the fake device's clock"
    assert device.versions()["timing"] == "events of the device, by Paddle"


def test_without_timing_events_no_step_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for one tensor, Paddle waits for the steps submitted after it, too: that is no step's end."""
    device, fake = connected(monkeypatch, "iluvatar", FakePaddle("iluvatar_gpu", events=False))

    class Later:
        """A tensor that is asked for when everything is done."""

        def numpy(self) -> None:
            raise AssertionError("nothing may wait for it inside a segment")

    assert not device.times_on_device()
    mark = device.event()
    device.submitted(Later())
    mark.record()
    device.synchronize()
    assert fake.calls[-1] == ("synchronize", "iluvatar_gpu:0")
    assert device.versions()["timing"] == "host clock: the device has no timing events"


def test_with_timing_events_steps_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    device, _ = connected(monkeypatch, "kunlunxin")
    assert device.times_on_device()


def test_a_devices_failed_work_is_told_at_the_next_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    device, _ = connected(monkeypatch, "iluvatar", FakePaddle("iluvatar_gpu", events=False))

    def broken(place: str) -> None:
        raise OSError("the device was lost")

    monkeypatch.setattr(sys.modules["paddle"].device, "synchronize", broken)
    with pytest.raises(OSError, match="the device was lost"):
        device.synchronize()


@pytest.mark.parametrize(("mode", "allowed"), [("ieee", False), ("tf32", True)])
def test_gpus_are_told_whether_tf32_is_allowed(monkeypatch: pytest.MonkeyPatch, mode: str, allowed: bool) -> None:
    device, fake = connected(monkeypatch, "nvidia")
    fake.switches = dict.fromkeys(fake.switches, not allowed)
    device.set_matmul(mode)
    assert fake.switches == {"cublas": allowed, "cudnn": allowed}


@pytest.mark.parametrize("library", ["cublas", "cudnn"])
def test_a_switch_that_keeps_its_place_is_refused(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    device, fake = connected(monkeypatch, "nvidia")
    fake.stuck = {library}
    with pytest.raises(PrecisionUnsupportedError, match=library):
        device.set_matmul("ieee")


def test_kernels_that_read_variables_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XPU_PADDLE_FC_LOCAL_INT16", "PADDLE_MLU_ALLOW_TF32"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv(variable, "before")
    connected(monkeypatch, "kunlunxin")[0].set_matmul("ieee")
    assert os.environ["XPU_PADDLE_FC_LOCAL_INT16"] == "1"
    device, _ = connected(monkeypatch, "cambricon")
    device.set_matmul("ieee")
    assert os.environ["PADDLE_MLU_ALLOW_TF32"] == "false"
    device.set_matmul("tf32")
    assert os.environ["PADDLE_MLU_ALLOW_TF32"] == "true"


@pytest.mark.parametrize("name", ["kunlunxin", "iluvatar", "cpu"])
def test_tf32_is_refused_where_paddle_has_no_switch_for_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kind = KINDS.get(name, "gpu")
    device, _ = connected(monkeypatch, name, FakePaddle(kind))
    with pytest.raises(PrecisionUnsupportedError, match="has no switch for TF32"):
        device.set_matmul("tf32")
    with pytest.raises(PrecisionUnsupportedError, match="not as 'half'"):
        device.set_matmul("half")


def test_peaks_are_the_allocators_of_this_ranks_device(monkeypatch: pytest.MonkeyPatch) -> None:
    device, fake = connected(monkeypatch, "kunlunxin", rank=1)
    device.reset_memory_peaks()
    peaks = device.memory_peaks()
    assert (peaks.allocated_bytes, peaks.reserved_bytes, peaks.reason) == (3 << 20, 5 << 20, None)
    told = [call for call in fake.calls if call[0] in ("reset", "peak")]
    assert told == [
        ("reset", "allocated", "xpu:1"),
        ("reset", "reserved", "xpu:1"),
        ("peak", "allocated", "xpu:1"),
        ("peak", "reserved", "xpu:1"),
    ]


def test_a_build_without_peaks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    device, _ = connected(monkeypatch, "ascend", FakePaddle("npu", peaks=False))
    device.reset_memory_peaks()
    peaks = device.memory_peaks()
    assert peaks.allocated_bytes is None and peaks.reserved_bytes is None
    assert peaks.reason is not None and "max_memory_allocated is not supported" in peaks.reason


def test_on_the_host_marks_are_the_hosts_and_there_are_no_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    device, fake = connected(monkeypatch, "cpu", FakePaddle("gpu", devices=0))
    assert ("set_device", "cpu") in fake.calls
    assert not device.asynchronous and device.count() == 1
    first, second = device.event(), device.event()
    first.record()
    time.sleep(0.02)
    second.record()
    device.synchronize()
    assert device.elapsed_s(first, second) >= 0.02
    assert ("synchronize", "cpu") not in fake.calls, "Paddle refuses it for the host"
    peaks = device.memory_peaks()
    assert peaks.allocated_bytes is None and peaks.reason == "paddle keeps no peaks of its allocator for cpu"


def test_an_emulated_vendor_is_the_host_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    FakePaddle("xpu", devices=0).install(monkeypatch)
    device = load_device(vendor("kunlunxin"), emulate=True, runtime=RUNTIME)
    assert isinstance(device, PaddleDevice)
    device.connect()
    assert device.own() == "cpu"
    assert "emulated" in device.versions()


def test_no_device_of_the_type_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HardwareUnavailableError, match="sees no device of type xpu"):
        connected(monkeypatch, "kunlunxin", FakePaddle("xpu", devices=0))


def test_another_build_of_paddle_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePaddle("gpu")
    fake.install(monkeypatch)
    import paddle

    def refuse(place: str) -> Any:
        raise ValueError("The device should not be 'xpu', since PaddlePaddle is not compiled with XPU")

    monkeypatch.setattr(paddle, "set_device", refuse)
    device = load_device(vendor("kunlunxin"), runtime=RUNTIME)
    monkeypatch.setattr(device.vendor, "found_nodes", lambda: [Path("/dev/xpu0")], raising=False)  # type: ignore[attr-defined]
    with pytest.raises(HardwareUnavailableError, match="not compiled with XPU"):
        device.connect()


def test_seeding_seeds_paddles_dropout_too(monkeypatch: pytest.MonkeyPatch) -> None:
    device, fake = connected(monkeypatch, "kunlunxin")
    device.seed(41)
    assert ("seed", 41) in fake.calls


def test_a_chip_has_paddles_name_where_it_tells_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connected(monkeypatch, "nvidia")[0].device_name(1) == "Chip gpu:1"
    assert connected(monkeypatch, "ascend")[0].device_name(0) == "npu"
    assert connected(monkeypatch, "cambricon")[0].device_name(0) == "mlu"
