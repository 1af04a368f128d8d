"""Vendors that only their inference engine reaches: found and named, serving on the host's side, never trained on."""

import time
from pathlib import Path

import pytest
from engine_tools import PlayedTool
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.detect import detect_vendor, device_nodes, visible_count
from hardware.device import load_device
from hardware.meters.registry import meter_names
from hardware.spec import VendorSpec
from hardware.stacks.engine_device import EngineDevice
from runner.core.registries import ENGINES as REGISTERED

ENGINES = {"zixiao": "zxrt", "hexaflake": "tcinfer", "graphcore": "poprt", "stc": "stc_ddk", "moffett": "sparsert"}
VENDORS = ("zixiao", "hexaflake", "tsingmicro", "graphcore", "stc", "moffett")
NODES = {
    "tsingmicro": ("dev/accel/dev-0", "dev/accel/dev-1", "dev/accel/dev-10"),
    "graphcore": ("dev/ipu0", "dev/ipu1", "dev/ipu10"),
    "stc": ("dev/stc0", "dev/stc1", "dev/stc10"),
}
"""Two devices and one whose name sorts between them."""
PARTS = ("dev/accel/accel0", "dev/accel_drv_mgr", "dev/ipu-psys0", "dev/stc0c0", "dev/stc0c3", "dev/stc0ctrl")
"""What is made beside them: another vendor's accelerator, a camera, clusters, control devices."""


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def engine(name: str, root: Path, spec: VendorSpec | None = None) -> EngineDevice:
    device = load_device(spec or vendor(name))
    assert isinstance(device, EngineDevice)
    device.device_root = root
    return device


def installed(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> EngineDevice:
    """The vendor's stack: empty packages, tools that print nothing, device nodes."""
    device = engine(name, folder)
    monkeypatch.syspath_prepend(str(folder))
    for package in device.packages:
        (folder / f"{package}.py").touch()
    for command in device.commands:
        PlayedTool(folder, monkeypatch, command).does("true")
    make(folder, *NODES.get(name, ()))
    return device


@pytest.mark.parametrize("name", VENDORS)
def test_what_they_can_do(name: str) -> None:
    spec = vendor(name)
    served = name in ENGINES
    assert spec.tasks == (("infer", "inspect") if served else ("inspect",))
    assert spec.compilers == ((ENGINES[name],) if served else ())
    assert spec.precisions and spec.install and "rapl" in spec.meters
    engine = REGISTERED.find(ENGINES[name]) if served else None
    assert engine is None or engine.precisions == (*spec.precisions, *spec.served_precisions), "no more, no less"
    assert set(spec.meters) <= set(meter_names())


@pytest.mark.parametrize("name", VENDORS)
def test_everything_that_is_missing_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    device = engine(name, tmp_path)
    reason = device.unavailable_reason()
    assert reason is not None
    assert all(f"no Python package {package}" in reason for package in device.packages)
    assert all(f"no command {command}" in reason for command in device.commands)
    assert ("no device (" in reason) == (name in NODES)
    assert device.count() == 0 and device.identities() == []
    with pytest.raises(HardwareUnavailableError) as caught:
        device.connect()
    assert reason in str(caught.value) and device.spec.install in str(caught.value)


@pytest.mark.parametrize("name", VENDORS)
def test_a_stack_that_is_there_serves_from_the_host(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = installed(name, tmp_path, monkeypatch)
    assert device.unavailable_reason() is None
    device.connect()
    device.set_matmul("ieee")
    with pytest.raises(PrecisionUnsupportedError, match="not as 'fast'"):
        device.set_matmul("fast")
    device.synchronize()
    assert device.torch_device(0).type == "cpu"
    assert not device.runs_torch and not device.times_on_device() and not device.pins_memory()
    start, end = device.event(), device.event()
    start.record()
    time.sleep(0.01)
    end.record()
    assert 0.01 <= device.elapsed_s(start, end) < 1
    for call in (device.accelerator, lambda: device.strategy(1), lambda: device.precision_plugin(precision("fp32"))):
        with pytest.raises(HardwareUnavailableError, match="for inference; PyTorch cannot use it"):
            call()
    assert device.memory_peaks().allocated_bytes is None and device.engine in str(device.memory_peaks().reason)
    assert device.versions()["engine"] == device.engine
    assert device.engine in device.reached_through


@pytest.mark.parametrize("name", NODES)
def test_devices_are_the_nodes_in_the_order_of_their_numbers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, *NODES[name], *PARTS)
    device = engine(name, tmp_path)
    assert device.count() == 3
    found = device.identities()
    assert [one.driver_index for one in found] == [0, 1, 10]
    assert [one.index for one in found] == [0, 1, 2]
    assert {one.name for one in found} == {device.spec.title}
    asked: list[str] = []
    monkeypatch.setattr("hardware.stacks.engine_device.pci_address_of_node", lambda node: asked.append(node.name))
    device.identities()
    assert [Path(path).name for path in NODES[name]] == asked


@pytest.mark.parametrize("name", NODES)
def test_nodes_are_found_and_told_from_others(name: str, tmp_path: Path) -> None:
    make(tmp_path, *PARTS)
    assert device_nodes(name, tmp_path) == [] and detect_vendor(tmp_path) not in VENDORS
    make(tmp_path, *NODES[name])
    assert {str(node.relative_to(tmp_path)) for node in device_nodes(name, tmp_path)} == set(NODES[name])
    assert visible_count(name, None, tmp_path) == 3


@pytest.mark.parametrize("name", sorted(set(VENDORS) - set(NODES)))
def test_without_known_nodes_it_is_the_engines_first_device(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = installed(name, tmp_path, monkeypatch)
    (only,) = device.identities()
    assert (only.index, only.driver_index, only.pci_bus_id, only.uuid) == (0, 0, None, None)
    assert device.count() == 1
    assert device_nodes(name, tmp_path) == [], "a package is no device: the vendor has to be named"


def test_the_chip_that_is_given_names_the_devices(tmp_path: Path) -> None:
    make(tmp_path, *NODES["graphcore"])
    spec = vendor("graphcore")
    spec.chip = "Graphcore C600"
    assert {one.name for one in engine("graphcore", tmp_path, spec).identities()} == {"Graphcore C600"}
