"""A vendor's case on the host CPU: tries the configuration out, and says that it measures nothing of the chip."""

from __future__ import annotations

from hardware.base import DeviceIdentity
from hardware.vendors.cpu import Cpu


class Emulated(Cpu):
    """The CPU in place of a vendor's device. Precisions are the vendor's, as far as a CPU can honour them."""

    def communication_backend(self) -> str:
        """Gloo: the vendor's own library needs its devices."""
        return "gloo"

    @property
    def title(self) -> str:
        """What messages call this device."""
        return f"{self.spec.title} emulated on the host CPU"

    def identities(self) -> list[DeviceIdentity]:
        """The host, named as what it stands in for; no alias of the catalogue matches it."""
        host = super().identities()[0].name
        return [DeviceIdentity(index=0, uuid=None, pci_bus_id=None, name=f"emulated {self.spec.title} on {host}")]

    def versions(self) -> dict[str, str]:
        """The host's versions, marked."""
        return {"emulated": self.title} | super().versions()
