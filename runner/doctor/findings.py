"""What the doctor finds, as `--json` prints it: what is unknown is null, and a renamed key raises SCHEMA_VERSION."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from hardware.base import DeviceCondition, DeviceIdentity
from runner.doctor.cluster.fabric import FabricFinding
from runner.doctor.cluster.ray_cluster import RayFinding
from runner.doctor.cluster.slurm import SlurmFinding

SCHEMA_VERSION = 1


@dataclass(kw_only=True, slots=True)
class DeviceFinding:
    """One device."""

    identity: DeviceIdentity
    chip: str | None
    """Its name in the catalogue."""
    chip_reason: str | None
    """Why the catalogue has none."""
    condition: DeviceCondition


@dataclass(kw_only=True, slots=True)
class MeterFinding:
    """One meter of a vendor, tried on this machine."""

    name: str
    available: bool
    reason: str | None
    """Why it is not available."""
    period_s: float | None = None
    """How often the sampler reads it at most."""
    read_s: float | None = None
    """What one reading takes, in seconds of wall time."""
    read_cpu_s: float | None = None
    """In seconds of processor time, the meter's own tools included."""
    sources: list[str] = field(default_factory=list)
    """What it read: devices, packages, the host."""
    tells: list[str] = field(default_factory=list)
    """Figures that it told of any of them: `power_w`, `energy_j` …"""


@dataclass(kw_only=True, slots=True)
class Details:
    """What a fresh process found of one vendor; as much as it came to."""

    devices: list[DeviceFinding] = field(default_factory=list)
    meters: list[MeterFinding] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    """Of driver, runtime and libraries, as the stack tells them; only with `--deep`."""
    problem: str | None = None
    """What went wrong on the way."""


@dataclass(kw_only=True, slots=True)
class VendorFinding:
    """One vendor."""

    name: str
    title: str
    found: bool
    """Whether its devices show themselves on this machine."""
    usable: bool
    """Whether a case can run on it."""
    missing: str | None
    """What a case would need that is not here; null when it is usable."""
    todo: str | None = None
    """What to do about that."""
    nodes: list[str] = field(default_factory=list)
    """What its driver made."""
    packages: dict[str, str | None] = field(default_factory=dict)
    """Versions of torch and of the stack's Python packages; null for one that is not installed."""
    precisions: list[str] = field(default_factory=list)
    compilers: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    meters: list[str] = field(default_factory=list)
    """Names of its meters, in the order they are tried."""
    container_options: str = ""
    details: Details | None = None
    """Null for a vendor whose devices were not found."""


@dataclass(kw_only=True, slots=True)
class ClusterFinding:
    """Schedulers and fast networks."""

    slurm: SlurmFinding
    ray: RayFinding
    fabric: FabricFinding


@dataclass(kw_only=True, slots=True)
class Findings:
    """Everything, and what to tell the shell."""

    deep: bool
    detected: str
    """The vendor a case runs on where none is named."""
    host: dict[str, Any]
    vendors: list[VendorFinding]
    choices: dict[str, str | None] = field(default_factory=dict)
    """Every framework and compiler, as `compiler=inductor`, with what it lacks on this machine; null: nothing."""
    cluster: ClusterFinding | None = None
    """What the machine is part of."""
    exit_code: int = 0
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
