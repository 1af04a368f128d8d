"""Stands in for torch_npu: a `torch.npu` whose switches behave as torch_npu/npu/npu_config.py writes them."""

from types import ModuleType

import torch

options: dict[str, str] = {}
calls: list[str] = []


class _Hf32:
    """Answers for one name alone, through the options; convolutions are on until switched off."""

    def __init__(self, option: str, unset: bool) -> None:
        object.__setattr__(self, "_option", option)
        object.__setattr__(self, "_unset", unset)

    def __setattr__(self, name: str, value: bool) -> None:
        if name == "allow_hf32":
            set_option({self._option: "enable" if value else "disable"})

    def __getattr__(self, name: str) -> bool | None:
        if name != "allow_hf32":
            return None
        return options[self._option] == "enable" if self._option in options else self._unset


class GradScaler:
    """Looks at the chip's overflow flag, which torch's own does not."""

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled

    def is_enabled(self) -> bool:
        return self._enabled


def set_option(option: dict[str, str]) -> None:
    options.update(option)


npu = ModuleType("torch.npu")
npu.amp = ModuleType("torch.npu.amp")
npu.amp.GradScaler = GradScaler
for name, value in {
    "matmul": _Hf32("ALLOW_MATMUL_HF32", unset=False),
    "conv": _Hf32("ALLOW_CONV_HF32", unset=True),
    "set_option": set_option,
    "init": lambda: calls.append("init"),
    "device_count": lambda: 2,
    "get_device_name": lambda index: "Ascend910B3",
    "synchronize": lambda: calls.append("synchronize"),
}.items():
    setattr(npu, name, value)
torch.npu = npu
