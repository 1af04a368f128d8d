"""Which GPU of the driver's list a runtime's device is: its meters, clocks and peaks are that one's."""

from __future__ import annotations

from typing import Any

import pytest
from hardware_specs import vendor

from hardware.base import DeviceIdentity
from hardware.runtimes.runtime import RuntimeDevice
from hardware.vendors import nvidia


class Seen(RuntimeDevice):
    """Sees so many devices of one name."""

    runtime, packages, host_kind = "jax", (), "cpu"
    names: tuple[str, ...] = ()

    def start(self) -> None:
        """Nothing."""

    def visible(self) -> int:
        return len(self.names)

    def wait(self, result: Any) -> None:
        """Nothing."""

    def settle(self) -> None:
        """Nothing."""

    def set_matmul(self, mode: str) -> None:
        """Nothing."""

    def device_name(self, index: int) -> str:
        return self.names[index]


def listed(*names: str) -> list[DeviceIdentity]:
    return [
        DeviceIdentity(index=place, uuid=f"GPU-{place}", pci_bus_id=f"0000:0{place}:00.0", name=name)
        for place, name in enumerate(names)
    ]


def identities(monkeypatch: pytest.MonkeyPatch, own: tuple[str, ...], *names: str) -> list[DeviceIdentity]:
    monkeypatch.setattr(nvidia, "nvml_devices", lambda: listed(*names))
    device = Seen(nvidia.Nvidia(vendor("nvidia")), on_host=False)
    device.names = own
    return device.identities()


@pytest.fixture(autouse=True)
def _no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)


def test_equal_gpus_are_those_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.uuid for one in identities(monkeypatch, ("H100", "H100"), "H100", "H100")] == ["GPU-0", "GPU-1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    (one,) = identities(monkeypatch, ("H100",), "H100", "H100")
    assert (one.index, one.uuid, one.partition) == (0, "GPU-1", None)


@pytest.mark.parametrize("shown", [None, "0", "0,1"])
def test_a_number_says_nothing_of_unlike_gpus(monkeypatch: pytest.MonkeyPatch, shown: str | None) -> None:
    """CUDA counts the fastest first, the driver by address: number 0 may be either."""
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    own = ("H100",) if shown == "0" else ("H100", "T4")
    found = identities(monkeypatch, own, "T4", "H100")
    assert [(one.name, one.uuid, one.pci_bus_id) for one in found] == [(name, None, None) for name in own]


def test_unlike_gpus_by_address_or_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    assert [one.uuid for one in identities(monkeypatch, ("H100",), "T4", "H100")] == ["GPU-1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert [one.uuid for one in identities(monkeypatch, ("H100", "T4"), "T4", "H100")] == ["GPU-1", "GPU-0"]


def test_an_instance_is_not_the_whole_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list has the A100 alone, by whose peak an instance would seem a seventh as good as it is."""
    (one,) = identities(monkeypatch, ("NVIDIA A100-SXM4-40GB MIG 1g.5gb",), "NVIDIA A100-SXM4-40GB")
    assert one.partition == "MIG"


def test_versions_tell_the_driver_and_what_torch_is_there_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia.Nvidia, "driver_version", lambda _: "580.1")
    told = Seen(nvidia.Nvidia(vendor("nvidia")), on_host=False).versions()
    assert told["driver"] == "580.1" and "draws batches" in told["torch's part"]
    assert "driver" not in Seen(nvidia.Nvidia(vendor("nvidia")), on_host=True).versions()
