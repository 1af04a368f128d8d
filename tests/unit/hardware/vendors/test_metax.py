from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fake_cuda import FakeCuda, install
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.detect import detect_vendor, device_nodes, visible_count
from hardware.device import load_device
from hardware.meters.registry import meter_names
from hardware.stacks import cuda_build
from hardware.vendors.metax import Metax

UUID = "df110ed1-56d2-e35b-d97b-e23bca667d75"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("MACA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"):
        monkeypatch.delenv(name, raising=False)
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True  # torch's defaults


def render_node(root: Path, number: int, pci_vendor: str) -> None:
    (root / "dev/dri").mkdir(exist_ok=True)
    (root / f"dev/dri/renderD{number}").touch()
    (root / f"sys/class/drm/renderD{number}/device").mkdir(parents=True)
    (root / f"sys/class/drm/renderD{number}/device/vendor").write_text(f"{pci_vendor}\n")


@pytest.fixture
def device(tmp_path: Path) -> Metax:
    """Two GPUs, and the graphics of the server's management controller."""
    made = Metax(vendor("metax"))
    made.device_root = tmp_path
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/mxcd").touch()
    render_node(tmp_path, 128, "0x1a03")
    render_node(tmp_path, 129, "0x9999")
    render_node(tmp_path, 130, "0x9999")
    return made


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    monkeypatch.setattr(torch, "__version__", "2.8.0+metax3.5.3.9")
    where = {"pci_domain_id": 0, "pci_bus_id": 0x37, "pci_device_id": 0}
    properties = [SimpleNamespace(uuid=UUID, **where), SimpleNamespace()]
    return install(monkeypatch, FakeCuda(names=["MetaX C500"] * 2, capability=(8, 0), properties=properties))


def test_yaml_class_and_meters_fit_together(device: Metax) -> None:
    assert type(load_device(vendor("metax"))) is Metax
    assert set(device.spec.meters) <= set(meter_names())


def test_detection(device: Metax, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert detect_vendor(tmp_path) == "metax"
    assert [node.name for node in device_nodes("metax", tmp_path)] == ["mxcd", "renderD129", "renderD130"]
    assert visible_count("metax", "MACA_VISIBLE_DEVICES", tmp_path) == 2
    monkeypatch.setenv("MACA_VISIBLE_DEVICES", "0")
    assert visible_count("metax", "MACA_VISIBLE_DEVICES", tmp_path) == 1


def test_other_vendors_render_nodes_are_not_metax(device: Metax, tmp_path: Path) -> None:
    (tmp_path / "dev/mxcd").unlink()
    assert device_nodes("metax", tmp_path) == []
    assert device.unavailable_reason() == "no device (/dev/mxcd: the driver makes them)"
    with pytest.raises(HardwareUnavailableError, match=r"/dev/mxcd.*Install MetaX's driver.*emulate=true"):
        device.connect()


@pytest.mark.parametrize("version", ["2.8.0+metax3.5.3.9", "2.5.1+maca3.0", "2.6.0+mc2.32.0.3", "2.8.0"])
def test_connect_to_a_build_for_maca(
    device: Metax, gpus: FakeCuda, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    if "+" not in version:
        monkeypatch.setattr(torch.version, "maca", "3.5.3.9", raising=False)
    device.connect()
    assert gpus.calls[:2] == ["init", "synchronize"]
    assert (device.count(), device.accelerator()) == (2, "cuda")


def test_a_cuda_build_is_refused(device: Metax, gpus: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.8.0+cu128")
    monkeypatch.setattr(cuda_build, "version", lambda name: "2.8.0+cu128")
    with pytest.raises(HardwareUnavailableError, match=r"not a build for MACA \(\+metax\).*not a CUDA build"):
        device.connect()
    assert gpus.calls == []


def test_no_device_names_both_variables(device: Metax, gpus: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus.names = []
    with pytest.raises(HardwareUnavailableError, match=r"sees no device \(MACA_VISIBLE_DEVICES is not set\)"):
        device.connect()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(HardwareUnavailableError, match=r"is not set, CUDA_VISIBLE_DEVICES=\)"):
        device.connect()


def test_identities(device: Metax, gpus: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(name: str) -> SimpleNamespace:
        asked.append(name)

        def tell(text: object, length: object, index: object) -> int:
            text.value = b"0000:38:00.0"  # type: ignore[attr-defined]
            return 0

        return SimpleNamespace(mcDeviceGetPCIBusId=tell)

    monkeypatch.setattr(cuda_build, "load_library", load)
    first, second = device.identities()
    assert (first.uuid, first.pci_bus_id, first.driver_index) == (f"GPU-{UUID}", "0000:37:00.0", None)
    assert (second.uuid, second.pci_bus_id, second.name) == (None, "0000:38:00.0", "MetaX C500")
    assert asked == ["libmcruntime.so"], "PyTorch told the other one"


def test_precisions_and_tf32(device: Metax, gpus: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(device.precision_plugin(precision("tf32"))).__name__ == "Precision"
    assert device.precision_plugin(precision("bf16")).precision == "bf16-mixed"
    device.set_matmul("tf32")
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (True, True)
    device.set_matmul("ieee")
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (False, False)
    monkeypatch.setenv("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "0")
    with pytest.raises(PrecisionUnsupportedError, match="TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=0"):
        device.set_matmul("tf32")


def test_versions(device: Metax, gpus: FakeCuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "maca", "3.5.3.9", raising=False)
    (tmp_path / "sys/module/metax").mkdir(parents=True)
    (tmp_path / "sys/module/metax/version").write_text("3.8.30\n")
    found = device.versions()
    assert (found["maca"], found["torch build"], found["driver"]) == ("3.5.3.9", "metax3.5.3.9", "3.8.30")
