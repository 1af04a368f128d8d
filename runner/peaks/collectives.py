"""Communication between devices: all-reduce, and one-way transfers from one device to the next.

One convention each. All-reduce: the *algorithm* bandwidth is the bytes of one rank's buffer per second; the *bus*
bandwidth is that times 2 (n - 1) / n, what each of n ranks must send and receive however it is done. Point to point:
the bytes of the message per second, in one direction, with nothing coming back.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runner.measure.ranks import UnmeasurableError
from runner.peaks.measure import Bench, Timed, Work, measure
from runner.peaks.memory import MIB, fill
from runner.peaks.sizes import sweep
from runner.record.peaks.peak_figures import ALL_REDUCE_ALGORITHM, ALL_REDUCE_BUS, GIGA, POINT_TO_POINT, Peak, unit

if TYPE_CHECKING:
    import torch

SIZES = tuple(mib * MIB for mib in (4, 16, 64, 256, 1024))
"""Bytes of a message."""
_LARGEST_POWER_OF_TEN = 30
"""Sums of float32 in place grow with every all-reduce; they stay below 10^30 within a block."""


def measure_all_reduce(bench: Bench) -> dict[str, Peak]:
    """Bus and algorithm bandwidth of a sum over all ranks.

    Raises:
        UnmeasurableError: there is one device only.
    """
    _require_several(bench)
    world = bench.ranks.world
    best = sweep(SIZES, float, lambda size: _all_reduce(size, bench), bench)
    timed = best.measure(bench)
    conditions = {"bytes": best.size, "ranks": world, "type": "sum of float32"}
    conditions |= best.conditions(timed, scale=GIGA)
    factor = bus_factor(world)
    return {
        ALL_REDUCE_BUS: timed.peak(
            unit(ALL_REDUCE_BUS),
            scale=GIGA / factor,
            conditions=conditions | {"convention": "2 (n - 1) / n x bytes of a rank's buffer"},
        ),
        ALL_REDUCE_ALGORITHM: timed.peak(
            unit(ALL_REDUCE_ALGORITHM),
            scale=GIGA,
            conditions=conditions | {"convention": "bytes of a rank's buffer"},
        ),
    }


def bus_factor(ranks: int) -> float:
    """Bus bandwidth of an all-reduce over its algorithm bandwidth."""
    return 2 * (ranks - 1) / ranks


def most_sums(ranks: int) -> int:
    """All-reduces in place of numbers below 1 that stay finite in float32."""
    return int(_LARGEST_POWER_OF_TEN / math.log10(ranks))


def _all_reduce(size: int, bench: Bench) -> Work:
    from torch import distributed

    ranks = bench.ranks
    # Room is made before ranks talk to each other: one that has none must not leave the others waiting.
    buffer, start = ranks.attempt(lambda: (_array(size, bench), _array(size, bench)))
    buffer.fill_(ranks.rank + 1)
    distributed.all_reduce(buffer)
    bench.device.synchronize()
    expected = ranks.world * (ranks.world + 1) / 2
    if not all(ranks.gather(bool((buffer == expected).all()))):
        raise UnmeasurableError("the sum over the ranks is wrong")
    fill(start)
    return Work(
        call=lambda: distributed.all_reduce(buffer),
        amount=float(size),
        reset=lambda: buffer.copy_(start),
        most_calls=most_sums(ranks.world),
    )


def _array(size: int, bench: Bench) -> torch.Tensor:
    import torch

    return torch.zeros(size // 4, dtype=torch.float32, device=bench.torch_device)


def measure_point_to_point(bench: Bench) -> dict[str, Peak]:
    """Bandwidth from each rank to the next one, pair after pair; the figure is the slowest pair's.

    Raises:
        UnmeasurableError: there is one device only.
    """
    _require_several(bench)
    links = pairs(bench.ranks.world)
    best = sweep(SIZES, float, lambda size: _transfer(size, links[0], bench), bench)
    seconds = bench.seconds / len(links)
    timed: dict[str, Timed] = {}
    for link in links:
        timed[f"{link[0]}->{link[1]}"] = measure(_transfer(best.size, link, bench), bench, seconds=seconds)
    found = {name: one.peak(unit(POINT_TO_POINT), scale=GIGA, conditions={}) for name, one in timed.items()}
    slowest = min(found, key=lambda name: found[name].value or 0.0)
    peak = timed[slowest].peak(
        unit(POINT_TO_POINT),
        scale=GIGA,
        conditions={
            "bytes": best.size,
            "pair": slowest,
            "pairs": {name: one.value for name, one in found.items()},
            "convention": "bytes of the message, one way; the slowest pair",
        },
    )
    begins, ends = zip(*(one.window_s for one in timed.values()), strict=True)
    peak.window_s = (min(begins), max(ends))
    return {POINT_TO_POINT: peak}


def pairs(ranks: int) -> list[tuple[int, int]]:
    """Each rank and the next one, around the ring."""
    return [(rank, (rank + 1) % ranks) for rank in range(ranks)]


def _transfer(size: int, link: tuple[int, int], bench: Bench) -> Work:
    """One message over a link; ranks beside it wait."""
    from torch import distributed

    source, target = link
    rank = bench.ranks.rank
    buffer = bench.ranks.attempt(lambda: _array(size, bench))
    if rank == source:
        fill(buffer)

    def call() -> None:
        if rank == source:
            distributed.send(buffer, target)
        elif rank == target:
            distributed.recv(buffer, source)

    call()
    bench.device.synchronize()
    _require_arrived(buffer, link, bench)
    return Work(call=call, amount=float(size))


def _require_arrived(buffer: torch.Tensor, link: tuple[int, int], bench: Bench) -> None:
    step = max(1, buffer.numel() // 1024)
    samples = bench.ranks.gather(buffer[::step].cpu().tolist())
    if samples[link[0]] != samples[link[1]]:
        raise UnmeasurableError(f"what rank {link[0]} sent is not what rank {link[1]} received")


def _require_several(bench: Bench) -> None:
    if bench.ranks.world == 1:
        raise UnmeasurableError("one device has nobody to talk to: topology.devices=2 or more measures it")
