import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fake_cuda import FakeCuda, install
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.device import load_device
from hardware.vendors.nvidia import Nvidia

UUID = "5BA7A1A2-1234-5678-9abc-DEF012345678"


@pytest.fixture
def h100(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    where = {"pci_domain_id": 0, "pci_bus_id": 0x3B, "pci_device_id": 0}
    properties = [SimpleNamespace(uuid=UUID, **where), SimpleNamespace(uuid=f"GPU-{UUID.lower()[:-1]}0")]
    return install(monkeypatch, FakeCuda(names=["NVIDIA H100 80GB HBM3"] * 2, properties=properties))


@pytest.fixture
def device(tmp_path: Path) -> Nvidia:
    made = Nvidia(vendor("nvidia"))
    made.device_root = tmp_path
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    return made


@pytest.fixture(autouse=True)
def torch_defaults() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


def run_python(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[4]
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests/support'}"} | variables
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def tf32_state() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_unavailable_says_what_is_missing(device: Nvidia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.unavailable_reason() is None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "no Python package torch" in str(device.unavailable_reason())
    (tmp_path / "dev/nvidia0").unlink()
    reason = device.unavailable_reason()
    assert reason and "/dev/nvidia[0-9]*" in reason
    with pytest.raises(HardwareUnavailableError, match=r"/dev/nvidia"):
        device.connect()


def test_connect_starts_the_runtime(device: Nvidia, h100: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    device.connect()
    assert h100.calls[:2] == ["init", "synchronize"]
    assert device.count() == 2
    assert device.torch_device(1) == torch.device("cuda", 1)
    assert device.accelerator() == "cuda"


def test_connect_passes_on_what_the_driver_said(
    device: Nvidia, h100: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    h100.init_error = RuntimeError("The NVIDIA driver on your system is too old (found version 11040)")
    with pytest.raises(HardwareUnavailableError, match=r"too old \(found version 11040\).*Install NVIDIA's driver"):
        device.connect()
    h100.init_error = None
    h100.names = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(HardwareUnavailableError, match=r"sees no device.*CUDA_VISIBLE_DEVICES=-1"):
        device.connect()
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(HardwareUnavailableError, match="built without CUDA"):
        device.connect()


def test_real_torch_without_a_visible_gpu(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    code = (
        "import sys; from pathlib import Path; from hardware_specs import vendor\n"
        "from hardware.vendors.nvidia import Nvidia\n"
        "device = Nvidia(vendor('nvidia')); device.device_root = Path(sys.argv[1]); device.connect()"
    )
    done = run_python(code, str(tmp_path), CUDA_VISIBLE_DEVICES="-1")
    assert done.returncode == 1
    assert "HardwareUnavailableError: NVIDIA GPU: torch" in done.stderr and "Install NVIDIA's driver" in done.stderr


def test_events_and_memory(device: Nvidia, h100: FakeCuda) -> None:
    start, end = device.event(), device.event()
    start.record()
    end.record()
    assert device.elapsed_s(start, end) == pytest.approx(0.25)
    h100.stats = {"allocated_bytes.all.peak": 3 << 30, "reserved_bytes.all.peak": 4 << 30}
    device.reset_memory_peaks()
    device.synchronize()
    peaks = device.memory_peaks()
    assert (peaks.allocated_bytes, peaks.reserved_bytes, peaks.reason) == (3 << 30, 4 << 30, None)
    assert h100.calls == ["reset", "synchronize"]
    h100.stats = {}
    assert device.memory_peaks().allocated_bytes is None and device.memory_peaks().reason


def test_identities_are_in_nvml_form(device: Nvidia, h100: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = device.identities()
    assert (first.uuid, first.pci_bus_id) == (f"GPU-{UUID.lower()}", "0000:3b:00.0")
    assert (second.uuid, second.pci_bus_id) == (f"GPU-{UUID.lower()[:-1]}0", None)
    assert first.name == "NVIDIA H100 80GB HBM3"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-aaaa,1")
    assert [one.uuid for one in device.identities()] == ["MIG-aaaa", f"GPU-{UUID.lower()[:-1]}0"]
    assert [one.partition for one in device.identities()] == ["MIG", None]
    h100.names[0] += " MIG 1g.10gb"
    assert device.identities()[0].partition is None, "its name says it"
    h100.properties = [SimpleNamespace(), SimpleNamespace(pci_domain_id=0, pci_bus_id=0, pci_device_id=0)]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [(one.uuid, one.pci_bus_id) for one in device.identities()] == [(None, None), (None, None)]


@pytest.mark.parametrize(
    "text",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version: 12\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.104.05  Release Build  (root@x)  Sat Aug 19\n",
    ],
)
def test_versions(device: Nvidia, tmp_path: Path, text: str) -> None:
    assert "driver" not in device.versions()
    file = tmp_path / "proc/driver/nvidia/version"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    versions = device.versions()
    assert versions["driver"] == "535.104.05"
    assert versions.get("cuda") == torch.version.cuda
    assert all(isinstance(value, str) for value in versions.values())


@pytest.mark.parametrize("first", ["ieee", "tf32"])
def test_switching_float32_modes(device: Nvidia, h100: FakeCuda, first: str) -> None:
    """Every getter keeps answering (the newer interface alone makes the older one raise), convolutions go along."""
    device.set_matmul(first)
    for mode, allowed in (("tf32", True), ("ieee", False), ("tf32", True), ("ieee", False), ("ieee", False)):
        device.set_matmul(mode)
        assert tf32_state() == (allowed, allowed)
        assert torch.get_float32_matmul_precision() == ("high" if allowed else "highest")
        if hasattr(torch.backends.cudnn, "conv"):
            found = {torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision}
            assert found | {torch.backends.cudnn.rnn.fp32_precision} == {mode}


def test_switch_repairs_a_mix_of_both_interfaces(device: Nvidia) -> None:
    if not hasattr(torch.backends.cudnn, "conv"):
        return  # the newer interface came with torch 2.9
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    with pytest.raises(RuntimeError, match="mix of the legacy and new"):
        torch.get_float32_matmul_precision()
    device.set_matmul("ieee")
    assert tf32_state() == (False, False)


def test_switch_that_does_not_take_is_an_error(device: Nvidia, monkeypatch: pytest.MonkeyPatch) -> None:
    matmul = SimpleNamespace(allow_tf32=True)
    monkeypatch.setattr(torch.backends.cuda, "matmul", matmul)
    with pytest.raises(PrecisionUnsupportedError, match="TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"):
        device.set_matmul("ieee")


@pytest.mark.parametrize("name", ["tf32", "bf16", "bf16_true"])
def test_chips_before_ampere_are_refused_by_name(device: Nvidia, h100: FakeCuda, name: str) -> None:
    assert device.precision_plugin(precision(name)) is not None
    h100.names = ["Tesla V100-SXM2-32GB"]
    h100.capability = (7, 0)
    with pytest.raises(
        PrecisionUnsupportedError, match=rf"Tesla V100-SXM2-32GB \(compute capability 7.0\) has no {name}"
    ):
        device.precision_plugin(precision(name))
    with pytest.raises(PrecisionUnsupportedError, match=r"V100.*has no tf32"):
        device.set_matmul("tf32")
    assert device.precision_plugin(precision("fp16")).scaler.is_enabled()


def test_environment_that_forbids_tf32(device: Nvidia, h100: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    with pytest.raises(PrecisionUnsupportedError, match="NVIDIA_TF32_OVERRIDE=0"):
        device.set_matmul("tf32")
    device.set_matmul("ieee")


def test_mixed_precision_is_bound_to_cuda(device: Nvidia, h100: FakeCuda) -> None:
    plugin = device.precision_plugin(precision("fp16"))
    assert (plugin.precision, plugin.device) == ("16-mixed", "cuda")
    assert device.precision_plugin(precision("bf16")).device == "cuda"


def test_scaler_without_a_gpu_is_an_error_not_unscaled_training(
    device: Nvidia, h100: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: True)
    with (
        pytest.warns(UserWarning, match="CUDA is not available"),
        pytest.raises(PrecisionUnsupportedError, match="off"),
    ):
        device.precision_plugin(precision("fp16"))


def test_strategies(device: Nvidia, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.strategy(1).root_device == torch.device("cuda", 0)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    assert device.strategy(8)._process_group_backend == "nccl"


def test_loading_by_path_and_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = vendor("nvidia")
    assert type(load_device(spec, emulate=False)) is Nvidia
    plugin = SimpleNamespace(name="ours", value="a:B", load=lambda: Nvidia)
    monkeypatch.setattr("hardware.registry.brought", lambda group: [plugin])
    spec.device = "ours"
    assert type(load_device(spec, emulate=False)) is Nvidia
    spec.device = "their"
    with pytest.raises(ValueError, match=r"vendor.device: no vendor's device is called their\. There are: ours"):
        load_device(spec, emulate=True)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("hardware.vendors.nvida.Nvidia", "hardware.vendors.nvida.Nvidia cannot be imported: No module named"),
        ("hardware.vendors.nvidia.Nvida", "hardware.vendors.nvidia.Nvida cannot be imported: .*has no attribute"),
        ("hardware.stacks.host.HostEvent", "not a subclass of hardware.base.Device"),
        ("hardware.stacks.host.cpu_name", "not a subclass"),
    ],
)
def test_wrong_paths_say_where_they_end(path: str, message: str) -> None:
    spec = vendor("nvidia")
    spec.device = path
    with pytest.raises(ValueError, match=message):
        load_device(spec, emulate=False)


def test_the_parent_can_ask_without_importing_torch() -> None:
    code = (
        "import sys; from hardware.device import load_device; from hardware.spec import VendorSpec\n"
        "for path in ('cpu.Cpu', 'nvidia.Nvidia', 'kunlunxin.Kunlunxin'):\n"
        "    load_device(VendorSpec(name='x', title='X', device='hardware.vendors.' + path, visible_devices_env=None,\n"
        "        communication_backend='gloo', precisions=(), tasks=(), meters=())).unavailable_reason()\n"
        "heavy = {'torch', 'numpy', 'pytorch_lightning', 'torch_xmlir'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
