"""A `torch.cuda` with devices that are not there: what a driver would answer, and a record of what it was asked."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch


class FakeEvent:
    clock_ms = 0.0

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing
        self.at_ms: float | None = None

    def record(self) -> None:
        FakeEvent.clock_ms += 250.0
        self.at_ms = FakeEvent.clock_ms

    def elapsed_time(self, end: "FakeEvent") -> float:
        assert self.at_ms is not None and end.at_ms is not None
        return end.at_ms - self.at_ms


@dataclass
class FakeCuda:
    names: list[str]
    capability: tuple[int, int] = (9, 0)
    properties: list[SimpleNamespace] = field(default_factory=list)
    stats: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    init_error: Exception | None = None

    def init(self) -> None:
        if self.init_error:
            raise self.init_error
        self.calls.append("init")


def install(monkeypatch: pytest.MonkeyPatch, fake: FakeCuda) -> FakeCuda:
    if not fake.properties:
        fake.properties = [SimpleNamespace(name=name) for name in fake.names]
    answers = {
        "init": fake.init,
        "is_available": lambda: bool(fake.names),
        "device_count": lambda: len(fake.names),
        "synchronize": lambda: fake.calls.append("synchronize"),
        "get_device_name": lambda index: fake.names[index],
        "get_device_capability": lambda index: fake.capability,
        "get_device_properties": lambda index: fake.properties[index],
        "memory_stats": lambda: fake.stats,
        "reset_peak_memory_stats": lambda: fake.calls.append("reset"),
        "Event": FakeEvent,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    return fake
