"""AMD GPUs: files of a machine below a folder, and a `torch.cuda` built for HIP that is not there."""

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
from kfd_machine import Machine

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.bus.kfd import AMD, HYGON, find_gpus
from hardware.detect import detect_vendor, device_nodes, visible_count
from hardware.device import load_device
from hardware.stacks import rocm
from hardware.vendors.amd import Amd

ASCII_UUID = "38613166-3363-3564-3765-396230323134"
"""What torch prints of the sixteen bytes `8a1f3c5d7e9b0214`."""
CDNA3 = "gfx942:sramecc+:xnack-"


@pytest.fixture(autouse=True)
def torch_for_hip(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.version, "hip", "6.4.43482-0f2d60242")
    for name in rocm.VISIBILITY:
        monkeypatch.delenv(name, raising=False)
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True  # torch's defaults


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.add(0x76, AMD, unique_id=0x8A1F3C5D7E9B0214)
    made.add(0x06, AMD, unique_id=0x1B2D4F6081A3C5E7)
    return made


@pytest.fixture
def device(machine: Machine) -> Amd:
    made = load_device(vendor("amd"), emulate=False)
    assert type(made) is Amd
    made.device_root = machine.root
    return made


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    properties = [SimpleNamespace(gcnArchName=CDNA3, uuid=ASCII_UUID), SimpleNamespace(gcnArchName=CDNA3)]
    return install(monkeypatch, FakeCuda(names=["AMD Instinct MI300X"] * 2, properties=properties))


def test_gpus_are_told_by_their_vendor(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert (find_gpus(AMD, tmp_path), detect_vendor(tmp_path)) == ([], "cpu")
    dcu = machine.add(0x9F, HYGON, pci_class=0x0B4000)
    assert (device_nodes("amd", tmp_path), device_nodes("dcu", tmp_path)) == ([], [dcu])
    assert detect_vendor(tmp_path) == "dcu"
    amd = machine.add(0x76, AMD)
    assert (device_nodes("amd", tmp_path), device_nodes("dcu", tmp_path)) == ([amd], [dcu])
    assert detect_vendor(tmp_path) == "amd"


def test_a_driver_that_names_its_kin_as_the_vendor_is_not_believed(tmp_path: Path) -> None:
    """Hygon's driver is a fork of AMD's: what the bus says of the device decides."""
    machine = Machine(tmp_path)
    machine.add(0x9F, HYGON)
    machine.node(1, simd_count=480, vendor_id=AMD, location_id=0x9F << 8, drm_render_minor=128)
    assert (len(find_gpus(AMD, tmp_path)), len(find_gpus(HYGON, tmp_path))) == (0, 1)


def test_what_is_no_gpu_of_the_compute_driver(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.add(0x03, AMD, pci_class=0x030000, listed=False)  # a graphics card ROCm does not support
    machine.add(0x76, AMD)
    assert [gpu.pci_bus_id for gpu in find_gpus(AMD, tmp_path)] == ["0000:76:00.0"]
    (tmp_path / "dev/dri/renderD129").unlink()  # not passed on to this container
    assert find_gpus(AMD, tmp_path) == []
    (tmp_path / "dev/dri/renderD129").touch()
    (tmp_path / "dev/kfd").unlink()
    assert find_gpus(AMD, tmp_path) == []


def test_without_the_drivers_list_the_bus_stands_in(tmp_path: Path) -> None:
    machine = Machine(tmp_path, topology=False)
    machine.add(0x76, AMD, pci_class=0x120000)
    machine.add(0x77, AMD, pci_class=0x038000)
    machine.add(0x01, AMD, pci_class=0x040300)  # its sound device
    machine.write("sys/bus/pci/devices/0000:00:00.0/vendor", "garbage")
    assert [gpu.pci_bus_id for gpu in find_gpus(AMD, tmp_path)] == ["0000:76:00.0", "0000:77:00.0"]


def test_nodes_of_the_list_in_the_drivers_order(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for bus in range(0x10, 0x1C):
        machine.add(bus, AMD)
    assert [gpu.pci_bus_id[5:7] for gpu in find_gpus(AMD, tmp_path)] == [f"{bus:02x}" for bus in range(0x10, 0x1C)]
    machine.node(3, simd_count=5, vendor_id=AMD, location_id=0x120B, domain=2, drm_render_minor=130)
    assert find_gpus(AMD, tmp_path)[2].pci_bus_id == "0002:12:01.3"


def test_visible_devices(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert visible_count("amd", "HIP_VISIBLE_DEVICES", machine.root) == 2
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    assert visible_count("amd", "HIP_VISIBLE_DEVICES", machine.root) == 1


def test_unavailable_names_what_is_missing(device: Amd, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.unavailable_reason() is None
    (machine.root / "dev/kfd").unlink()
    assert "no device (/dev/kfd" in str(device.unavailable_reason())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "no Python package torch" in str(device.unavailable_reason())
    with pytest.raises(HardwareUnavailableError, match=r"AMD GPU: no device.*Install AMD's driver.*emulate=true"):
        device.connect()


def test_connect_refuses_a_torch_without_hip(device: Amd, gpus: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    device.connect()
    assert gpus.calls[:2] == ["init", "synchronize"]
    assert (device.count(), device.accelerator(), device.torch_device(1)) == (2, "cuda", torch.device("cuda", 1))
    monkeypatch.setattr(torch.version, "hip", None)
    with pytest.raises(HardwareUnavailableError, match=r"built without HIP.*ROCm build of PyTorch"):
        device.connect()


def test_connect_tells_every_variable_that_hides_devices(
    device: Amd, gpus: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.names = []
    with pytest.raises(HardwareUnavailableError, match=r"sees no device \(none of ROCR_VISIBLE_DEVICES, .*is set\)"):
        device.connect()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("ROCR_VISIBLE_DEVICES", "9")
    with pytest.raises(HardwareUnavailableError, match=r"\(ROCR_VISIBLE_DEVICES=9, CUDA_VISIBLE_DEVICES=\)"):
        device.connect()
    gpus.init_error = RuntimeError("No HIP GPUs are available")
    with pytest.raises(HardwareUnavailableError, match="No HIP GPUs are available"):
        device.connect()


class FakeHip:
    """The HIP runtime: local index to address, in its own order."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    def hipDeviceGetPCIBusId(self, buffer, length, index):  # type: ignore[no-untyped-def]
        if index.value >= len(self.addresses):
            return 101  # hipErrorInvalidDevice
        assert length.value == len(buffer) == 32
        buffer.value = self.addresses[index.value].encode()
        return 0


def load_hip(machine: Machine, monkeypatch: pytest.MonkeyPatch, hip: object, path: str = "libamdhip64.so.6") -> None:
    machine.write(
        "proc/self/maps",
        f"7f00-7f01 r--p 00000000 08:01 77   /opt/rocm/lib/{path}\n"
        f"7f01-7f02 r-xp 00001000 08:01 77   /opt/rocm/lib/{path}\n"
        "7f03-7f04 r-xp 00000000 08:01 78   /usr/lib/libc.so.6\n7ffe-7fff rw-p 00000000 00:00 0  [stack]\n",
    )
    loaded: list[str] = []

    def cdll(name: str) -> object:
        loaded.append(name)
        assert name == f"/opt/rocm/lib/{path}"
        return hip

    monkeypatch.setattr("ctypes.CDLL", cdll)


def test_identities_by_the_runtimes_own_addresses(
    device: Amd, gpus: FakeCuda, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With HIP_VISIBLE_DEVICES=1,0 local index 0 is the driver's second: nothing is counted, everything is asked."""
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1,0")
    load_hip(machine, monkeypatch, FakeHip("0000:06:00.0", "0000:76:00.0"))
    gpus.properties.reverse()
    first, second = device.identities()
    assert (first.index, first.pci_bus_id, first.uuid) == (0, "0000:06:00.0", "GPU-1b2d4f6081a3c5e7")
    assert (second.index, second.pci_bus_id, second.uuid) == (1, "0000:76:00.0", "GPU-8a1f3c5d7e9b0214")
    assert (first.driver_index, second.driver_index) == (129, 128)
    assert first.name == "AMD Instinct MI300X"


def test_identities_from_torch_where_the_runtime_is_not_found(device: Amd, gpus: FakeCuda) -> None:
    gpus.properties[0] = SimpleNamespace(pci_domain_id=0, pci_bus_id=0x76, pci_device_id=0, uuid=ASCII_UUID)
    first, second = device.identities()
    assert (first.pci_bus_id, first.uuid, first.driver_index) == ("0000:76:00.0", "GPU-8a1f3c5d7e9b0214", 128)
    assert (second.pci_bus_id, second.uuid, second.driver_index) == (None, None, None)


def test_an_only_device_is_the_only_gpu(device: Amd, gpus: FakeCuda, machine: Machine) -> None:
    gpus.names, gpus.properties[:] = ["AMD Instinct MI300X"], [SimpleNamespace()]
    assert device.identities()[0].pci_bus_id is None, "one visible device, but two GPUs it could be"
    (machine.root / "dev/dri/renderD129").unlink()
    only = device.identities()[0]
    assert (only.pci_bus_id, only.uuid) == ("0000:76:00.0", "GPU-8a1f3c5d7e9b0214")


def test_a_uuid_that_two_devices_give_is_none(
    device: Amd, gpus: FakeCuda, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_hip(machine, monkeypatch, FakeHip("0000:76:00.0", "0000:06:00.0"))
    gpus.properties[1].uuid = ASCII_UUID
    assert [(one.uuid, one.pci_bus_id) for one in device.identities()] == [
        (None, "0000:76:00.0"),
        (None, "0000:06:00.0"),
    ]


@pytest.mark.parametrize(("mode", "partition"), [("CPX\n", "CPX"), ("SPX\n", None), ("", None), (None, None)])
def test_a_partition_of_a_chip_says_so(
    device: Amd,
    gpus: FakeCuda,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    *,
    mode: str | None,
    partition: str | None,
) -> None:
    """The mode is the chip's, at its function 0; the partitions are further functions."""
    load_hip(machine, monkeypatch, FakeHip("0000:76:00.3", "0000:06:00.0"))
    if mode is not None:
        machine.write("sys/bus/pci/devices/0000:76:00.0/current_compute_partition", mode)
    assert [one.partition for one in device.identities()] == [partition, None]


def test_a_uuid_that_a_neighbour_gives_as_well_is_none(
    device: Amd, gpus: FakeCuda, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_hip(machine, monkeypatch, FakeHip("0000:76:00.0", "0000:06:00.0"))
    gpus.properties[1].uuid = ASCII_UUID
    assert [(one.uuid, one.pci_bus_id) for one in device.own_identities(1)] == [(None, "0000:76:00.0")]


@pytest.mark.parametrize(
    ("uuid", "text"),
    [
        (ASCII_UUID, "GPU-8a1f3c5d7e9b0214"),
        (ASCII_UUID.replace("38613166", "38413146"), "GPU-8a1f3c5d7e9b0214"),
        ("30303030-3030-3030-3030-303030303030", None),
        ("00000000-0000-0000-0000-000000000000", None),
        ("4b2c1a9f-8d3e-6f7a-b5c9-2e4d8a1f6c3b", None),
        ("58580000-0000-0000-0000-000000000000", None),
        ("", None),
        (None, None),
    ],
)
def test_uuids_of_hip(uuid: str | None, text: str | None) -> None:
    assert rocm.hip_uuid(SimpleNamespace(uuid=uuid)) == text


@pytest.mark.parametrize("broken", [FakeHip(), SimpleNamespace(), None])
def test_a_runtime_that_does_not_tell(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, broken: object, tmp_path: Path
) -> None:
    if broken is None:
        machine.write("proc/self/maps", f"7f00-7f01 r-xp 0 08:01 7   {tmp_path}/libamdhip64.so.6\n")
    else:
        load_hip(machine, monkeypatch, broken)
    assert rocm.hip_pci_address(0, machine.root) is None
    (machine.root / "proc/self/maps").unlink()
    assert rocm.hip_pci_address(0, machine.root) is None


def test_two_runtimes_in_one_process_are_not_asked(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    load_hip(machine, monkeypatch, FakeHip("0000:76:00.0"))
    maps = machine.root / "proc/self/maps"
    assert rocm.hip_pci_address(0, machine.root) == "0000:76:00.0"
    maps.write_text(maps.read_text() + "7f05-7f06 r-xp 0 08:01 9   /opt/torch/lib/libamdhip64.so\n")
    assert rocm.hip_pci_address(0, machine.root) is None


@pytest.mark.parametrize("name", ["fp32", "fp16", "bf16", "fp16_true", "bf16_true"])
def test_precisions(device: Amd, gpus: FakeCuda, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    assert device.precision_plugin(precision(name)) is not None


@pytest.mark.parametrize(
    ("isa", "has"),
    [
        ("gfx906:sramecc+:xnack-", False),
        ("gfx900", False),
        ("gfx1030", False),
        ("gfx908:sramecc+:xnack-", True),
        ("gfx90a:sramecc+:xnack-", True),
        ("gfx950", True),
        ("gfx1100", True),
        ("gfx1201", True),
        ("", True),  # not told: what runs is measured
    ],
)
def test_bfloat16_by_instruction_set(device: Amd, gpus: FakeCuda, isa: str, has: bool) -> None:
    gpus.properties[0].gcnArchName = isa
    for name in ("bf16", "bf16_true"):
        if has:
            device.precision_plugin(precision(name))
            continue
        with pytest.raises(PrecisionUnsupportedError, match=rf"MI300X \({isa.partition(':')[0]}\) has no {name}:"):
            device.precision_plugin(precision(name))
    device.precision_plugin(precision("fp32"))


def test_tf32_is_refused(device: Amd, gpus: FakeCuda) -> None:
    with pytest.raises(PrecisionUnsupportedError, match="it offers fp32, fp16, bf16"):
        device.precision_plugin(precision("tf32"))
    device.set_matmul("ieee")
    assert not torch.backends.cudnn.allow_tf32
    with pytest.raises(PrecisionUnsupportedError, match="AMD GPU: its PyTorch has no switch for TF32"):
        device.set_matmul("tf32")


def test_communication_is_rccl_under_nccls_name(device: Amd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    assert device.strategy(8)._process_group_backend == "nccl"


def test_versions(device: Amd, gpus: FakeCuda, machine: Machine) -> None:
    found = device.versions()
    assert (found["hip"], found["instruction_sets"]) == ("6.4.43482-0f2d60242", "gfx942")
    assert (found["timing"], found["communication"]) == ("device events", "nccl")
    assert "driver" not in found
    machine.write("sys/module/amdgpu/version", "6.12.12\n")
    assert device.versions()["driver"] == "amdgpu 6.12.12"


def test_asking_imports_no_torch(machine: Machine) -> None:
    code = (
        "import sys; from pathlib import Path; from hardware.spec import VendorSpec\n"
        "from hardware.device import load_device\n"
        "for name in ('amd.Amd', 'dcu.Dcu'):\n"
        "    device = load_device(VendorSpec(name='x', title='X', device='hardware.vendors.' + name, tasks=(),\n"
        "        precisions=(), visible_devices_env=None, communication_backend='nccl', meters=()), emulate=False)\n"
        "    device.device_root = Path(sys.argv[1]); device.unavailable_reason()\n"
        "heavy = {'torch', 'numpy', 'pytorch_lightning'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[4])}
    command = [sys.executable, "-c", code, str(machine.root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
