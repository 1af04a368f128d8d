"""A machine with GPUs of the compute driver, as files below a folder: /dev, /sys and /proc of Linux."""

from pathlib import Path


class Machine:
    """`topology` machines list their GPUs as the driver does; the others have the PCI bus alone."""

    def __init__(self, root: Path, *, topology: bool = True):
        self.root = root
        self.topology = topology
        self.gpus = 0
        self.write("dev/kfd", "")
        if topology:
            self.node(0, simd_count=0, cpu_cores_count=64)

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def node(self, number: int, **values: int) -> None:
        text = "".join(f"{name} {value}\n" for name, value in values.items())
        self.write(f"sys/class/kfd/kfd/topology/nodes/{number}/properties", text)

    def add(self, bus: int, vendor: int, *, pci_class: int = 0x120000, unique_id: int = 0, listed: bool = True) -> Path:
        """One GPU at `0000:<bus>:00.0` with the next render node."""
        minor = 128 + self.gpus
        self.gpus += 1
        folder = f"sys/bus/pci/devices/0000:{bus:02x}:00.0"
        self.write(f"{folder}/vendor", f"{vendor:#06x}\n")
        self.write(f"{folder}/class", f"{pci_class:#08x}\n")
        self.write(f"{folder}/drm/renderD{minor}/uevent", "")
        if self.topology and listed:
            self.node(
                self.gpus, simd_count=1216, vendor_id=vendor, location_id=bus << 8, domain=0, drm_render_minor=minor,
                unique_id=unique_id,
            )  # fmt: skip
        return self.write(f"dev/dri/renderD{minor}", "")
