import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fake_cuda import FakeCuda, install
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.bus.pci import pci_address_of_node
from hardware.stacks.host import HostEvent
from hardware.vendors.kunlunxin import Kunlunxin

FAKES = Path(__file__).parents[3] / "fakes"


def forget_stack() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torch_xmlir"]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("XPU_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDART_DUMMY_REGISTER", "1")  # so that the value connect() sets goes away with the test
    forget_stack()
    yield
    forget_stack()
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True  # torch's defaults


@pytest.fixture
def device(tmp_path: Path) -> Kunlunxin:
    made = Kunlunxin(vendor("kunlunxin"))
    made.device_root = tmp_path
    (tmp_path / "dev").mkdir()
    for name in (*(f"xpu{number}" for number in range(11)), "xpuctrl"):
        (tmp_path / "dev" / name).touch()
    return made


@pytest.fixture
def xpus(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    return install(monkeypatch, FakeCuda(names=["GPU", "Kunlunxin R300"]))


@pytest.fixture
def flagperf_stack(monkeypatch: pytest.MonkeyPatch, xpus: FakeCuda) -> FakeCuda:
    monkeypatch.syspath_prepend(str(FAKES / "xmlir_flagperf"))
    return xpus


@pytest.fixture
def compatible_stack(monkeypatch: pytest.MonkeyPatch, xpus: FakeCuda) -> FakeCuda:
    monkeypatch.syspath_prepend(str(FAKES / "xmlir_compatible"))
    return xpus


def test_unavailable_names_everything_that_is_missing(device: Kunlunxin, tmp_path: Path) -> None:
    reason = device.unavailable_reason()
    assert reason and "no Python package torch_xmlir" in reason and "/dev/xpu" not in reason
    for node in (tmp_path / "dev").glob("xpu[0-9]*"):
        node.unlink()
    reason = device.unavailable_reason()
    assert reason and "/dev/xpu[0-9]*" in reason and "no Python package torch_xmlir" in reason
    with pytest.raises(HardwareUnavailableError, match=r"Install Kunlunxin's driver.*`emulate=true scale=tiny`"):
        device.connect()


def test_available_with_nodes_and_package(device: Kunlunxin, flagperf_stack: FakeCuda) -> None:
    assert device.unavailable_reason() is None
    assert "torch_xmlir" not in sys.modules, "asking must not import the stack"


def test_connect_sets_the_stack_up(
    device: Kunlunxin, flagperf_stack: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDART_DUMMY_REGISTER")
    device.connect()
    assert os.environ["CUDART_DUMMY_REGISTER"] == "1"
    assert flagperf_stack.calls[0] == "init"
    assert device.count() == 2 and device.accelerator() == "cuda"
    assert device.torch_device(1) == torch.device("cuda", 1)


def test_a_stack_that_does_not_load(device: Kunlunxin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "torch_xmlir.py").write_text("raise ImportError('libxpurt.so.1: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(str(broken))
    with pytest.raises(HardwareUnavailableError, match=r"does not load: libxpurt.so.1.*emulate=true"):
        device.connect()


def test_a_stack_that_sees_nothing(
    device: Kunlunxin, flagperf_stack: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    flagperf_stack.names = []
    monkeypatch.setenv("XPU_VISIBLE_DEVICES", "7")
    with pytest.raises(HardwareUnavailableError, match=r"sees no device.*XPU_VISIBLE_DEVICES=7"):
        device.connect()
    flagperf_stack.init_error = RuntimeError("xpu_init failed: 601")
    with pytest.raises(HardwareUnavailableError, match="xpu_init failed: 601"):
        device.connect()


def test_flagperf_stack_waits_and_seeds_by_itself(device: Kunlunxin, flagperf_stack: FakeCuda) -> None:
    device.connect()
    import torch_xmlir

    torch_xmlir.calls.clear()
    flagperf_stack.calls.clear()
    device.synchronize()
    device.seed(11)
    assert torch_xmlir.calls == [("synchronize", None), ("seed", 11)]
    assert flagperf_stack.calls == []
    assert torch.initial_seed() == 11


def test_compatible_stack_waits_through_torch(device: Kunlunxin, compatible_stack: FakeCuda) -> None:
    device.connect()
    compatible_stack.calls.clear()
    device.synchronize()
    device.seed(12)
    assert compatible_stack.calls == ["synchronize"]
    assert torch.initial_seed() == 12


def test_events_of_the_device_or_of_the_host(
    device: Kunlunxin, compatible_stack: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.connect()
    start, end = device.event(), device.event()
    start.record()
    end.record()
    assert device.elapsed_s(start, end) == pytest.approx(0.25)
    assert device.versions()["timing"] == "device events"

    def none(**_options: object) -> None:
        raise RuntimeError("events are not supported")

    monkeypatch.setattr(torch.cuda, "Event", none)
    device.connect()
    start, end = device.event(), device.event()
    assert isinstance(start, HostEvent)
    start.record()
    end.record()
    assert 0 <= device.elapsed_s(start, end) < 1
    assert device.versions()["timing"].startswith("host clock")


def test_memory_peaks_are_never_zero(device: Kunlunxin, xpus: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    xpus.stats = {"allocated_bytes.all.peak": 7, "reserved_bytes.all.peak": 9}
    assert device.memory_peaks().allocated_bytes == 7
    xpus.stats = {"allocated_bytes.all.peak": 0, "reserved_bytes.all.peak": 0}
    peaks = device.memory_peaks()
    assert peaks.allocated_bytes is None and peaks.reserved_bytes is None and "counts nothing" in str(peaks.reason)

    def broken() -> dict[str, int]:
        raise AttributeError("_XMLIRC has no attribute _xpu_memory_stats")

    monkeypatch.setattr(torch.cuda, "memory_stats", broken)
    assert "_xpu_memory_stats" in str(device.memory_peaks().reason)


def test_identities(device: Kunlunxin, flagperf_stack: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    flagperf_stack.properties[1].uuid = "3f0b"
    asked: list[str] = []

    def address(node: Path) -> str:
        asked.append(node.name)
        return f"0000:{len(asked):02x}:00.0"

    monkeypatch.setattr("hardware.stacks.torch_module.pci_address_of_node", address)
    monkeypatch.setenv("XPU_VISIBLE_DEVICES", "10,1")
    first, second = device.identities()
    assert asked == ["xpu10", "xpu1"], "local index 0 is the first visible one"
    assert (first.name, first.uuid, first.pci_bus_id) == ("R300 number 0", None, "0000:01:00.0")
    assert (second.name, second.uuid, second.pci_bus_id) == ("Kunlunxin R300", "3f0b", "0000:02:00.0")
    monkeypatch.delenv("XPU_VISIBLE_DEVICES")
    asked.clear()
    assert [one.driver_index for one in device.identities()] == [None, None], "two of eleven, and nobody says which"


def test_identities_of_a_stack_that_tells_pci_itself(device: Kunlunxin, compatible_stack: FakeCuda) -> None:
    compatible_stack.properties[0] = SimpleNamespace(pci_domain_id=1, pci_bus_id=0xA3, pci_device_id=2, uuid="XPU-1")
    first, second = device.identities()
    assert (first.name, first.uuid, first.pci_bus_id) == ("GPU", "XPU-1", "0001:a3:02.0")
    assert second.pci_bus_id is None, "the test's device nodes are plain files"


def test_pci_address_of_a_device_node(tmp_path: Path) -> None:
    status = Path("/dev/null").stat()
    entry = tmp_path / f"dev/char/{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    entry.mkdir(parents=True)
    assert pci_address_of_node(Path("/dev/null"), tmp_path) is None
    bus = tmp_path / "devices/pci0000:80/0000:83:00.0"
    bus.mkdir(parents=True)
    (entry / "device").symlink_to(bus)
    assert pci_address_of_node(Path("/dev/null"), tmp_path) == "0000:83:00.0"
    assert pci_address_of_node(tmp_path / "missing", tmp_path) is None


def test_precisions(device: Kunlunxin, flagperf_stack: FakeCuda) -> None:
    assert type(device.precision_plugin(precision("fp32"))).__name__ == "Precision"
    for name in ("bf16", "tf32", "fp16_true"):
        with pytest.raises(PrecisionUnsupportedError, match=f"precision={name}; it offers fp32, fp16"):
            device.precision_plugin(precision(name))
    device.set_matmul("ieee")
    assert not torch.backends.cudnn.allow_tf32
    with pytest.raises(PrecisionUnsupportedError, match="no switch for TF32"):
        device.set_matmul("tf32")


def test_fp16_takes_the_scaler_of_the_stack(
    device: Kunlunxin, flagperf_stack: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's own cannot compute on this device, so the one the stack brings is the one that works."""
    device.connect()
    monkeypatch.setattr(device, "torch_device", lambda index: torch.device("meta"))
    from torch_xmlir.amp import GradScaler

    plugin = device.precision_plugin(precision("fp16"))
    assert (plugin.precision, plugin.device) == ("16-mixed", "cuda")
    assert type(plugin.scaler) is GradScaler and plugin.scaler.is_enabled()


def test_fp16_takes_torchs_scaler_where_it_works(
    device: Kunlunxin, compatible_stack: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.connect()
    monkeypatch.setattr(device, "torch_device", lambda index: torch.device("cpu"))
    monkeypatch.setattr(
        "hardware.stacks.torch_cuda.TorchCudaDevice.make_scaler", lambda self, on: torch.amp.GradScaler("cpu")
    )
    scaler = device.precision_plugin(precision("fp16")).scaler
    assert type(scaler) is torch.amp.GradScaler and scaler.is_enabled()


@pytest.mark.parametrize(("available", "chosen"), [({"xccl", "nccl"}, "xccl"), ({"nccl"}, "nccl"), (set(), "xccl")])
def test_communication(
    device: Kunlunxin, monkeypatch: pytest.MonkeyPatch, available: set[str], chosen: str, compatible_stack: FakeCuda
) -> None:
    monkeypatch.setattr("torch.distributed.is_backend_available", lambda name: name in available)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    assert device.strategy(8)._process_group_backend == chosen
    assert device.versions()["communication"] == chosen


def test_versions_name_the_stack(device: Kunlunxin, flagperf_stack: FakeCuda) -> None:
    assert device.versions()["torch_xmlir"] == "0.29"


def test_a_compiler_that_does_nothing_is_told(
    device: Kunlunxin, compatible_stack: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "torch.compile" not in device.versions()

    def empty_decorator(model: object) -> object:
        return model

    empty_decorator.__module__ = "torch_xmlir.symbrewrite.plugins.torch.mock_torch"
    monkeypatch.setattr(torch, "compile", empty_decorator)
    assert "uncompiled" in device.versions()["torch.compile"]


def test_versions_without_a_version(device: Kunlunxin, compatible_stack: FakeCuda) -> None:
    assert "torch_xmlir" not in device.versions()
