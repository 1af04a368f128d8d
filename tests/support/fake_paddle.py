"""A package `paddle` with an asynchronous device: work is queued, and done on the device's own clock.

Only what `hardware.runtimes.paddle` calls is there, as Paddle documents it (`paddle.device`, version 3.1 on).
"""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec
from typing import Any

import pytest


class FakePaddle:
    """What was called, the queue of the device, and how its build differs from a complete one."""

    def __init__(self, kind: str = "xpu", *, devices: int = 2, events: bool = True, peaks: bool = True) -> None:
        self.kind, self.devices, self.events, self.peaks = kind, devices, events, peaks
        self.calls: list[tuple[Any, ...]] = []
        self.queued_s = 0.0
        """When the device will have done all that it was given, on its own clock."""
        self.switches = {"cublas": True, "cudnn": True}
        self.stuck: set[str] = set()
        """Switches that keep their place."""

    def submit(self, seconds: float) -> None:
        """Work that takes so long."""
        self.queued_s += seconds

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the place of the package, for as long as the test runs."""
        modules = {"paddle": self._package(), "paddle.base": types.ModuleType("paddle.base")}
        modules["paddle.base"].core = self._core()  # type: ignore[attr-defined]
        for name, module in modules.items():
            module.__spec__ = ModuleSpec(name, None)
            monkeypatch.setitem(sys.modules, name, module)

    def _note(self, *call: Any) -> None:
        self.calls.append(call)

    def _package(self) -> types.ModuleType:
        package, device = types.ModuleType("paddle"), types.SimpleNamespace()
        names = [f"{self.kind}:{index}" for index in range(self.devices)]
        built_in = self.kind in ("gpu", "xpu")
        device.get_available_device = lambda: names if built_in else []
        device.get_available_custom_device = lambda: None if built_in else names
        device.synchronize = lambda place=None: self._note("synchronize", place)
        device.get_device_name = self._name
        fake = self

        class Event:
            """Documented: `Event(enable_timing=False, blocking=False, interprocess=False)`; milliseconds."""

            def __init__(self, *, enable_timing: bool = False) -> None:
                if not fake.events:
                    raise NameError("name '_create_event_base' is not defined")
                self.timing, self.at_s = enable_timing, float("nan")

            def record(self) -> None:
                self.at_s = fake.queued_s

            def elapsed_time(self, end: Any) -> float:
                assert self.timing and end.timing, "events without enable_timing tell no time"
                return float(end.at_s - self.at_s) * 1000

        device.Event = Event
        for name, value in (("allocated", 3 << 20), ("reserved", 5 << 20)):
            setattr(device, f"max_memory_{name}", self._peak(name, value))
            setattr(device, f"reset_max_memory_{name}", lambda place=None, name=name: self._note("reset", name, place))
        package.device = device  # type: ignore[attr-defined]
        package.set_device = lambda place: self._note("set_device", place)  # type: ignore[attr-defined]
        package.seed = lambda seed: self._note("seed", seed)  # type: ignore[attr-defined]
        package.__version__ = "3.3.1"  # type: ignore[attr-defined]
        return package

    def _name(self, place: str) -> str:
        if self.kind == "mlu":
            return ""
        if self.kind != "gpu":
            raise ValueError(f"The API get_device_properties is not supported for {place}")
        return f"Chip {place}"

    def _peak(self, name: str, value: int) -> Any:
        def peak(place: str | None = None) -> int:
            if not self.peaks:
                raise ValueError(f"The API paddle.device.max_memory_{name} is not supported")
            self._note("peak", name, place)
            return value

        return peak

    def _core(self) -> Any:
        core = types.SimpleNamespace()
        for library in self.switches:

            def turn(value: bool, library: str = library) -> None:
                if library not in self.stuck:
                    self.switches[library] = value

            setattr(core, f"set_{library}_switch", turn)
            setattr(core, f"get_{library}_switch", lambda library=library: self.switches[library])
        return core
