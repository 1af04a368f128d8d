"""Stands in for Cambricon's torch_mlu: adds `torch.mlu` with devices that are not there, and its TF32 switches."""

from types import SimpleNamespace

import torch

__version__ = "1.24.1"
names = ["MLU370-X8", "MLU370-X8"]
properties: dict[str, object] = {}
stats: dict[str, int] = {"allocated_bytes.all.peak": 7, "reserved_bytes.all.peak": 9}
bf16 = True
calls: list[tuple[str, object]] = []


class Event:
    clock_ms = 0.0

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing
        self.at_ms = -1.0

    def record(self) -> None:
        Event.clock_ms += 125.0
        self.at_ms = Event.clock_ms

    def elapsed_time(self, end: "Event") -> float:
        return end.at_ms - self.at_ms


class GradScaler:
    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled

    def is_enabled(self) -> bool:
        return self._enabled


torch.mlu = SimpleNamespace(
    init=lambda: calls.append(("init", None)),
    device_count=lambda: len(names),
    synchronize=lambda: calls.append(("synchronize", None)),
    get_device_name=lambda index: names[index],
    get_device_properties=lambda index: SimpleNamespace(name=names[index], **properties),
    memory_stats=lambda: stats,
    reset_peak_memory_stats=lambda: calls.append(("reset", None)),
    manual_seed_all=lambda seed: calls.append(("seed", seed)),
    is_bf16_supported=lambda: bf16,
    Event=Event,
    amp=SimpleNamespace(GradScaler=GradScaler),
)
# As torch_mlu leaves them: convolutions in TF32, products and vector products in IEEE.
torch.backends.mlu = SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False), custom=SimpleNamespace(allow_tf32=False))
torch.backends.cnnl = SimpleNamespace(allow_tf32=True)
