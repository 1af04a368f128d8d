from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.detect import detect_vendor, visible_count
from hardware.device import load_device
from hardware.meters.registry import meter_names
from hardware.vendors.mthreads import Mthreads

VARIABLE = "MUSA_VISIBLE_DEVICES"


class FakeMusa(SimpleNamespace):
    """`torch.musa` of two MTT S4000; one for a process of its own is in tests/fakes/torch_musa."""

    def __init__(self) -> None:
        super().__init__(
            device_count=lambda: 2,
            get_device_name=lambda index: "MTT S4000",
            get_device_capability=lambda index: (2, 2),
            get_device_properties=lambda index: SimpleNamespace(name="MTT S4000"),
        )


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(VARIABLE, raising=False)
    yield


@pytest.fixture
def device(tmp_path: Path) -> Mthreads:
    made = load_device(vendor("mthreads"))
    assert isinstance(made, Mthreads)
    made.device_root = tmp_path
    (tmp_path / "dev").mkdir()
    for number in (0, 1):
        (tmp_path / f"dev/mtgpu.{number}").touch()
    return made


@pytest.fixture
def musa(monkeypatch: pytest.MonkeyPatch) -> FakeMusa:
    fake = FakeMusa()
    monkeypatch.setattr(torch, "musa", fake, raising=False)
    monkeypatch.setattr(torch.backends, "mudnn", SimpleNamespace(allow_tf32=True), raising=False)
    return fake


def test_it_is_found_by_its_nodes(device: Mthreads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert detect_vendor(tmp_path) == "mthreads"
    (tmp_path / "dev/mtgpu.1").rename(tmp_path / "dev/mtgpu1")
    (tmp_path / "dev/mtgpu_ctl").touch()
    assert len(device.found_nodes()) == 2, "either spelling, and no control node"
    monkeypatch.setenv(VARIABLE, "1")
    assert visible_count("mthreads", VARIABLE, tmp_path) == 1


def test_its_meters_exist() -> None:
    spec = vendor("mthreads")
    assert set(spec.meters) <= set(meter_names())
    assert (spec.visible_devices_env, spec.communication_backend) == (VARIABLE, "mccl")


def test_unavailable_names_everything_that_is_missing(device: Mthreads, tmp_path: Path) -> None:
    assert device.unavailable_reason() == "no Python package torch_musa"
    for node in (tmp_path / "dev").iterdir():
        node.unlink()
    assert "no device (/dev/mtgpu*[0-9]: the driver makes them) and no" in (device.unavailable_reason() or "")
    with pytest.raises(HardwareUnavailableError, match=r"Moore Threads GPU: .*Install Moore Threads'.*emulate=true"):
        device.connect()


def test_a_stack_that_does_not_load(device: Mthreads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch_musa.py").write_text("raise OSError('libmusart.so.5: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(HardwareUnavailableError, match=r"torch_musa is installed but does not load: libmusart.so.5"):
        device.connect()


def test_tf32_is_mudnns_switch(device: Mthreads, musa: FakeMusa) -> None:
    device.set_matmul("ieee")
    assert torch.backends.mudnn.allow_tf32 is False, "muDNN's default is TF32"
    device.set_matmul("tf32")
    assert torch.backends.mudnn.allow_tf32 is True
    device.require_chip(precision("tf32"))


def test_a_version_without_the_switch(device: Mthreads, musa: FakeMusa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.backends, "mudnn")
    device.set_matmul("ieee")  # the probe finds out what then runs
    with pytest.raises(PrecisionUnsupportedError, match=r"no torch\.backends\.mudnn\.allow_tf32"):
        device.set_matmul("tf32")


@pytest.mark.parametrize("wanted", ["bf16", "bf16_true"])
def test_bfloat16_needs_an_s4000(
    device: Mthreads, musa: FakeMusa, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    device.precision_plugin(precision(wanted))
    monkeypatch.setattr(musa, "get_device_capability", lambda index: (2, 2) if index == 0 else (2, 1))
    monkeypatch.setattr(musa, "get_device_name", lambda index: ("MTT S4000", "MTT S80")[index])
    device.precision_plugin(precision(wanted))  # the other one is no rank's
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(PrecisionUnsupportedError, match=r"MTT S80 \(compute capability 2\.1\) has no bfloat16.*2\.2"):
        device.precision_plugin(precision(wanted))
    device.precision_plugin(precision("fp16_true"))


@pytest.mark.parametrize(
    ("nodes", "variable", "expected"),
    [
        ((0, 1), None, [0, 1]),
        ((3, 5), None, [3, 5]),
        ((0, 1, 2), "2,0", [2, 0]),
        ((3, 5), "0,1", [None, None]),  # numbers of the container or of the machine?
        ((1, 2), "1,2", [None, None]),
        ((0, 1, 2), None, [None, None]),  # one more node than devices
    ],
)
def test_which_node_a_device_is(  # noqa: PLR0917 -- four of them are fixtures
    device: Mthreads,
    musa: FakeMusa,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    nodes: tuple[int, ...],
    variable: str | None,
    expected: list[int | None],
) -> None:
    for node in (tmp_path / "dev").iterdir():
        node.unlink()
    for number in nodes:
        (tmp_path / f"dev/mtgpu.{number}").touch()
    if variable is not None:
        monkeypatch.setenv(VARIABLE, variable)
    assert [one.driver_index for one in device.identities()] == expected


def test_versions(device: Mthreads, musa: FakeMusa, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"musa", "mudnn", "torch_musa"}.isdisjoint(device.versions())
    monkeypatch.setattr(torch.version, "musa", "40300", raising=False)
    monkeypatch.setattr(torch.backends.mudnn, "version", lambda: 2700, raising=False)
    versions = device.versions()
    assert (versions["musa"], versions["mudnn"], versions["communication"]) == ("40300", "2700", "mccl")
