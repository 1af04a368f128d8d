"""Lightning accelerators for the device modules of torch that Lightning does not know, such as `torch.musa`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytorch_lightning.accelerators import Accelerator


def register_accelerator(namespace: str) -> str:
    """Enter an accelerator for `torch.<namespace>` in Lightning's registry, once.

    Returns:
        Its name there, which `Trainer(accelerator=...)` takes.
    """
    from pytorch_lightning.accelerators import AcceleratorRegistry

    if namespace not in AcceleratorRegistry.available_accelerators():
        made = make_accelerator(namespace)
        AcceleratorRegistry.register(namespace, made, description=f"devices of torch.{namespace}")
    return namespace


def make_accelerator(namespace: str) -> type[Accelerator]:
    """An accelerator class whose devices are `torch.<namespace>`'s."""
    import torch
    from pytorch_lightning.accelerators import Accelerator

    def module() -> Any:
        return getattr(torch, namespace)

    class ModuleAccelerator(Accelerator):
        """Hands Lightning the devices of one of torch's device modules."""

        def setup_device(self, device: torch.device) -> None:
            """Make `device` the current one."""
            if device.type != namespace:
                raise ValueError(f"a device of torch.{namespace} was expected, not {device}")
            if hasattr(module(), "set_device"):
                module().set_device(device)

        def teardown(self) -> None:
            """Give cached memory back."""
            if hasattr(module(), "empty_cache"):
                module().empty_cache()

        @staticmethod
        def parse_devices(devices: int | str | list[int]) -> list[int]:
            """Indices: so many from 0, or those listed."""
            if isinstance(devices, list):
                return devices
            return list(range(int(devices)))

        @staticmethod
        def get_parallel_devices(devices: list[int]) -> list[torch.device]:
            """One torch device per index."""
            return [torch.device(namespace, index) for index in devices]

        @staticmethod
        def auto_device_count() -> int:
            """All that are visible."""
            return int(module().device_count())

        @staticmethod
        def is_available() -> bool:
            """Whether the module is there and sees a device."""
            return hasattr(torch, namespace) and int(module().device_count()) > 0

        @staticmethod
        def name() -> str:
            """The module's name."""
            return namespace

        def get_device_stats(self, device: Any) -> dict[str, Any]:
            """Nothing: meters read devices, in a process of their own."""
            return {}

    return ModuleAccelerator
