import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.detect import detect_vendor, visible_count
from hardware.device import load_device
from hardware.meters.registry import meter_names
from hardware.vendors.ascend import Ascend

FAKES = Path(__file__).parents[3] / "fakes"
VARIABLE = "ASCEND_RT_VISIBLE_DEVICES"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (VARIABLE, "ASCEND_HOME_PATH"):
        monkeypatch.delenv(name, raising=False)
    yield
    sys.modules.pop("torch_npu", None)
    torch.__dict__.pop("npu", None)


@pytest.fixture
def device(tmp_path: Path) -> Ascend:
    made = load_device(vendor("ascend"))
    assert isinstance(made, Ascend)
    made.device_root = tmp_path
    (tmp_path / "dev").mkdir()
    place(tmp_path, 0, 1)
    return made


def place(root: Path, *numbers: int) -> None:
    for node in (root / "dev").iterdir():
        node.unlink()
    for name in ("davinci_manager", *(f"davinci{number}" for number in numbers)):
        (root / "dev" / name).touch()


@pytest.fixture
def stack(device: Ascend, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FAKES / "torch_npu"))
    device.connect()
    return sys.modules["torch_npu"]


def test_it_is_found_by_its_nodes(device: Ascend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert detect_vendor(tmp_path) == "ascend"
    assert visible_count("ascend", VARIABLE, tmp_path) == 2, "davinci_manager is not a device"
    monkeypatch.setenv(VARIABLE, "1")
    assert visible_count("ascend", VARIABLE, tmp_path) == 1


def test_its_meters_exist_and_its_variable_is_the_runtimes() -> None:
    spec = vendor("ascend")
    assert set(spec.meters) <= set(meter_names())
    assert (spec.visible_devices_env, spec.communication_backend) == (VARIABLE, "hccl")


def test_unavailable_names_everything_that_is_missing(device: Ascend, tmp_path: Path) -> None:
    assert device.unavailable_reason() == "no Python package torch_npu"
    place(tmp_path)
    assert device.unavailable_reason() == (
        "no device (/dev/davinci[0-9]*: the driver makes them) and no Python package torch_npu"
    )
    with pytest.raises(HardwareUnavailableError, match=r"Huawei Ascend NPU: .*Install Huawei's.*emulate=true"):
        device.connect()


def test_connect_starts_the_stack(device: Ascend, stack: ModuleType) -> None:
    assert stack.calls[:2] == ["init", "synchronize"]
    assert device.count() == 2
    assert "host clock" in device.versions()["timing"], "this fake has no events"
    assert device.versions()["communication"] == "hccl"


def test_float32_stays_float32(device: Ascend, stack: ModuleType) -> None:
    assert torch.npu.conv.allow_hf32 is True, "torch_npu's default"
    device.set_matmul("ieee")
    assert stack.options == {
        "ALLOW_MATMUL_HF32": "disable",
        "ALLOW_CONV_HF32": "disable",
        "ACL_PRECISION_MODE": "must_keep_origin_dtype",
    }


def test_tf32_is_refused_and_hf32_is_not_taken_for_it(device: Ascend, stack: ModuleType) -> None:
    with pytest.raises(PrecisionUnsupportedError, match="no switch for TF32"):
        device.set_matmul("tf32")
    with pytest.raises(PrecisionUnsupportedError, match="does not offer precision=tf32"):
        device.precision_plugin(precision("tf32"))
    assert stack.options == {}


def test_a_stack_without_precision_modes(device: Ascend, stack: ModuleType) -> None:
    del stack.npu.set_option
    stack.npu.matmul = stack.npu.conv = SimpleNamespace(allow_hf32=True)
    device.set_matmul("ieee")
    assert stack.npu.matmul.allow_hf32 is False and stack.options == {}


def test_a_setting_that_fails_is_said(device: Ascend, stack: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(option: dict[str, str]) -> None:
        raise RuntimeError("error code is 500001")

    monkeypatch.setattr(stack.npu, "set_option", refuse)  # the HF32 switches have a way of their own
    with pytest.raises(PrecisionUnsupportedError, match="cannot keep float32 as it is: error code is 500001"):
        device.set_matmul("ieee")


def test_its_own_gradient_scaler(device: Ascend, stack: ModuleType) -> None:
    plugin = device.precision_plugin(precision("fp16"))
    assert isinstance(plugin.scaler, stack.GradScaler) and plugin.scaler.is_enabled()
    assert plugin.device == "npu"


@pytest.mark.parametrize(
    "name", ["Ascend910A", "Ascend910ProB", "Ascend910PremiumA", "Ascend910B", "910", "Ascend310P3"]
)
@pytest.mark.parametrize("wanted", ["bf16", "bf16_true"])
def test_the_first_910_and_the_310s_have_no_bfloat16(
    device: Ascend, stack: ModuleType, name: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.npu, "get_device_name", lambda index: name)
    with pytest.raises(PrecisionUnsupportedError, match=f"{name} has no bfloat16"):
        device.precision_plugin(precision(wanted))
    device.precision_plugin(precision("fp16_true"))


@pytest.mark.parametrize("name", ["Ascend910B1", "Ascend910B2C", "Ascend910B4-1", "Ascend910_9362", "Ascend950PR_9599"])
def test_later_chips_have_bfloat16(
    device: Ascend, stack: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.npu, "get_device_name", lambda index: name)
    assert device.precision_plugin(precision("bf16")).precision == "bf16-mixed"
    monkeypatch.setattr(stack.npu, "is_bf16_supported", lambda: False, raising=False)
    with pytest.raises(PrecisionUnsupportedError, match="has no bfloat16"):
        device.precision_plugin(precision("bf16"))


@pytest.mark.parametrize(
    ("nodes", "variable", "visible", "expected"),
    [
        ((0, 1, 2), None, 3, [0, 1, 2]),
        ((4, 6), None, 2, [4, 6]),  # a container: the runtime counts its devices from 0
        ((4, 6), "1", 1, [6]),
        ((0, 2, 10), "1,2", 2, [2, 10]),  # in the order of numbers, not of names
        ((0, 1, 2), "1, 2", 1, [1]),  # the runtime stops at the space
        ((0, 1), "5", 1, [None]),
        ((0, 1, 2), None, 2, [None, None]),  # nodes that the runtime does not use: which ones is not known
        ((0, 1), "0,1", 1, [None]),
    ],
)
def test_which_node_a_device_is(  # noqa: PLR0917 -- four of them are fixtures
    device: Ascend,
    stack: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    nodes: tuple[int, ...],
    variable: str | None,
    visible: int,
    expected: list[int | None],
) -> None:
    place(tmp_path, *nodes)
    if variable is not None:
        monkeypatch.setenv(VARIABLE, variable)
    monkeypatch.setattr(stack.npu, "device_count", lambda: visible)
    assert [one.driver_index for one in device.identities()] == expected


def test_names_and_uuids(device: Ascend, stack: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    properties = [SimpleNamespace(uuid=object()), SimpleNamespace(uuid="01234567-89ab-cdef-0123-456789abcdef")]
    monkeypatch.setattr(stack.npu, "get_device_properties", properties.__getitem__, raising=False)
    first, second = device.identities()
    assert (first.name, first.uuid, first.pci_bus_id) == ("Ascend910B3", None, None)
    assert second.uuid == "01234567-89ab-cdef-0123-456789abcdef"


def test_versions_of_driver_and_toolkit(
    device: Ascend, stack: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "driver" not in device.versions() and "cann" not in device.versions()
    driver = tmp_path / "usr/local/Ascend/driver"
    driver.mkdir(parents=True)
    (driver / "version.info").write_text("Version=24.1.0\nascendhal_version=7.35.23\n")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    (tmp_path / "toolkit/aarch64-linux").mkdir(parents=True)
    info = tmp_path / "toolkit/aarch64-linux/ascend_toolkit_install.info"
    info.write_text("package_name=Ascend-cann-toolkit\nversion=8.1.RC1\ninnerversion=V100R001\n")
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path / "toolkit"))
    versions = device.versions()
    assert (versions["driver"], versions["cann"]) == ("24.1.0", "8.1.RC1")
