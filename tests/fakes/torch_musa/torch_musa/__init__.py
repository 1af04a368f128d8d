"""Stands in for torch_musa: renames torch's spare back-end and adds `torch.musa` and `torch.backends.mudnn`.

Only for processes of their own: torch can be renamed once. `TORCH_MUSA_DEVICES` says how many devices there are.
"""

import os
import sys
from types import ModuleType, SimpleNamespace

import torch

calls: list[str] = []
_current = [0]


class Event:
    def __init__(self, enable_timing: bool = False) -> None:
        self.at_ms = 0.0

    def record(self) -> None:
        self.at_ms = 1.0

    def elapsed_time(self, end: "Event") -> float:
        return end.at_ms - self.at_ms


def device_count() -> int:
    return int(os.environ.get("TORCH_MUSA_DEVICES", "2"))


def set_device(device: torch.device) -> None:
    _current[0] = device.index
    calls.append(f"set_device {device}")


musa = ModuleType("torch.musa")
for name, value in {
    "Event": Event,
    "current_device": lambda: _current[0],
    "device_count": device_count,
    "empty_cache": lambda: calls.append("empty_cache"),
    "get_amp_supported_dtype": lambda: [torch.float16, torch.bfloat16],
    "get_device_capability": lambda index: (3, 1),
    "get_device_name": lambda index: "MTT S5000",
    "get_device_properties": lambda index: SimpleNamespace(name="MTT S5000"),
    "is_available": lambda: device_count() > 0,
    "is_initialized": lambda: True,
    "set_device": set_device,
    "synchronize": lambda: calls.append("synchronize"),
    "_is_in_bad_fork": lambda: False,
    "manual_seed_all": lambda seed: calls.append(f"seed {seed}"),
}.items():
    setattr(musa, name, value)

torch.utils.rename_privateuse1_backend("musa")
torch._register_device_module("musa", musa)
sys.modules.setdefault("torch.musa", musa)
torch.backends.mudnn = SimpleNamespace(allow_tf32=True, version=lambda: 2700)
torch.version.musa = "40300"
