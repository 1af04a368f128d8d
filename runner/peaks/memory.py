"""Memory bandwidth: a copy from one array to another, both far larger than every cache."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from runner.measure.ranks import UnmeasurableError
from runner.peaks.measure import Bench, Work, measure
from runner.record.peaks.peak_figures import GIGA, MEMORY, Peak, unit

if TYPE_CHECKING:
    import torch

MIB = 2**20
DEVICE_MIB, DEVICE_LEAST_MIB = 4096, 1024
"""Of each array on an accelerator. The least is four times the largest last-level cache that one has (256 MiB: AMD
CDNA 3 white paper, Infinity Cache)."""
CACHES = 4
"""On the host: an array is so many times the last-level caches together …"""
HOST_LEAST_MIB, UNKNOWN_CACHE_MIB = 256, 1024
"""… and at least this, or this where the kernel tells of no cache."""
_PATTERN = 2**20
"""Random elements that an array repeats; filling gigabytes one random number at a time takes longer than the copy."""


def measure_memory(bench: Bench) -> dict[str, Peak]:
    """Bytes read and bytes written per second of a copy, per device.

    Raises:
        UnmeasurableError: there is no room for arrays beyond the caches.
    """
    cache = last_level_cache_bytes() if bench.on_host else None
    world = bench.ranks.world
    sizes = bench.ranks.attempt(lambda: host_sizes(cache, world) if bench.on_host else device_sizes())
    size, work = _largest(sizes, bench)
    conditions = {
        "array_bytes": size,
        "last_level_cache_bytes": cache,
        "convention": "bytes read + bytes written",
        "kernel": "torch copy_ of float32",
    }
    return {MEMORY: measure(work, bench).peak(unit(MEMORY), scale=GIGA, conditions=conditions)}


def device_sizes() -> list[int]:
    """Bytes of an array on an accelerator, the largest first."""
    return [DEVICE_MIB * MIB, DEVICE_MIB // 2 * MIB, DEVICE_LEAST_MIB * MIB]


def host_sizes(cache: int | None, ranks: int) -> list[int]:
    """Bytes of an array on the host; every rank has two of them in the memory they share.

    Raises:
        UnmeasurableError: the free memory does not hold them.
    """
    size = UNKNOWN_CACHE_MIB * MIB if cache is None else max(HOST_LEAST_MIB * MIB, CACHES * cache)
    size = -(-size // MIB) * MIB
    room = psutil.virtual_memory().available // 2
    if 2 * size * ranks > room:
        need, free = 2 * size * ranks / 2**30, room / 2**30
        raise UnmeasurableError(f"arrays beyond the caches need {need:.1f} GiB, and half the free memory is {free:.1f}")
    return [size]


def last_level_cache_bytes(root: Path = Path("/sys/devices/system/cpu")) -> int | None:
    """All the host's caches of the last level together; null where the kernel does not tell."""
    found: dict[tuple[int, str], int] = {}
    for index in root.glob("cpu[0-9]*/cache/index[0-9]*"):
        try:
            told = {name: (index / name).read_text().strip() for name in ("level", "type", "size", "shared_cpu_list")}
            if told["type"] in ("Data", "Unified"):
                found[int(told["level"]), told["shared_cpu_list"]] = _bytes(told["size"])
        except (OSError, ValueError):
            continue  # a processor that is switched off has no such files
    last = max((level for level, _ in found), default=None)
    return None if last is None else sum(size for (level, _), size in found.items() if level == last)


def _bytes(text: str) -> int:
    """`266240K` of the kernel, in bytes."""
    factors = {"K": 2**10, "M": 2**20, "G": 2**30}
    return int(text[:-1]) * factors[text[-1]] if text[-1:] in factors else int(text)


def _largest(sizes: list[int], bench: Bench) -> tuple[int, Work]:
    """The first size there is room for."""
    for size in sizes[:-1]:
        try:
            return size, bench.ranks.attempt(partial(_build, size, bench))
        except UnmeasurableError:
            empty_cache(bench)
    return sizes[-1], bench.ranks.attempt(partial(_build, sizes[-1], bench))


def _build(size: int, bench: Bench) -> Work:
    import torch

    source = torch.empty(size // 4, dtype=torch.float32, device=bench.torch_device)
    fill(source)
    target = torch.zeros_like(source)
    target.copy_(source)
    require_equal(source, target)
    return Work(call=lambda: target.copy_(source), amount=2.0 * size)


def fill(array: torch.Tensor) -> None:
    """Random content, repeated; the length must be a multiple of 2^18 elements."""
    import torch

    pattern = torch.rand(min(_PATTERN, array.numel()), device=array.device)
    whole = array.numel() // pattern.numel() * pattern.numel()
    array[:whole].view(-1, pattern.numel()).copy_(pattern)
    array[whole:].copy_(pattern[: array.numel() - whole])


def require_equal(source: torch.Tensor, target: torch.Tensor) -> None:
    """See that a copy arrived, at elements from all over it.

    Raises:
        UnmeasurableError: it did not.
    """
    step = max(1, source.numel() // 1024)
    if not bool((source[::step].cpu() == target[::step].cpu()).all()):
        raise UnmeasurableError("what was copied is not what arrived")


def empty_cache(bench: Bench) -> None:
    """Give the allocator's free memory back, where the stack has a caching one."""
    import torch

    release = getattr(getattr(torch, bench.torch_device.type, None), "empty_cache", None)
    if release is not None:
        release()
