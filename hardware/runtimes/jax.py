"""Devices through JAX: XLA's back-ends for CUDA, ROCm, TPU and the host's processor."""

from __future__ import annotations

import contextlib
import os
import socket
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from hardware.base import MemoryPeaks, PrecisionUnsupportedError
from hardware.precision.float32 import require_mode
from hardware.runtimes.runtime import RuntimeDevice
from hardware.runtimes.visible import shown
from hardware.scalars import HeldScalars, Scalars

LIBRARIES = ("jaxlib", "flax", "optax")
"""Imported once the devices are chosen: flax and optax compute something when they are imported, on any device."""
STORE = "touchstone_jax"
"""Prefix of its keys in torchrun's store."""
PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"


class JaxDevice(RuntimeDevice):
    """The devices of one platform of JAX; every call is asynchronous, on the host's processor as well."""

    runtime = "jax"
    packages = ("jax",)
    host_kind = "cpu"
    asynchronous_on_host = True

    def start(self) -> None:
        """Compute on this platform alone; of a job with several ranks, on one device each, over all of them."""
        import jax

        world = int(os.environ.get("WORLD_SIZE", "1"))
        if jax.distributed.is_initialized():
            return
        jax.config.update("jax_platforms", self.kind if self.on_host else f"{self.kind},cpu")
        if world == 1:
            return
        if self.on_host:
            jax.config.update("jax_cpu_collectives_implementation", "gloo")
            jax.config.update("jax_num_cpu_devices", 1)
        rank = int(os.environ["RANK"])
        own = None if self.on_host else [self.local_rank()]
        jax.distributed.initialize(_coordinator(rank), world, rank, local_device_ids=own)

    def visible(self) -> int:
        """Devices of the node that its ranks can take, one each."""
        import jax

        found, ranks = len(jax.local_devices(backend=self.kind)), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if ranks == 1:
            return found
        # One of several ranks sees its own device alone; the driver tells how many there are.
        listed = self.vendor.listed()
        seen = shown(self.vendor, listed) if listed else None
        return max(ranks, len(seen or ()))

    def own(self) -> Any:
        """The device that this rank computes on."""
        import jax

        devices = jax.local_devices(backend=self.kind)
        return devices[self.local_rank()] if len(devices) > self.local_rank() else devices[0]

    def wait(self, result: Any) -> None:
        """Block until an array is there."""
        import jax

        jax.block_until_ready(result)

    def settle(self) -> None:
        """Wait for side effects, too."""
        import jax

        jax.effects_barrier()

    def scalars(self, count: int, index: int = 0) -> Scalars:
        """Of arrays that lie over several ranks, this rank's own."""
        return OwnScalars(count)

    def set_matmul(self, mode: str) -> None:
        """Compute float32 products as `mode`.

        Raises:
            PrecisionUnsupportedError: TF32, which the platform does not have.
        """
        import jax

        require_mode(mode)
        if mode == "tf32" and self.kind != "cuda":
            raise PrecisionUnsupportedError(f"{self.spec.title}: {self.reached_through} has no TF32")
        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if mode == "tf32" else "highest")

    def memory_peaks(self) -> MemoryPeaks:
        """The peak of XLA's allocator since the process began; it cannot be reset."""
        stats = self.own().memory_stats()
        peak = (stats or {}).get("peak_bytes_in_use")
        if not peak:
            return super().memory_peaks()
        note = "XLA's allocator keeps no peak of what it reserves; its peak is of the whole process"
        return MemoryPeaks(allocated_bytes=int(peak), reserved_bytes=None, reason=note, taken_ahead=taken_ahead())

    def versions(self) -> dict[str, str]:
        """With those of the libraries above it."""
        libraries = {name: version(name) for name in LIBRARIES if find_spec(name) is not None}
        return super().versions() | libraries | (cuda_libraries() if self.kind == "cuda" else {})

    def device_name(self, index: int) -> str:
        """The chip as XLA names it."""
        return str(self.own().device_kind)


class OwnScalars(HeldScalars):
    """Scalars of which every rank has one in an array over all of them, or the same one."""

    def values(self, count: int) -> list[float]:
        """This rank's, as numbers."""
        return [_own_number(value) for value in self._held[:count]]


def _own_number(value: Any) -> float:
    import numpy as np

    return float(np.asarray(value.addressable_data(0) if hasattr(value, "addressable_data") else value).item())


def _coordinator(rank: int) -> str:
    """Address at which JAX's ranks meet: a free port of the first rank's machine, told through torchrun's store."""
    from torch import distributed

    rendezvous: Any = distributed.rendezvous  # type: ignore[attr-defined]
    store, _, _ = next(rendezvous("env://"))
    shared = distributed.PrefixStore(STORE, store)  # type: ignore[attr-defined]
    if rank == 0:
        with socket.socket() as probe:
            probe.bind(("", 0))
            shared.set("port", str(probe.getsockname()[1]))
    return f"{os.environ['MASTER_ADDR']}:{shared.get('port').decode()}"


def cuda_libraries() -> dict[str, str]:
    """CUDA, cuDNN and NCCL as JAX's plugin has loaded them; what it does not tell is left out."""
    from jax._src.lib import cuda_versions

    found: dict[str, int] = {}
    for name in ("cuda_runtime", "cudnn", "nccl"):
        with contextlib.suppress(AttributeError, OSError, RuntimeError):
            found[name] = int(getattr(cuda_versions, f"{name}_get_version")())
    told = {"cudnn": str(found["cudnn"])} if "cudnn" in found else {}
    if "cuda_runtime" in found:
        told["cuda"] = f"{found['cuda_runtime'] // 1000}.{found['cuda_runtime'] % 1000 // 10}"
    if "nccl" in found:
        told["nccl"] = f"{found['nccl'] // 10_000}.{found['nccl'] % 10_000 // 100}.{found['nccl'] % 100}"
    return told


def taken_ahead() -> str | None:
    """Whether XLA's client took its share of the device when it started, by the two variables that it reads."""
    preallocates = os.environ.get(PREALLOCATE, "true").lower() not in ("false", "f", "0")
    if not preallocates or os.environ.get("XLA_PYTHON_CLIENT_ALLOCATOR", "default").lower() == "platform":
        return None
    return f"XLA takes most of the device's memory when it starts; {PREALLOCATE}=false: what it needs, as it needs it"
