"""Hygon DCUs: what they share with AMD's GPUs is tested in test_amd; here is what differs."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fake_cuda import FakeCuda, install
from hardware_specs import precision, vendor
from kfd_machine import Machine

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.bus.kfd import AMD, HYGON
from hardware.device import load_device
from hardware.stacks import rocm
from hardware.vendors.dcu import Dcu


@pytest.fixture(autouse=True)
def torch_for_hip(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.version, "hip", "6.1.25082-d7e2da0a5")
    for name in rocm.VISIBILITY:
        monkeypatch.delenv(name, raising=False)
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True  # torch's defaults


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.add(0x9F, HYGON, pci_class=0x0B4000)
    made.add(0x57, HYGON, pci_class=0x0B4000)
    return made


@pytest.fixture
def device(machine: Machine) -> Dcu:
    made = load_device(vendor("dcu"), emulate=False)
    assert type(made) is Dcu
    made.device_root = machine.root
    return made


@pytest.fixture
def dcus(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    properties = [SimpleNamespace(gcnArchName="gfx928:sramecc+:xnack-") for _ in range(2)]
    return install(monkeypatch, FakeCuda(names=["K100_AI"] * 2, properties=properties))


def test_amds_gpus_are_no_dcus(device: Dcu, machine: Machine, tmp_path: Path) -> None:
    assert [node.name for node in device.found_nodes()] == ["renderD128", "renderD129"]
    other = Machine(tmp_path / "other")
    other.add(0x76, AMD)
    device.device_root = other.root
    assert "no device (/dev/kfd" in str(device.unavailable_reason())


def test_connect(device: Dcu, dcus: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    device.connect()
    assert (device.count(), device.accelerator(), device.communication_backend()) == (2, "cuda", "nccl")
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "12")
    dcus.names = []
    with pytest.raises(HardwareUnavailableError, match=r"Hygon DCU: .*sees no device \(HIP_VISIBLE_DEVICES=12\)"):
        device.connect()
    monkeypatch.setattr(torch.version, "hip", None)
    with pytest.raises(HardwareUnavailableError, match=r"built without HIP.*DTK's PyTorch"):
        device.connect()


def test_identities_by_dtks_runtime(
    device: Dcu, dcus: FakeCuda, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = "/opt/dtk/hip/lib/libgalaxyhip.so.5.2.25484"
    machine.write("proc/self/maps", f"7f00-7f01 r-xp 00000000 08:01 77   {library}\n")
    addresses = ("0000:57:00.0", "0000:9F:00.0")

    def address(buffer, length, index):  # type: ignore[no-untyped-def]
        buffer.value = addresses[index.value].encode()
        return 0

    runtimes = {library: SimpleNamespace(hipDeviceGetPCIBusId=address)}
    monkeypatch.setattr("ctypes.CDLL", lambda name: runtimes[name])
    first, second = device.identities()
    assert (first.pci_bus_id, first.uuid, first.driver_index) == ("0000:57:00.0", None, 129)
    assert (second.pci_bus_id, second.driver_index, second.name) == ("0000:9f:00.0", 128, "K100_AI")


@pytest.mark.parametrize(("isa", "has"), [("gfx906", False), ("gfx926", False), ("gfx928", True), ("gfx936", True)])
def test_bfloat16_by_instruction_set(device: Dcu, dcus: FakeCuda, isa: str, has: bool) -> None:
    dcus.properties[0].gcnArchName = isa
    if has:
        assert device.precision_plugin(precision("bf16")).precision == "bf16-mixed"
        return
    with pytest.raises(PrecisionUnsupportedError, match=rf"K100_AI \({isa}\) has no bf16"):
        device.precision_plugin(precision("bf16"))


def test_tf32_is_refused(device: Dcu, dcus: FakeCuda) -> None:
    with pytest.raises(PrecisionUnsupportedError, match="it offers fp32, fp16, bf16"):
        device.precision_plugin(precision("tf32"))
    with pytest.raises(PrecisionUnsupportedError, match="Hygon DCU: its PyTorch has no switch for TF32"):
        device.set_matmul("tf32")


@pytest.mark.parametrize("module", ["hydcu", "hycu"])
def test_versions_name_the_driver_of_the_day(device: Dcu, dcus: FakeCuda, machine: Machine, module: str) -> None:
    machine.write(f"sys/module/{module}/version", "6.3.16-V1.1.0a\n")
    assert device.versions()["driver"] == f"{module} 6.3.16-V1.1.0a"
