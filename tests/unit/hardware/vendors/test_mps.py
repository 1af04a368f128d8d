import os
import platform
from pathlib import Path

import pytest
import torch
from fake_cuda import FakeEvent
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.detect import detect_vendor
from hardware.stacks.host import HostEvent
from hardware.vendors.mps import Mps, find_nodes


class FakeMps:
    """What `torch.mps` answers on a Mac: no init, no statistics, one device."""

    def __init__(self):
        self.calls = []

    def device_count(self):
        return 1

    def synchronize(self):
        self.calls.append("synchronize")

    def current_allocated_memory(self):
        return 1000

    def driver_allocated_memory(self):
        return 4000


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("14.5", ("", "", ""), "arm64"))
    (tmp_path / "System/Library/Frameworks/Metal.framework").mkdir(parents=True)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    return tmp_path


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> FakeMps:
    fake = FakeMps()
    monkeypatch.setattr(torch.mps, "Event", FakeEvent)
    for name in ("device_count", "synchronize", "current_allocated_memory", "driver_allocated_memory"):
        monkeypatch.setattr(torch.mps, name, getattr(fake, name))
    return fake


@pytest.fixture
def device(tmp_path: Path) -> Mps:
    made = Mps(vendor("mps"))
    made.device_root = tmp_path
    return made


def test_only_a_mac_with_an_apple_chip_has_one(device: Mps, mac: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.unavailable_reason() is None
    assert [node.name for node in find_nodes(mac)] == ["Metal.framework"]
    assert detect_vendor(mac) == "mps"
    for system, machine in (("Darwin", "x86_64"), ("Linux", "aarch64"), ("Linux", "x86_64")):
        monkeypatch.setattr(platform, "system", lambda system=system: system)
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        assert (
            device.unavailable_reason() == f"no Apple GPU: this is {system} on {machine}, not macOS (Darwin) on arm64"
        )
        assert detect_vendor(mac) == "cpu"
    with pytest.raises(HardwareUnavailableError, match=r"Linux on x86_64.*Use a Mac"):
        device.connect()


def test_connect(device: Mps, mac: Path, stack: FakeMps) -> None:
    device.connect()
    assert "synchronize" in stack.calls
    assert device.count() == 1 and device.accelerator() == "mps" and not device.pins_memory()
    assert device.torch_device(0) == torch.device("mps:0")
    device.seed(3)
    assert torch.initial_seed() == 3


@pytest.mark.parametrize("case", [("is_built", "built without MPS"), ("is_available", "shows no GPU")])
def test_a_metal_that_is_not_usable(device: Mps, mac: Path, stack: FakeMps, monkeypatch, case) -> None:
    name, match = case
    monkeypatch.setattr(torch.backends.mps, name, lambda: False)
    with pytest.raises(HardwareUnavailableError, match=match):
        device.connect()


def test_events_of_the_device_or_of_the_host(device: Mps, mac: Path, stack: FakeMps, monkeypatch) -> None:
    device.connect()
    start, end = device.event(), device.event()
    start.record()
    end.record()
    assert device.elapsed_s(start, end) == pytest.approx(0.25)
    assert device.versions() == {"timing": "device events", "macos": "14.5"}
    monkeypatch.delattr(torch.mps, "Event")
    device.connect()
    assert isinstance(device.event(), HostEvent)
    assert device.versions()["timing"].startswith("host clock")


def test_memory_peaks_are_null_with_a_reason(device: Mps, stack: FakeMps) -> None:
    device.reset_memory_peaks()
    peaks = device.memory_peaks()
    assert (peaks.allocated_bytes, peaks.reserved_bytes) == (None, None)
    assert peaks.reason and "keeps no peaks" in peaks.reason and "1000 bytes" in peaks.reason and "4000" in peaks.reason


def test_there_is_one_device(device: Mps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    assert device.strategy(1).root_device == torch.device("mps:0")
    with pytest.raises(HardwareUnavailableError, match="a machine has one, not 2"):
        device.strategy(2)


def test_bfloat16_needs_macos_14(device: Mps, mac: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.precision_plugin(precision("bf16")).device == "mps"
    monkeypatch.setattr(platform, "mac_ver", lambda: ("13.6.1", ("", "", ""), "arm64"))
    for name in ("bf16", "bf16_true"):
        with pytest.raises(PrecisionUnsupportedError, match=f"{name} needs macOS 14 or later, this is 13.6.1"):
            device.precision_plugin(precision(name))
    device.precision_plugin(precision("fp16_true"))
    device.precision_plugin(precision("fp32"))
    monkeypatch.setattr(platform, "mac_ver", lambda: ("", ("", "", ""), ""))
    with pytest.raises(PrecisionUnsupportedError, match="this is unknown"):
        device.precision_plugin(precision("bf16"))


def test_products_are_ieee_and_nothing_else(device: Mps) -> None:
    device.set_matmul("ieee")
    with pytest.raises(PrecisionUnsupportedError, match="no switch for TF32"):
        device.set_matmul("tf32")
    with pytest.raises(PrecisionUnsupportedError, match="does not offer precision=tf32"):
        device.precision_plugin(precision("tf32"))


@pytest.mark.filterwarnings("ignore:`torch.cpu.amp.GradScaler")  # the processor stands in for the GPU
def test_the_gradient_scaler_is_tried_out(device: Mps, stack: FakeMps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "torch_device", lambda index: torch.device("cpu"))
    monkeypatch.setattr(device, "namespace", "cpu", raising=False)
    plugin = device.precision_plugin(precision("fp16"))
    assert plugin.scaler.is_enabled() and plugin.scaler._scale is None, "the trial leaves no trace"

    def old(self, optimizer):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    monkeypatch.setattr(torch.amp.GradScaler, "unscale_", old)
    with pytest.raises(PrecisionUnsupportedError, match="does not work there: Cannot convert a MPS Tensor to float64"):
        device.precision_plugin(precision("fp16"))


def test_the_chip_is_named_by_the_system(device: Mps, stack: FakeMps, tmp_path: Path, monkeypatch) -> None:
    script = tmp_path / "sysctl"
    script.write_text('#!/bin/sh\n[ "$*" = "-n machdep.cpu.brand_string" ] && echo "Apple M2 Ultra"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (identity,) = device.identities()
    assert (identity.name, identity.uuid, identity.pci_bus_id) == ("Apple M2 Ultra", None, None)
    script.write_text("#!/bin/sh\nexit 1\n")
    assert device.identities()[0].name == "Apple GPU"
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert device.identities()[0].name == "Apple GPU"
