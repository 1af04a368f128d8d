"""Intel data-centre GPUs through Intel's XPU Manager: `xpumcli`, or `xpu-smi`, which needs no service.

Source: Intel, XPU Manager 1.x, command line guides and cli/src/comlet_dump.cpp; 2.x, docs/sphinx/xpu-smi/dump.rst. The
tool numbers devices; which number is which, `discovery -j` tells by PCI address and UUID. Its energy column is left
alone: the service counts it from the last call, the tool without a service from an unstated start. A call lasts the
second over which it samples, so the figures are as old as that.

A card may have two tiles, which PyTorch shows as two devices, but has one power sensor; the tool's other figures are
then sums or means over both tiles and belong to neither.

Kunlunxin's tool is called xpu-smi as well (`hardware.meters.smi.xpu_smi.xpu_smi`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.bus.pci import normal_pci
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.forms import json_object
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SHOWN, SmiMeter
from hardware.meters.smi.xpumcli.cards import DUMP, IntelCard, card_uuid, cards_in, number_in, row, shared_rows

METRICS = "0,1,2,3,18"
"""Utilisation, power, frequency, core temperature, memory used; these numbers are the same in 1.x and 2.x."""
_KUNLUNXIN = re.compile(r"kunlun|XPUSMI LOG|XPU-RT|xpu_smi", re.IGNORECASE)


class Xpumcli(SmiMeter):
    """Power, temperature, utilisation, clock and memory of each card; of a card with two tiles only its power."""

    name: ClassVar = "xpumcli"
    tools: ClassVar = ("xpumcli", "xpu-smi")
    calls = (("dump", "-d", "-1", "-m", METRICS, "-n", "1"),)
    alternatives: ClassVar = ((("dump", "--device", "-1", "--metrics", METRICS, "--number", "1", "--format", "csv"),),)
    """Of 2.x."""
    period_s: ClassVar = 2.0

    def __init__(self, timeout_s: float = 10.0) -> None:
        super().__init__(timeout_s)
        self._cards: list[IntelCard] = []

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find out which card each device is, or is a tile of.

        Raises:
            MeterUnavailableError: no such tool, another vendor's tool of this name, or a device without a card.
        """
        if not devices:
            raise MeterUnavailableError(f"{self.name}: no device was named yet")
        self._cards = self._discover()
        self._cards = [self._with_tiles(card, devices) for card in self._cards]
        super().open(devices)

    def close(self) -> None:
        """Forget the devices and their cards."""
        super().close()
        self._cards = []

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per card; of a card with tiles one per tile, which share the card's power."""
        rows: list[SmiRow] = []
        for fields in DUMP.rows(outputs[0]):
            card = self._numbered(number_in(fields))
            if card is not None:
                rows += shared_rows(card, row(card, fields))
        return rows

    def _outputs(self) -> list[str]:
        outputs = super()._outputs()
        known = [self._numbered(number_in(fields)) for fields in DUMP.rows(outputs[0])]
        if self._devices and (None in known or len(known) < len(self._cards)):
            # A card fell off the bus or came back: the tool may have numbered the others anew.
            tiles = {card.pci_bus_id: card.tiles for card in self._cards}
            self._cards = [replace(card, tiles=tiles.get(card.pci_bus_id)) for card in self._discover()]
            outputs = super()._outputs()
        return outputs

    def _discover(self) -> list[IntelCard]:
        text = self._run("discovery", "-j")
        cards = cards_in(text)
        if not cards:
            said = json_object(text).get("error") or text.strip()[:SHOWN] or "empty"
            raise MeterUnavailableError(f"{self.name}: {_explained(f'no list of devices in the output: {said}')}")
        return cards

    def _with_tiles(self, card: IntelCard, devices: Sequence[DeviceIdentity]) -> IntelCard:
        """The card with the number of devices that it is, asked for only where that is in doubt."""
        own = [device for device in devices if self._card_of(device) == card]
        if not own or [device.uuid and device.uuid.lower() for device in own] == [card.uuid]:
            return replace(card, tiles=1)
        told = str(json_object(self._run("discovery", "-d", card.number, "-j")).get("number_of_tiles"))
        return replace(card, tiles=int(told) if told.isdigit() and int(told) else None)

    def _rows_of(self, device: DeviceIdentity, rows: Sequence[SmiRow]) -> list[SmiRow]:
        """A device's row; of a card's tiles, which say the same, any."""
        card = self._card_of(device)
        if card is None:
            return []
        found = [one for one in rows if (one.pci_bus_id, one.uuid) == (card.pci_bus_id, card.uuid)]
        return found[:1] if found and found[0].board is not None else found

    def _card_of(self, device: DeviceIdentity) -> IntelCard | None:
        """The card that a device is, or is a tile of, by PCI address, else by UUID."""
        pci = normal_pci(device.pci_bus_id or "")
        uuid = card_uuid(device.uuid.lower()) if device.uuid else None
        if pci is not None:
            matches = [card for card in self._cards if card.pci_bus_id == pci]
        else:
            matches = [card for card in self._cards if uuid is not None and card.uuid == uuid]
        return matches[0] if len(matches) == 1 else None

    def _numbered(self, number: str | None) -> IntelCard | None:
        """The tool's device of a number; it also takes and shows PCI addresses."""
        pci = normal_pci(number or "")
        return next((one for one in self._cards if one.number == number or (pci and one.pci_bus_id == pci)), None)

    def _run(self, *arguments: str) -> str:
        try:
            return self._tool.run(*arguments)
        except MeterUnavailableError as error:
            raise MeterUnavailableError(f"{self.name}: {_explained(str(error))}") from error


def _explained(problem: str) -> str:
    """A problem that another vendor's tool of the same name causes, named."""
    if _KUNLUNXIN.search(problem.replace("xpu-smi", "")):
        return f"the xpu-smi on PATH is Kunlunxin's; Intel's is part of XPU Manager ({problem})"
    return problem
