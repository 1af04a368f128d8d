"""`torch.hpu` with a device that is not there, and a record of what it was asked."""

import os

devices = 2
name = "GAUDI2"
stats: dict[str, int] = {"Limit": 100, "InUse": 3, "MaxInUse": 7}
calls: list[str] = []
acquired: list[str | None] = []


class Event:
    clock_ms = 0.0

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing
        self.at_ms = -1.0

    def record(self) -> None:
        calls.append("record")
        Event.clock_ms += 125.0
        self.at_ms = Event.clock_ms

    def elapsed_time(self, end: "Event") -> float:
        return end.at_ms - self.at_ms


def init() -> None:
    acquired.append(os.environ.get("HLS_MODULE_ID"))


def device_count() -> int:
    return devices


def synchronize() -> None:
    calls.append("synchronize")


def get_device_name(index: int) -> str:
    return name


def get_device_properties(index: int) -> str:
    return "(sramBaseAddress=0x0, dramSize=0x17e2000000)"


def memory_stats() -> dict[str, int]:
    return stats


def reset_peak_memory_stats() -> None:
    calls.append("reset")


def manual_seed_all(seed: int) -> None:
    calls.append(f"seed {seed}")


def set_device(device: object) -> None:
    raise AssertionError("the device was acquired when the process connected; choosing again changes the module")
