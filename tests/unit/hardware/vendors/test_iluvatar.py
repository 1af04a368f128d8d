import ctypes
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fake_cuda import FakeCuda, install
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.detect import detect_vendor, visible_count
from hardware.device import load_device
from hardware.meters.registry import meter_names
from hardware.stacks import cuda_build
from hardware.vendors.iluvatar import Iluvatar

UUID = "1AC807AA-cbcd-5579-8591-d59d436d6eca"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True  # torch's defaults


@pytest.fixture
def device(tmp_path: Path) -> Iluvatar:
    made = Iluvatar(vendor("iluvatar"))
    made.device_root = tmp_path
    (tmp_path / "dev").mkdir()
    for name in ("iluvatar0", "iluvatar1", "iluvatar-fs"):
        (tmp_path / "dev" / name).touch()
    return made


@pytest.fixture
def chips(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """Two chips, in a build of PyTorch that says what it is."""
    monkeypatch.setattr(torch, "__version__", "2.7.1+corex.4.4.0")
    return install(monkeypatch, FakeCuda(names=["Iluvatar BI-V150"] * 2, capability=(7, 1)))


class Runtime:
    """CoreX's CUDA runtime, as far as it tells PCI addresses; a C function, called as one."""

    def __init__(self, addresses: list[str]) -> None:
        def ask(buffer: int, length: int, index: int) -> int:
            if index >= len(addresses):
                return 101  # cudaErrorInvalidDevice
            text = addresses[index].encode() + b"\0"
            assert len(text) <= length
            ctypes.memmove(buffer, text, len(text))
            return 0

        self.cudaDeviceGetPCIBusId = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)(ask)


def runtime(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    loaded: list[str] = []

    def load(name: str) -> Any:
        loaded.append(name)
        return Runtime(list(addresses))

    monkeypatch.setattr(cuda_build, "load_library", load)
    return loaded


def test_yaml_class_and_meters_fit_together(device: Iluvatar) -> None:
    assert type(load_device(vendor("iluvatar"))) is Iluvatar
    assert set(device.spec.meters) <= set(meter_names())


def test_detection(device: Iluvatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert detect_vendor(tmp_path) == "iluvatar"
    assert visible_count("iluvatar", "CUDA_VISIBLE_DEVICES", tmp_path) == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert visible_count("iluvatar", "CUDA_VISIBLE_DEVICES", tmp_path) == 1


def test_unavailable_names_what_is_missing(device: Iluvatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.unavailable_reason() is None
    for node in (tmp_path / "dev").glob("iluvatar[0-9]"):
        node.unlink()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    reason = device.unavailable_reason()
    assert reason == "no device (/dev/iluvatar[0-9]*: the driver makes them) and no Python package torch"
    with pytest.raises(HardwareUnavailableError, match=r"/dev/iluvatar.*Install Iluvatar's driver.*emulate=true"):
        device.connect()


@pytest.mark.parametrize("told_by", ["version", "package", "attribute"])
def test_connect_to_a_build_for_corex(
    device: Iluvatar, chips: FakeCuda, monkeypatch: pytest.MonkeyPatch, told_by: str
) -> None:
    if told_by != "version":
        monkeypatch.setattr(torch, "__version__", "2.10.0")
    if told_by == "package":
        monkeypatch.setattr(cuda_build, "version", lambda name: "2.10.0+corex.4.5.0")
    if told_by == "attribute":
        monkeypatch.setattr(torch, "corex", True, raising=False)
    device.connect()
    assert chips.calls[:2] == ["init", "synchronize"]
    assert (device.count(), device.accelerator(), device.torch_device(1)) == (2, "cuda", torch.device("cuda", 1))


@pytest.mark.parametrize("version", ["2.7.1+cu126", "2.7.1", "2.8.0+metax3.5.3.9", "2.7.1+notcorex"])
def test_another_build_of_pytorch_is_refused(
    device: Iluvatar, chips: FakeCuda, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(cuda_build, "version", lambda name: version)
    with pytest.raises(HardwareUnavailableError, match=r"not a build for CoreX \(\+corex\).*not a CUDA build"):
        device.connect()
    assert chips.calls == [], "CUDA was not started"


def test_connect_passes_on_what_the_runtime_said(
    device: Iluvatar, chips: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips.init_error = RuntimeError("CUDA error: 801: operation not supported")
    with pytest.raises(HardwareUnavailableError, match="801: operation not supported"):
        device.connect()
    chips.init_error, chips.names = None, []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(HardwareUnavailableError, match=r"sees no device \(CUDA_VISIBLE_DEVICES=7\)"):
        device.connect()


def test_identities_by_the_runtime(device: Iluvatar, chips: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch before 2.8 tells no PCI address; the runtime counts the visible chips as PyTorch does."""
    loaded = runtime(monkeypatch, "0000:13:00.0", "0000:16:00.0")
    chips.properties = [SimpleNamespace(uuid=UUID), SimpleNamespace(uuid="00000000-0000-0000-0000-000000000000")]
    first, second = device.identities()
    assert (first.uuid, first.pci_bus_id, first.name) == (f"GPU-{UUID.lower()}", "0000:13:00.0", "Iluvatar BI-V150")
    assert (second.uuid, second.pci_bus_id) == (None, "0000:16:00.0"), "a UUID of zeros is none"
    assert loaded == ["libcudart.so"] * 2
    chips.properties[1] = SimpleNamespace(uuid=UUID, pci_domain_id=0, pci_bus_id=0x1C, pci_device_id=0)
    assert device.identities()[1].pci_bus_id == "0000:1c:00.0", "what PyTorch tells comes first"


def test_identities_that_nobody_tells(device: Iluvatar, chips: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    runtime(monkeypatch)
    assert [(one.uuid, one.pci_bus_id, one.driver_index) for one in device.identities()] == [(None, None, None)] * 2
    monkeypatch.setattr(cuda_build, "load_library", lambda name: SimpleNamespace())
    assert device.identities()[0].pci_bus_id is None

    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(cuda_build, "load_library", missing)
    assert device.identities()[0].pci_bus_id is None


def test_the_only_node_is_the_only_chip(
    device: Iluvatar, chips: FakeCuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardware.stacks.torch_module.pci_address_of_node", lambda node: f"0000:0{node.name[-1]}:00.0")
    runtime(monkeypatch)
    assert device.identities()[0].pci_bus_id is None, "which of two nodes it is nobody says"
    (tmp_path / "dev/iluvatar0").unlink()
    first = device.identities()[0]
    assert (first.pci_bus_id, first.driver_index) == ("0000:01:00.0", 1)


def test_the_real_loader_says_what_is_not_there() -> None:
    with pytest.raises(OSError, match="libnothing-of-this-name"):
        cuda_build.load_library("libnothing-of-this-name.so")


def test_precisions(device: Iluvatar, chips: FakeCuda) -> None:
    assert type(device.precision_plugin(precision("fp32"))).__name__ == "Precision"
    assert device.precision_plugin(precision("bf16")).precision == "bf16-mixed"
    assert device.precision_plugin(precision("fp16_true")).precision == "16-true"
    with pytest.raises(PrecisionUnsupportedError, match="precision=tf32; it offers fp32, fp16, bf16"):
        device.precision_plugin(precision("tf32"))
    device.set_matmul("ieee")
    assert not torch.backends.cudnn.allow_tf32
    with pytest.raises(PrecisionUnsupportedError, match="no switch for TF32"):
        device.set_matmul("tf32")


def test_versions(device: Iluvatar, chips: FakeCuda, tmp_path: Path) -> None:
    assert device.versions() == {"timing": "device events", "communication": "nccl", "torch build": "corex.4.4.0"}
    (tmp_path / "sys/module/iluvatar").mkdir(parents=True)
    (tmp_path / "sys/module/iluvatar/version").write_text("4.4.0\n")
    assert device.versions()["driver"] == "4.4.0"


def test_communication(device: Iluvatar, chips: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    assert device.strategy(2)._process_group_backend == "nccl"
