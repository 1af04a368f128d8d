import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fake_cuda import FakeEvent
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.detect import detect_vendor, device_nodes
from hardware.vendors.xpu import Xpu, address_in, find_nodes

MAX_1550 = SimpleNamespace(
    name="Intel(R) Data Center GPU Max 1550",
    has_fp16=True,
    has_bfloat16_conversions=True,
    has_subgroup_matrix_multiply_accumulate_tensor_float32=True,
    driver_version="1.6.33578+11",
)
TILES = ("8680d50b-2f00-0000-9a00-000000000001", "8680d50b-2f00-0000-9a00-000000000002")


class FakeXpu:
    """What `torch.xpu` answers on a machine with one card of two tiles."""

    def __init__(self):
        self.devices = [SimpleNamespace(**vars(MAX_1550), uuid=uuid) for uuid in TILES]
        self.calls = []
        self.stats = {"allocated_bytes.all.peak": 7 << 30, "reserved_bytes.all.peak": 9 << 30}

    def init(self):
        self.calls.append("init")

    def device_count(self):
        return len(self.devices)

    def synchronize(self):
        self.calls.append("synchronize")

    def manual_seed_all(self, seed):
        self.calls.append(("seed", seed))

    def get_device_properties(self, index):
        return self.devices[index]

    def get_device_name(self, index):
        return self.devices[index].name

    def memory_stats(self):
        return self.stats

    def reset_peak_memory_stats(self):
        self.calls.append("reset")


def add_gpu(root, number, address, *, vendor_id="0x8086", device_id="0x0bd5", kind="0x038000", driver="xe", node=True):
    """A GPU as sysfs shows it: class/drm/renderD… → the PCI device, which links its driver."""
    device = root / f"sys/devices/pci0000:00/{address}"
    device.mkdir(parents=True)
    for name, text in (("vendor", vendor_id), ("device", device_id), ("class", kind)):
        (device / name).write_text(f"{text}\n")
    drivers = root / "sys/bus/pci/drivers" / driver
    drivers.mkdir(parents=True, exist_ok=True)
    (device / "driver").symlink_to(drivers)
    entry = root / f"sys/class/drm/renderD{number}"
    entry.mkdir(parents=True)
    (entry / "device").symlink_to(device)
    if node:
        (root / "dev/dri").mkdir(parents=True, exist_ok=True)
        (root / f"dev/dri/renderD{number}").touch()


def names(root):
    return [node.name for node in find_nodes(root)]


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Xpu:
    for name in ("ZE_AFFINITY_MASK", "ZE_FLAT_DEVICE_HIERARCHY", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    add_gpu(tmp_path, 128, "0000:9a:00.0")
    library = tmp_path / "usr/lib/x86_64-linux-gnu/libze_loader.so.1"
    library.parent.mkdir(parents=True)
    library.touch()
    made = Xpu(vendor("xpu"))
    made.device_root = tmp_path
    return made


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> FakeXpu:
    fake = FakeXpu()
    monkeypatch.setattr(torch.xpu, "Event", FakeEvent)
    for name in (
        *("init", "device_count", "synchronize", "manual_seed_all", "get_device_properties", "get_device_name"),
        *("memory_stats", "reset_peak_memory_stats"),
    ):
        monkeypatch.setattr(torch.xpu, name, getattr(fake, name))
    return fake


@pytest.fixture(autouse=True)
def clean():
    sys.modules.pop("oneccl_bindings_for_pytorch", None)
    yield
    sys.modules.pop("oneccl_bindings_for_pytorch", None)
    torch.set_float32_matmul_precision("highest")


def test_cards_are_found_and_graphics_of_processors_are_not(tmp_path):
    add_gpu(tmp_path, 128, "0000:00:02.0", device_id="0xa780", kind="0x030000", driver="i915")
    assert names(tmp_path) == []
    assert detect_vendor(tmp_path) == "cpu"
    add_gpu(tmp_path, 129, "0000:9a:00.0")
    add_gpu(tmp_path, 130, "0000:03:00.0", device_id="0x56a0", kind="0x030000", driver="i915")
    add_gpu(tmp_path, 131, "0001:00:01.0", device_id="0xe20b")
    assert names(tmp_path) == ["renderD129", "renderD130", "renderD131"]
    assert device_nodes("xpu", tmp_path) == find_nodes(tmp_path)


def test_a_card_on_the_root_bus_of_a_virtual_machine_is_known_by_its_id(tmp_path):
    add_gpu(tmp_path, 128, "0000:00:05.0", device_id="0x0bda")
    add_gpu(tmp_path, 129, "0000:00:02.0", device_id="0x7d55", driver="xe")
    assert names(tmp_path) == ["renderD128"]


@pytest.mark.parametrize(
    "other",
    [
        {"vendor_id": "0x1002", "driver": "amdgpu"},
        {"vendor_id": "0x10de", "driver": "nvidia"},
        {"kind": "0x020000"},
        {"driver": "vfio-pci"},
        {"node": False},
    ],
)
def test_other_devices_are_not_taken_for_it(tmp_path, other):
    add_gpu(tmp_path, 128, "0000:9a:00.0", **other)
    assert names(tmp_path) == []


def test_unavailable_names_everything_that_is_missing(device: Xpu, tmp_path: Path) -> None:
    assert device.unavailable_reason() is None
    (tmp_path / "usr/lib/x86_64-linux-gnu/libze_loader.so.1").unlink()
    assert device.unavailable_reason() == "no Level Zero loader (libze_loader.so)"
    (tmp_path / "dev/dri/renderD128").unlink()
    reason = device.unavailable_reason()
    assert reason and "no Intel GPU on a card" in reason and "Level Zero" in reason and "torch" not in reason


def test_the_loader_may_come_with_the_environment(device: Xpu, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "usr/lib/x86_64-linux-gnu/libze_loader.so.1").unlink()
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/libze_loader.so").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f":{tmp_path}/modules")
    assert device.unavailable_reason() is None


def test_connect(device: Xpu, stack: FakeXpu) -> None:
    device.connect()
    assert stack.calls[:2] == ["init", "synchronize"]
    assert device.count() == 2 and device.torch_device(1) == torch.device("xpu:1")
    assert device.accelerator() == "xpu"
    start, end = device.event(), device.event()
    start.record()
    end.record()
    assert device.elapsed_s(start, end) == pytest.approx(0.25)
    device.seed(5)
    assert stack.calls[-1] == ("seed", 5)


def test_a_pytorch_without_xpu_says_so(device: Xpu) -> None:
    if torch.xpu._is_compiled():
        pytest.skip("this PyTorch is built for XPU")
    with pytest.raises(HardwareUnavailableError, match=r"not compiled with XPU enabled.*PyTorch's build for XPU"):
        device.connect()


def test_a_mask_that_shows_nothing_is_named(device: Xpu, stack: FakeXpu, monkeypatch) -> None:
    stack.devices = []
    monkeypatch.setenv("ZE_AFFINITY_MASK", "7.0")
    with pytest.raises(HardwareUnavailableError, match=r"sees no device \(ZE_AFFINITY_MASK=7\.0\)"):
        device.connect()


def test_identities_are_as_intels_tools_write_them(device: Xpu, stack: FakeXpu) -> None:
    first, second = device.identities()
    assert (first.index, first.name) == (0, "Intel(R) Data Center GPU Max 1550")
    assert first.uuid == "01000000-0000-009a-0000-002f0bd58086"
    assert second.uuid == "02000000-0000-009a-0000-002f0bd58086"
    assert first.pci_bus_id == second.pci_bus_id == "0000:9a:00.0"
    assert first.driver_index is None, "Level Zero's order is not that of the nodes"


def test_an_address_that_no_card_has_is_not_believed(device: Xpu, stack: FakeXpu) -> None:
    stack.devices[0].uuid = "8680d50b-2f00-0000-9b00-000000000000"
    stack.devices[1].uuid = "0123456789"
    first, second = device.identities()
    assert first.pci_bus_id is None and first.uuid == "00000000-0000-009b-0000-002f0bd58086"
    assert second.pci_bus_id is None and second.uuid == "0123456789"
    del stack.devices[0].uuid
    assert (device.identities()[0].uuid, device.identities()[0].pci_bus_id) == (None, None)


@pytest.mark.parametrize(
    ("name", "variables", "partition"),
    [
        (MAX_1550.name, {}, None),
        (MAX_1550.name, {"ZE_FLAT_DEVICE_HIERARCHY": "FLAT"}, None),
        (MAX_1550.name, {"ZE_FLAT_DEVICE_HIERARCHY": "COMBINED"}, None),
        (MAX_1550.name, {"ZE_FLAT_DEVICE_HIERARCHY": "COMPOSITE"}, "COMPOSITE"),
        (MAX_1550.name, {"ZE_FLAT_DEVICE_HIERARCHY": "COMPOSITE", "ZE_AFFINITY_MASK": "0.1"}, None),
        ("Intel(R) Data Center GPU Max 1100", {"ZE_FLAT_DEVICE_HIERARCHY": "COMPOSITE"}, None),
    ],
)
def test_a_card_of_two_stacks_is_told_from_a_stack(
    device: Xpu, stack: FakeXpu, monkeypatch, *, name: str, variables: dict[str, str], partition: str | None
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    stack.devices[0].name, stack.devices[0].total_memory = name, 128 << 30
    first = device.own_identities(1)[0]
    assert (first.partition, first.memory_bytes) == (partition, 128 << 30)


def test_addresses_in_uuids() -> None:
    assert address_in("00000000-0000-0029-0000-002f0bda8086") == "0000:29:00.0"
    assert address_in("00000000-0003-02ca-0001-002f0bda8086") == "0001:ca:02.3"
    assert address_in("00000000-0000-0029-0000-002f0bda1002") is None
    assert address_in("GPU-1") is None


def test_memory_peaks(device: Xpu, stack: FakeXpu) -> None:
    peaks = device.memory_peaks()
    assert (peaks.allocated_bytes, peaks.reserved_bytes) == (7 << 30, 9 << 30)
    device.reset_memory_peaks()
    assert stack.calls == ["reset"]


@pytest.mark.parametrize(
    "case", [({"xccl"}, False, "xccl"), ({"xccl"}, True, "xccl"), (set(), True, "ccl"), (set(), False, "xccl")]
)
def test_communication(device: Xpu, stack: FakeXpu, monkeypatch, tmp_path, case) -> None:
    available, bindings, chosen = case
    monkeypatch.setattr("torch.distributed.is_backend_available", lambda name: name in available)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    if bindings:
        (tmp_path / "oneccl_bindings_for_pytorch.py").write_text("loaded = True\n")
        monkeypatch.syspath_prepend(str(tmp_path))
    assert device.versions()["communication"] == chosen
    assert "oneccl_bindings_for_pytorch" not in sys.modules, "asking must not import the bindings"
    assert device.strategy(8)._process_group_backend == chosen
    assert ("oneccl_bindings_for_pytorch" in sys.modules) == (chosen == "ccl")


def test_bindings_that_do_not_load(device: Xpu, stack: FakeXpu, monkeypatch, tmp_path) -> None:
    (tmp_path / "oneccl_bindings_for_pytorch.py").write_text("raise ImportError('libccl.so.1: undefined symbol')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("torch.distributed.is_backend_available", lambda name: False)
    with pytest.raises(HardwareUnavailableError, match=r"does not load: libccl\.so\.1: undefined symbol"):
        device.strategy(2)
    assert device.strategy(1).root_device == torch.device("xpu:0")


@pytest.mark.parametrize(
    ("name", "ability"),
    [
        ("bf16", "has_bfloat16_conversions"),
        ("bf16_true", "has_bfloat16_conversions"),
        ("fp16", "has_fp16"),
        ("tf32", "has_subgroup_matrix_multiply_accumulate_tensor_float32"),
    ],
)
def test_what_a_gpu_lacks_is_refused(device: Xpu, stack: FakeXpu, name: str, ability: str) -> None:
    device.require_chip(precision(name))
    delattr(stack.devices[0], ability)
    device.require_chip(precision(name))  # this PyTorch does not tell: the probe finds out
    setattr(stack.devices[0], ability, False)
    with pytest.raises(PrecisionUnsupportedError, match=f"Max 1550 has no {name}: torch says {ability}=False"):
        device.require_chip(precision(name))
    device.require_chip(precision("fp32"))


def test_precision_plugins(device: Xpu, stack: FakeXpu) -> None:
    assert type(device.precision_plugin(precision("fp32"))).__name__ == "Precision"
    plugin = device.precision_plugin(precision("fp16"))
    assert (plugin.precision, plugin.device) == ("16-mixed", "xpu") and plugin.scaler.is_enabled()


class Backend:
    """`torch.backends.mkldnn` of a PyTorch built for XPU."""

    allow_tf32 = True


def test_tf32_is_switched(device: Xpu, stack: FakeXpu, monkeypatch) -> None:
    monkeypatch.setattr(torch.backends, "mkldnn", Backend())
    device.set_matmul("ieee")
    assert torch.backends.mkldnn.allow_tf32 is False
    assert torch.get_float32_matmul_precision() == "highest"
    device.set_matmul("tf32")
    assert torch.backends.mkldnn.allow_tf32 is True
    assert torch.get_float32_matmul_precision() == "high"
    stack.devices[0].has_subgroup_matrix_multiply_accumulate_tensor_float32 = False
    with pytest.raises(PrecisionUnsupportedError, match="has no tf32"):
        device.set_matmul("tf32")


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")
def test_tf32_of_a_pytorch_without_the_switch_is_refused(device: Xpu, stack: FakeXpu, monkeypatch) -> None:
    if not torch.backends.mkldnn.allow_tf32:
        device.set_matmul("ieee")
        with pytest.raises(PrecisionUnsupportedError, match="cannot be set to True"):
            device.set_matmul("tf32")
    monkeypatch.setattr(torch.backends, "mkldnn", SimpleNamespace())
    device.set_matmul("ieee")
    with pytest.raises(PrecisionUnsupportedError, match=r"has no torch\.backends\.mkldnn\.allow_tf32"):
        device.set_matmul("tf32")


def test_versions(device: Xpu, stack: FakeXpu, monkeypatch) -> None:
    monkeypatch.setenv("ZE_FLAT_DEVICE_HIERARCHY", "COMPOSITE")
    monkeypatch.setattr(torch.version, "xpu", "20250101", raising=False)
    versions = device.versions()
    assert (versions["driver"], versions["oneapi"]) == ("1.6.33578+11", "20250101")
    assert versions["ZE_FLAT_DEVICE_HIERARCHY"] == "COMPOSITE" and "ZE_AFFINITY_MASK" not in versions
    stack.devices = []
    assert "driver" not in device.versions()
