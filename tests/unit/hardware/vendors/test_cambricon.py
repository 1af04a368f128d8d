import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.detect import detect_vendor, device_nodes, visible_count
from hardware.vendors.cambricon import Cambricon

FAKE = Path(__file__).parents[3] / "fakes/torch_mlu_stack"
VARIABLES = ("MLU_VISIBLE_DEVICES", "CN_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    yield
    sys.modules.pop("torch_mlu", None)
    for owner, name in ((torch, "mlu"), (torch.backends, "mlu"), (torch.backends, "cnnl")):
        if hasattr(owner, name):
            delattr(owner, name)


@pytest.fixture
def device(tmp_path: Path) -> Cambricon:
    made = Cambricon(vendor("cambricon"))
    made.device_root = tmp_path
    (tmp_path / "dev").mkdir()
    for name in ("cambricon_dev0", "cambricon_dev1", "cambricon_ctl", "cambricon_dev0vf1", "cambricon_ipcm0"):
        (tmp_path / "dev" / name).touch()
    return made


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, device: Cambricon) -> ModuleType:
    monkeypatch.syspath_prepend(str(FAKE))
    device.connect()
    return sys.modules["torch_mlu"]


def write_driver(root: Path, *addresses: str) -> None:
    for number, address in enumerate(addresses):
        folder = root / "proc/driver/cambricon/mlus" / address
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Device inode path: /dev/cambricon_dev{number}\n")


def test_unavailable_names_everything_that_is_missing(device: Cambricon, tmp_path: Path) -> None:
    assert device.unavailable_reason() == "no Python package torch_mlu"
    for node in (tmp_path / "dev").glob("cambricon_dev?"):
        node.unlink()
    reason = device.unavailable_reason()
    assert reason and "/dev/cambricon_dev[0-9]*" in reason and "no Python package torch_mlu" in reason
    with pytest.raises(HardwareUnavailableError, match=r"Install Cambricon's driver.*emulate=true"):
        device.connect()


def test_detection_counts_whole_devices(device: Cambricon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert detect_vendor(tmp_path) == "cambricon"
    assert [node.name for node in device_nodes("cambricon", tmp_path)] == ["cambricon_dev0", "cambricon_dev1"]
    assert visible_count("cambricon", device.spec.visible_devices_env, tmp_path) == 2
    (tmp_path / "dev/cambricon_dev10").touch()
    assert [node.name for node in device.found_nodes()] == ["cambricon_dev0", "cambricon_dev1", "cambricon_dev10"]
    monkeypatch.setenv("MLU_VISIBLE_DEVICES", "1")
    assert visible_count("cambricon", device.spec.visible_devices_env, tmp_path) == 1


def test_connect_starts_the_runtime(device: Cambricon, stack: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stack.calls[:2] == [("init", None), ("synchronize", None)]
    assert (device.count(), device.communication_backend()) == (2, "cncl")
    monkeypatch.setattr(torch, "device", lambda kind, index: (kind, index))
    assert device.torch_device(1) == ("mlu", 1)


def test_a_stack_that_sees_nothing(device: Cambricon, stack: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "names", [])
    monkeypatch.setenv("MLU_VISIBLE_DEVICES", "9")
    with pytest.raises(HardwareUnavailableError, match=r"sees no device \(MLU_VISIBLE_DEVICES=9\)"):
        device.connect()


def test_events_memory_and_seeds_are_the_devices(device: Cambricon, stack: ModuleType) -> None:
    start, end = device.event(), device.event()
    start.record()
    end.record()
    assert device.elapsed_s(start, end) == pytest.approx(0.125)
    peaks = device.memory_peaks()
    assert (peaks.allocated_bytes, peaks.reserved_bytes, peaks.reason) == (7, 9, None)
    stack.calls.clear()
    device.reset_memory_peaks()
    device.seed(5)
    device.synchronize()
    assert stack.calls == [("reset", None), ("seed", 5), ("synchronize", None)]
    assert torch.initial_seed() == 5


@pytest.mark.parametrize(("mode", "allowed"), [("ieee", False), ("tf32", True)])
def test_products_and_convolutions_follow_the_mode(
    device: Cambricon, stack: ModuleType, mode: str, allowed: bool
) -> None:
    device.set_matmul(mode)
    backends = torch.backends
    assert (backends.mlu.matmul.allow_tf32, backends.cnnl.allow_tf32) == (allowed, allowed)  # type: ignore[attr-defined]
    assert backends.mlu.custom.allow_tf32 is False  # type: ignore[attr-defined]


def test_a_version_without_the_switch_refuses_tf32(device: Cambricon, stack: ModuleType) -> None:
    del torch.backends.mlu.custom, torch.backends.cnnl.allow_tf32  # type: ignore[attr-defined]
    device.set_matmul("ieee")
    with pytest.raises(PrecisionUnsupportedError, match=r"no torch\.backends\.cnnl\.allow_tf32 for TF32"):
        device.set_matmul("tf32")


def test_precisions_use_the_stacks_own_scaler(device: Cambricon, stack: ModuleType) -> None:
    plugin = device.precision_plugin(precision("fp16"))
    assert type(plugin.scaler) is stack.GradScaler and plugin.device == "mlu"
    assert device.precision_plugin(precision("bf16")).scaler is None


def test_a_chip_without_bfloat16(device: Cambricon, stack: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "bf16", False)
    for name in ("bf16", "bf16_true"):
        with pytest.raises(PrecisionUnsupportedError, match=rf"MLU370-X8 has no bfloat16, which {name} needs"):
            device.precision_plugin(precision(name))
    device.require_chip(precision("fp32"))
    del torch.mlu.is_bf16_supported  # type: ignore[attr-defined]
    device.require_chip(precision("bf16"))


def test_lightning_knows_the_accelerator(device: Cambricon, stack: ModuleType) -> None:
    from pytorch_lightning.accelerators import AcceleratorRegistry

    name = device.accelerator()
    try:
        made = AcceleratorRegistry.get(name)
        assert (name, type(made).is_available(), type(made).auto_device_count()) == ("mlu", True, 2)
    finally:
        AcceleratorRegistry.remove(name)


def test_identities_by_the_drivers_files(
    device: Cambricon, stack: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_driver(tmp_path, "0000:39:00.0", "0000:3d:00.0")
    first, second = device.identities()
    assert (first.name, first.uuid, first.pci_bus_id, first.driver_index) == ("MLU370-X8", None, "0000:39:00.0", 0)
    assert (second.pci_bus_id, second.driver_index) == ("0000:3d:00.0", 1)
    monkeypatch.setenv("MLU_VISIBLE_DEVICES", "1,0")
    assert [one.pci_bus_id for one in device.identities()] == ["0000:3d:00.0", "0000:39:00.0"]


def test_identities_of_a_stack_that_tells_them_itself(
    device: Cambricon, stack: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"uuid": "MLU-7701A006-2457", "pci_domain_id": 0, "pci_bus_id": 0x1B, "pci_device_id": 0}
    monkeypatch.setattr(stack, "properties", told)
    first = device.identities()[0]
    assert (first.uuid, first.pci_bus_id) == ("7701a006-2457", "0000:1b:00.0")


@pytest.mark.parametrize(
    ("variables", "gone"),
    [
        ({"CN_VISIBLE_DEVICES": "1"}, None),
        ({"CN_VISIBLE_DEVICES": "1", "MLU_VISIBLE_DEVICES": "0,1"}, None),
        ({"CUDA_VISIBLE_DEVICES": "1"}, None),
        ({"MLU_VISIBLE_DEVICES": "0,1"}, "cambricon_dev0"),
        ({"MLU_VISIBLE_DEVICES": "MLU-7701a006-2457-0000-0000-000000000000"}, None),
    ],
)
@pytest.mark.usefixtures("stack")
def test_a_device_that_cannot_be_told_has_no_address(
    device: Cambricon,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    gone: str | None,
) -> None:
    write_driver(tmp_path, "0000:39:00.0", "0000:3d:00.0")
    if gone:
        (tmp_path / "dev" / gone).unlink()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert [(one.pci_bus_id, one.driver_index) for one in device.identities()] == [(None, None)] * 2


def test_another_variable_beside_the_own_one_changes_nothing(
    device: Cambricon, stack: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_driver(tmp_path, "0000:39:00.0", "0000:3d:00.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("MLU_VISIBLE_DEVICES", "1,0")
    assert device.identities()[0].pci_bus_id == "0000:3d:00.0"


def test_versions(device: Cambricon, stack: ModuleType) -> None:
    assert device.versions() == {"timing": "device events", "communication": "cncl"}
