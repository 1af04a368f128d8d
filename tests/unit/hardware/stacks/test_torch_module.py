"""What every stack with a device module of torch shares, over a module `torch.chip` that is made here."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from hardware_specs import precision, vendor

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.bus.nodes import node_number, visible_node
from hardware.precision.switches import Switch
from hardware.spec import PrecisionSpec
from hardware.stacks.host import HostEvent
from hardware.stacks.torch_module import TorchModuleDevice

ROOT_VARIABLE = "MUSA_VISIBLE_DEVICES"


class Event:
    clock_ms = 0.0

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing

    def record(self) -> None:
        Event.clock_ms += 250.0
        self.at_ms = Event.clock_ms

    def elapsed_time(self, end: "Event") -> float:
        return end.at_ms - self.at_ms


class Chip(TorchModuleDevice):
    namespace: ClassVar[str] = "chip"
    packages: ClassVar[tuple[str, ...]] = ("torch_chip",)
    nodes: ClassVar[tuple[str, ...]] = ("/dev/chip[0-9]*",)
    switches: ClassVar[tuple[Switch, ...]] = (
        Switch(path="backends.chipdnn.allow_tf32"),
        Switch(path="chip.matmul.allow_half", tf32=False),
    )

    def require_chip(self, precision: PrecisionSpec) -> None:
        if precision.autocast == "bfloat16":
            raise PrecisionUnsupportedError("no bfloat16")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    calls: list[str] = []
    made = SimpleNamespace(
        calls=calls,
        init=lambda: calls.append("init"),
        device_count=lambda: 2,
        synchronize=lambda: calls.append("synchronize"),
        Event=Event,
        matmul=SimpleNamespace(allow_half=True),
        memory_stats=lambda: {"allocated_bytes.all.peak": 5 << 20, "reserved_bytes.all.peak": 8 << 20},
        reset_peak_memory_stats=lambda: calls.append("reset"),
        manual_seed_all=lambda seed: calls.append(f"seed {seed}"),
        get_device_name=lambda index: f"Chip {index}",
        get_device_properties=lambda index: SimpleNamespace(),
    )
    monkeypatch.setattr(torch, "chip", made, raising=False)
    monkeypatch.setattr(torch.backends, "chipdnn", SimpleNamespace(allow_tf32=True), raising=False)
    monkeypatch.setitem(sys.modules, "torch_chip", None)
    yield made


@pytest.fixture
def device(tmp_path: Path, module: Any, monkeypatch: pytest.MonkeyPatch) -> Chip:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    package = ModuleType("torch_chip")
    package.__spec__ = SimpleNamespace(name="torch_chip")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "torch_chip", package)
    made = Chip(vendor("mthreads"))
    made.device_root = tmp_path
    (tmp_path / "dev").mkdir()
    for number in (0, 1):
        (tmp_path / f"dev/chip{number}").touch()
    return made


def test_connect_starts_the_runtime_and_waits(device: Chip, module: Any) -> None:
    device.connect()
    assert module.calls == ["init", "synchronize", "synchronize"], "the last for a first pair of events"
    assert device.versions()["timing"] == "device events"


@pytest.mark.parametrize("error", [RuntimeError("driver too old"), AssertionError("not compiled"), OSError("libchip")])
def test_a_runtime_that_does_not_start(device: Chip, module: Any, error: Exception) -> None:
    def refuse() -> None:
        raise error

    module.init = refuse
    with pytest.raises(HardwareUnavailableError, match=rf"torch .* cannot use it: {error}.*emulate=true") as caught:
        device.connect()
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("value", "said"), [(None, f"{ROOT_VARIABLE} is not set"), ("", f"{ROOT_VARIABLE}="), ("7", f"{ROOT_VARIABLE}=7")]
)
def test_no_visible_device(
    device: Chip, module: Any, monkeypatch: pytest.MonkeyPatch, value: str | None, said: str
) -> None:
    if value is not None:
        monkeypatch.setenv(ROOT_VARIABLE, value)
    module.device_count = lambda: 0
    with pytest.raises(HardwareUnavailableError, match=rf"sees no device \({said}\)"):
        device.connect()


def test_a_package_without_the_namespace_does_not_connect(device: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch, "chip")
    with pytest.raises(HardwareUnavailableError, match="cannot use it: module 'torch' has no attribute 'chip'"):
        device.connect()


def test_seconds_between_events_of_the_device(device: Chip, module: Any) -> None:
    device.connect()
    start, end = device.event(), device.event()
    start.record()
    end.record()
    assert isinstance(start, Event) and device.elapsed_s(start, end) == pytest.approx(0.25)


@pytest.mark.parametrize("broken", ["missing", "refusing", "not recorded"])
def test_without_events_the_hosts_clock_is_taken_and_said(device: Chip, module: Any, broken: str) -> None:
    class Refusing(Event):
        def elapsed_time(self, end: Event) -> float:
            raise NotImplementedError

    if broken == "missing":
        del module.Event
    elif broken == "refusing":
        module.Event = Refusing
    else:
        module.Event = lambda: None
    assert device.times_on_device()
    device.connect()
    event = device.event()
    assert isinstance(event, HostEvent) and not device.times_on_device()
    assert device.versions()["timing"] == "host clock: the stack has no timing events"
    event.record()
    later = device.event()
    later.record()
    assert device.elapsed_s(event, later) >= 0


def test_allocator_peaks(device: Chip, module: Any) -> None:
    peaks = device.memory_peaks()
    assert (peaks.allocated_bytes, peaks.reserved_bytes, peaks.reason) == (5 << 20, 8 << 20, None)
    device.reset_memory_peaks()
    assert module.calls == ["reset"]


@pytest.mark.parametrize(
    ("stats", "reason"),
    [({}, "keeps no peaks"), ({"allocated_bytes.all.peak": 0, "reserved_bytes.all.peak": 0}, "counts nothing")],
)
def test_peaks_that_nobody_keeps_are_null(device: Chip, module: Any, stats: dict[str, int], reason: str) -> None:
    module.memory_stats = lambda: stats
    peaks = device.memory_peaks()
    assert (peaks.allocated_bytes, peaks.reserved_bytes) == (None, None)
    assert reason in (peaks.reason or "")


def test_a_peak_that_is_told_alone(device: Chip, module: Any) -> None:
    module.memory_stats = lambda: {"allocated_bytes.all.peak": 7}
    peaks = device.memory_peaks()
    assert (peaks.allocated_bytes, peaks.reserved_bytes) == (7, None)
    assert "reserves" in (peaks.reason or "")


def test_a_stack_without_statistics(device: Chip, module: Any) -> None:
    del module.memory_stats, module.reset_peak_memory_stats
    assert "no allocator statistics" in (device.memory_peaks().reason or "")
    device.reset_memory_peaks()


def test_seeds_the_devices_where_they_take_one(device: Chip, module: Any) -> None:
    device.seed(11)
    assert module.calls == ["seed 11"] and torch.initial_seed() == 11
    del module.manual_seed_all
    device.seed(12)
    assert torch.initial_seed() == 12


def test_the_switches_of_float32(device: Chip, module: Any) -> None:
    device.set_matmul("ieee")
    assert (torch.backends.chipdnn.allow_tf32, module.matmul.allow_half) == (False, False)
    device.set_matmul("tf32")
    assert (torch.backends.chipdnn.allow_tf32, module.matmul.allow_half) == (True, False), "half is not TF32"
    with pytest.raises(PrecisionUnsupportedError, match="not as 'half'"):
        device.set_matmul("half")


def test_a_switch_that_keeps_its_place(device: Chip, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck:
        @property
        def allow_tf32(self) -> bool:
            return True

        @allow_tf32.setter
        def allow_tf32(self, value: bool) -> None:
            pass

    monkeypatch.setattr(torch.backends, "chipdnn", Stuck())
    device.set_matmul("tf32")
    with pytest.raises(PrecisionUnsupportedError, match=r"torch\.backends\.chipdnn\.allow_tf32 cannot be set to False"):
        device.set_matmul("ieee")


def test_without_a_switch_tf32_is_refused(device: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.backends, "chipdnn")
    device.set_matmul("ieee")
    with pytest.raises(PrecisionUnsupportedError, match=r"no torch\.backends\.chipdnn\.allow_tf32 for TF32"):
        device.set_matmul("tf32")
    monkeypatch.setattr(Chip, "switches", (Switch(path="chip.matmul.allow_half", tf32=False),))
    with pytest.raises(PrecisionUnsupportedError, match="no switch for TF32"):
        device.set_matmul("tf32")


def test_precisions_are_asked_of_the_list_then_the_chip(device: Chip) -> None:
    with pytest.raises(PrecisionUnsupportedError, match="no bfloat16"):
        device.precision_plugin(precision("bf16"))
    device.spec.precisions = ("fp32",)
    with pytest.raises(PrecisionUnsupportedError, match="does not offer precision=bf16; it offers fp32"):
        device.precision_plugin(precision("bf16"))


def test_the_stacks_own_gradient_scaler_is_preferred(device: Chip, module: Any) -> None:
    made: list[bool] = []
    module.amp = SimpleNamespace(GradScaler=lambda enabled: made.append(enabled) or "own")
    assert device.make_scaler(True) == "own" and made == [True]
    del module.amp
    assert isinstance(device.make_scaler(False), torch.amp.GradScaler)


@pytest.mark.parametrize(
    ("uuid", "told"),
    [
        ("GPU-0a1b", "GPU-0a1b"),
        (None, None),
        ("", None),
        ("00000000-0000-0000-0000-000000000000", None),  # would be the same for all devices
        (object(), None),  # `<object object at 0x…>`: another one in every process
    ],
)
def test_only_a_uuid_that_names_the_device_is_one(device: Chip, module: Any, uuid: object, told: str | None) -> None:
    module.get_device_properties = lambda index: SimpleNamespace(uuid=uuid)
    assert [one.uuid for one in device.identities()] == [told, told]


def test_addresses_from_the_properties_or_from_the_node(
    device: Chip, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "hardware.stacks.torch_module.pci_address_of_node", lambda node: asked.append(node.name) or "0000:5e:00.0"
    )
    module.get_device_properties = lambda index: SimpleNamespace(
        pci_domain_id=0, pci_bus_id=0x9D if index == 0 else 0, pci_device_id=0
    )
    first, second = device.identities()
    assert (first.pci_bus_id, second.pci_bus_id, asked) == ("0000:9d:00.0", "0000:5e:00.0", ["chip1"])
    assert (first.name, second.index, second.driver_index) == ("Chip 0", 1, 1)


def test_a_stack_without_properties_tells_the_name(device: Chip, module: Any) -> None:
    del module.get_device_properties
    one = device.identities()[1]
    assert (one.uuid, one.pci_bus_id, one.name, one.driver_index) == (None, None, "Chip 1", 1)


@pytest.mark.parametrize(
    ("variable", "expected"), [("1", [None, None]), ("1,0", [1, 0]), ("GPU-0a1b,1", [None, None]), ("5,0", [None, 0])]
)
def test_visible_devices_that_are_numbers_have_a_node(
    device: Chip, monkeypatch: pytest.MonkeyPatch, variable: str, expected: list[int | None]
) -> None:
    monkeypatch.setitem(os.environ, ROOT_VARIABLE, variable)
    assert [one.driver_index for one in device.identities()] == expected


@pytest.mark.parametrize(
    ("there", "shown", "count", "expected"),
    [
        ((0, 1, 2), None, 3, [0, 1, 2]),
        ((1, 3), None, 2, [1, 3]),  # a container's choice, all of it visible
        ((0, 1, 2), None, 2, [None, None]),  # something else hides one: nobody knows which
        ((0, 1, 2), "2,0", 2, [2, 0]),
        ((1, 3), "1", 1, [None]),  # node 1, or the second of those that are here
        ((0, 1), "GPU-0a", 1, [None]),
    ],
)
def test_no_node_is_taken_by_guess(
    there: tuple[int, ...], shown: str | None, count: int, expected: list[int | None]
) -> None:
    nodes = [Path(f"/dev/chip{number}") for number in there]
    found = [visible_node(nodes, index, shown=shown, count=count) for index in range(count)]
    assert [None if node is None else node_number(node) for node in found] == expected


def test_torchs_name_of_a_device(device: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "device", lambda kind, index: (kind, index))  # torch refuses kinds it does not know
    assert device.torch_device(1) == ("chip", 1)
