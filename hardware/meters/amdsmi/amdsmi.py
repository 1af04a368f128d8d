"""AMD GPUs through `amdsmi`, the Python library of AMD SMI that comes with ROCm.

Its order of GPUs is not HIP's, so devices are found by PCI address or UUID. Boards of two dies (MI250) have one power
sensor: their power and energy are read once, from the primary die, as the board's.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar

from hardware.base import DeviceIdentity
from hardware.meters.amdsmi.boards import DIES, Die, primary_dies
from hardware.meters.amdsmi.chips import AmdChip, list_chips, require_whole
from hardware.meters.amdsmi.figures import FAST, FIGURES, Figure, power_w
from hardware.meters.amdsmi.throttle import causes, counts
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.frame.boards import board_source

SLOW_PERIOD_S = 1.0
_LOAD_ERRORS = (ImportError, OSError, KeyError, AttributeError)
"""What a library without its native part, or with one of another version, raises."""


@dataclass(kw_only=True, slots=True)
class Sensor:
    """One GPU, or the primary die of a board, and the way each figure is read from it."""

    source: str
    handle: Any
    figures: dict[str, Figure]
    board: str | None = None
    """Of a die that shares a power sensor: the source of its board's power."""
    doubt: str | None = None
    """Why it has no power."""
    slow_due_s: float = 0.0
    residencies: dict[str, int] = field(default_factory=dict)


class AmdSmi(Meter):
    """Power, energy, temperature, utilisation, clock, memory and throttle causes of whole GPUs."""

    name: ClassVar[str] = "amdsmi"
    period_s: ClassVar[float] = 0.1

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._smi: ModuleType | None = None
        self._gpus: list[Sensor] = []
        self._boards: list[Sensor] = []

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find each device by PCI address, else UUID, and how each of its figures is read.

        Raises:
            MeterUnavailableError: no library or driver, a device it does not know, a virtual or a partitioned GPU.
        """
        if not devices:
            raise MeterUnavailableError("amdsmi: no device was named yet")
        self.close()
        smi = _start()
        self._smi = smi
        try:
            self._open(smi, devices)
        except smi.AmdSmiException as error:
            self.close()
            raise MeterUnavailableError(f"amdsmi: {error}") from error
        except MeterUnavailableError:
            self.close()
            raise

    def _open(self, smi: ModuleType, devices: Sequence[DeviceIdentity]) -> None:
        chips = list_chips(smi)
        by_address = {chip.pci_bus_id: chip for chip in chips}
        primaries = primary_dies([_die(smi, chip) for chip in chips])
        gpus, boards = {}, {}
        for device in devices:
            chip = _find(device, chips)
            require_whole(smi, chip)
            gpu = Sensor(source=device.uuid or chip.pci_bus_id, handle=chip.handle, figures=_figures(smi, chip.handle))
            if not gpu.figures:
                raise MeterUnavailableError(f"amdsmi: the library tells nothing of {chip.pci_bus_id}")
            gpus[gpu.source] = gpu
            if chip.pci_bus_id not in primaries:
                continue
            gpu.figures = {name: figure for name, figure in gpu.figures.items() if name not in FAST}
            primary = primaries[chip.pci_bus_id]
            if primary is None:
                gpu.doubt = f"{chip.pci_bus_id} is one die of two, and it is unclear which of them tells the power"
                continue
            gpu.board = board_source(primary)
            handle = by_address[primary].handle
            told = {name: figure for name, figure in _figures(smi, handle).items() if name in FAST}
            boards[primary] = Sensor(source=gpu.board, handle=handle, figures=told)
        self._gpus, self._boards = list(gpus.values()), list(boards.values())

    def read(self) -> list[Reading]:
        """One reading per GPU, and one per board whose dies share a power sensor.

        Raises:
            MeterUnavailableError: the library was closed, or no GPU answers any more.
        """
        if self._smi is None:
            raise MeterUnavailableError("amdsmi: not open")
        readings = [self._read(self._smi, gpu) for gpu in self._gpus]
        lost = [reading.raw for reading, gpu in zip(readings, self._gpus, strict=True) if reading.raw != gpu.doubt]
        if len(lost) == len(readings):
            raise MeterUnavailableError(f"amdsmi: {lost[0]}")
        return readings + [self._read_board(self._smi, board) for board in self._boards]

    def _read(self, smi: ModuleType, gpu: Sensor) -> Reading:
        now_s = self._clock()
        slow = now_s >= gpu.slow_due_s
        values, problems = _values(smi, gpu, FIGURES.keys() if slow else FAST)
        throttle = None
        if slow:
            gpu.slow_due_s = now_s + SLOW_PERIOD_S
            throttle = _throttle(smi, gpu)
        if problems and not any(value is not None for value in values.values()):
            return Reading(source=gpu.source, scope="device", board=gpu.board, raw=f"{gpu.source}: {problems[-1]}")
        return Reading(source=gpu.source, scope="device", board=gpu.board, throttle=throttle, raw=gpu.doubt, **values)

    @staticmethod
    def _read_board(smi: ModuleType, board: Sensor) -> Reading:
        values, problems = _values(smi, board, FAST)
        raw = "; ".join(problems) if problems and not any(values.values()) else None
        return Reading(source=board.source, scope="board", shared_by=DIES, raw=raw, **values)

    def close(self) -> None:
        """Let go of the library."""
        smi, self._smi, self._gpus, self._boards = self._smi, None, [], []
        if smi is not None:
            try:
                smi.amdsmi_shut_down()
            except smi.AmdSmiException:
                return  # the driver is gone; there is nothing left to let go of


def _start() -> ModuleType:
    """The library, initialised."""
    try:
        smi = importlib.import_module("amdsmi")
    except ModuleNotFoundError as error:
        raise MeterUnavailableError("amdsmi: Python package amdsmi is not installed") from error
    except _LOAD_ERRORS as error:
        raise MeterUnavailableError(f"amdsmi: the Python package amdsmi does not load: {error}") from error
    try:
        smi.amdsmi_init()
    except smi.AmdSmiException as error:
        raise MeterUnavailableError(f"amdsmi: {error}") from error
    return smi


def _find(device: DeviceIdentity, chips: Sequence[AmdChip]) -> AmdChip:
    """The chip that `device` is."""
    found = [chip for chip in chips if chip.is_device(device)]
    if len(found) == 1:
        return found[0]
    if device.pci_bus_id is None and device.uuid is None:
        raise MeterUnavailableError(
            f"amdsmi: device {device.index} has neither PCI address nor UUID, and indices differ between tools"
        )
    name = " or ".join(filter(None, (device.pci_bus_id, device.uuid)))
    raise MeterUnavailableError(f"amdsmi: {len(found)} GPUs at {name}" if found else f"amdsmi: no GPU {name}")


def _figures(smi: ModuleType, handle: Any) -> dict[str, Figure]:
    """The first way to read each figure that this GPU, driver and library know."""
    found: dict[str, Figure] = {}
    for name, ways in FIGURES.items():
        way = next((way for way in ways if _value(smi, handle, way)[0] is not None), None)
        if way is not None:
            found[name] = way
    return found


def _die(smi: ModuleType, chip: AmdChip) -> Die:
    told, _problem = _value(smi, chip.handle, power_w)
    return Die(pci_bus_id=chip.pci_bus_id, device_id=chip.device_id, tells_power=told is not None)


def _value(smi: ModuleType, handle: Any, figure: Figure) -> tuple[Any, str]:
    """A figure, or None and what was said instead."""
    try:
        return figure(smi, handle), ""
    except (smi.AmdSmiException, AttributeError, LookupError, TypeError) as error:
        return None, f"{type(error).__name__}: {error}"


def _values(smi: ModuleType, sensor: Sensor, wanted: Any) -> tuple[dict[str, Any], list[str]]:
    """The wanted figures, and what was said where one failed."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, figure in sensor.figures.items():
        if name in wanted:
            values[name], problem = _value(smi, sensor.handle, figure)
            problems += [problem] if problem else []
    return values, problems


def _throttle(smi: ModuleType, gpu: Sensor) -> str | None:
    metrics, _problem = _value(smi, gpu.handle, lambda smi, handle: smi.amdsmi_get_gpu_metrics_info(handle))
    if metrics is None:
        return None
    told = causes(metrics, gpu.residencies)
    gpu.residencies = counts(metrics)
    return told
