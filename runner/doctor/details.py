"""`python -m runner.doctor.details VENDOR FILE [--deep]`: asks one vendor's driver, and with `--deep` its stack.

A process of its own: whatever a driver does to it, the doctor lives. What was found is written after each stage, so
that a stage that hangs or crashes loses only itself.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from hardware.base import Device, DeviceCondition, DeviceIdentity, unknown_condition
from hardware.bus.nodes import node_number
from hardware.bus.pci import normal_pci, pci_address_of_node
from hardware.chip_identity import identify
from hardware.detect import device_nodes
from hardware.device import load_device
from hardware.meters.base import Meter, Reading
from hardware.meters.registry import make_meter
from hardware.sampling.station import FAILURES, describe
from runner.doctor.findings import Details, DeviceFinding, MeterFinding
from runner.doctor.survey import load_spec

READS = 3
"""Readings that a meter's cost is a mean of."""
_NO_FIGURES = frozenset({"source", "scope", "board", "shared_by", "energy_wrap_j", "raw"})
FIGURES = tuple(field.name for field in fields(Reading) if field.name not in _NO_FIGURES)


@dataclass(kw_only=True, slots=True)
class Inquiry:
    """What is found so far, and where it is written."""

    device: Device
    file: Path
    found: Details

    def stage(self, name: str) -> None:
        """Write down what there is, and what is about to be tried."""
        draft = self.file.with_suffix(".tmp")
        draft.write_text(json.dumps({"stage": name, "found": asdict(self.found)}))
        draft.replace(self.file)

    def listed(self) -> None:
        """The devices as the driver lists them, and their condition."""
        self.stage("listing the devices")
        spec = self.device.spec
        identities = self.device.listed()
        identities = nodes_as_devices(spec.name, spec.chip or spec.title) if identities is None else identities
        self.found.devices = [self._finding(one, self._condition(one)) for one in identities]

    def meters(self) -> None:
        """Every meter of the vendor, tried."""
        identities = [one.identity for one in self.found.devices]
        for name in self.device.spec.meters:
            self.stage(f"reading the meter {name}")
            self.found.meters.append(try_meter(name, identities))

    def stack(self) -> None:
        """The devices and versions as the stack tells them."""
        self.stage("starting the stack")
        self.device.connect()
        self.stage("asking the stack for its devices")
        known = [(one.identity, one.condition) for one in self.found.devices]
        told = self.device.identities()
        self.found.devices = [self._finding(one, _match(one, known) or self._condition(one)) for one in told]
        self.found.versions = self.device.versions()

    def _condition(self, identity: DeviceIdentity) -> DeviceCondition:
        try:
            return self.device.condition(identity)
        except FAILURES as error:
            return unknown_condition(describe(error))

    def _finding(self, identity: DeviceIdentity, condition: DeviceCondition) -> DeviceFinding:
        chip = identify(self.device.spec.chip, [asdict(identity)])
        return DeviceFinding(
            identity=identity,
            chip=chip.entry.name if chip.entry else None,
            chip_reason=chip.reason,
            condition=condition,
        )


def nodes_as_devices(vendor: str, name: str, root: Path = Path("/")) -> list[DeviceIdentity]:
    """What the device nodes alone say: PCI addresses and the driver's numbers; nodes of one device count once.

    Args:
        vendor: whose nodes.
        name: what the devices are called; nodes do not tell.
        root: of the file system they are in.
    """
    numbers: dict[str, int | None] = {}
    unplaced: list[int] = []
    for node in device_nodes(vendor, root):
        by_name = normal_pci(node.name)
        number = None if by_name else node_number(node)
        address = by_name or pci_address_of_node(node, root / "sys")
        if address is not None:
            numbers.setdefault(address, number)
        elif number is not None:
            unplaced.append(number)
    placed: list[tuple[str | None, int | None]] = [*numbers.items()]
    places = placed or [(None, number) for number in dict.fromkeys(unplaced)]
    return [
        DeviceIdentity(index=index, uuid=None, pci_bus_id=address, name=name, driver_index=number)
        for index, (address, number) in enumerate(places)
    ]


def _match(identity: DeviceIdentity, known: Sequence[tuple[DeviceIdentity, DeviceCondition]]) -> DeviceCondition | None:
    """The condition that was seen of the same device before the stack was started; null when none was."""
    for other, condition in known:
        same_uuid = identity.uuid is not None and identity.uuid == other.uuid
        same_place = identity.pci_bus_id is not None and identity.pci_bus_id == other.pci_bus_id
        same_number = identity.driver_index is not None and identity.driver_index == other.driver_index
        if same_uuid or same_place or same_number or identity == other:
            return condition
    return None


def try_meter(
    name: str,
    identities: Sequence[DeviceIdentity],
    *,
    make: Callable[[str], Meter] = make_meter,
    reads: int = READS,
) -> MeterFinding:
    """Open a meter, read it a few times and close it."""
    try:
        meter = make(name)
    except FAILURES as error:
        return MeterFinding(name=name, available=False, reason=describe(error))
    try:
        meter.open(identities)
        return _read(name, meter, reads)
    except FAILURES as error:
        return MeterFinding(name=name, available=False, reason=describe(error))
    finally:
        meter.close()


def _read(name: str, meter: Meter, reads: int) -> MeterFinding:
    began_s, cpu_s = time.monotonic(), time.process_time() + meter.processes_cpu_s()
    told = [reading for _ in range(reads) for reading in meter.read()]
    wall_s = time.monotonic() - began_s
    cpu_s = time.process_time() + meter.processes_cpu_s() - cpu_s
    return MeterFinding(
        name=name,
        available=True,
        reason=None,
        period_s=meter.period_s,
        read_s=wall_s / reads,
        read_cpu_s=cpu_s / reads,
        sources=list(dict.fromkeys(reading.source for reading in told)),
        tells=[figure for figure in FIGURES if any(getattr(reading, figure) is not None for reading in told)],
    )


def main(arguments: list[str] | None = None) -> int:
    """Find out and write down; what went wrong is part of it."""
    parser = argparse.ArgumentParser(prog="runner.doctor.details", description="Asks one vendor's driver and stack.")
    parser.add_argument("vendor")
    parser.add_argument("file", type=Path, help="where to write what was found, as JSON")
    parser.add_argument("--deep", action="store_true", help="start the stack: imports torch")
    options = parser.parse_args(arguments)
    inquiry = Inquiry(device=load_device(load_spec(options.vendor)), file=options.file, found=Details())
    steps = [inquiry.listed, inquiry.meters, *([inquiry.stack] if options.deep else [])]
    for step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001 -- a stack may raise anything; the doctor says what
            text = " ".join(str(error).split()) or type(error).__name__
            inquiry.found.problem = "; ".join(filter(None, [inquiry.found.problem, text]))
    inquiry.stage("")
    return 0


if __name__ == "__main__":
    sys.exit(main())
