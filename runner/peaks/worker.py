"""One rank of a measurement, in a process of its own: `python -m runner.peaks.worker FOLDER`.

Each figure is told as an event as soon as it is measured: what comes after cannot lose it.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import runner
from hardware.base import Device, DeviceIdentity
from hardware.device import load_device
from hardware.sampling.client import SamplerClient
from runner.core.errors import HardwareError
from runner.core.events import EventWriter, Name
from runner.measure.ranks import UnmeasurableError, first_line, join
from runner.peaks import collectives, copies, memory, products
from runner.peaks.measure import Bench
from runner.peaks.plan import Plan, load_plan
from runner.record.peaks.peak_figures import (
    ALL_REDUCE_ALGORITHM,
    ALL_REDUCE_BUS,
    COPIES,
    MEMORY,
    POINT_TO_POINT,
    PRODUCTS,
    Peak,
    missing,
)
from runner.worker.environment import environment
from runner.worker.main import check_root, end_with_parent, tell_failure

Measurement = Callable[[Bench], dict[str, Peak]]


def main(folder: Path) -> int:
    """Measure everything; returns the exit code. Every failure is told as an ERROR event first."""
    rank = int(os.environ.get("RANK", "0"))
    events = EventWriter(folder / "events" / f"rank{rank}.log", rank=rank)
    began = time.monotonic()
    events.emit(Name.INIT_START, {"pid": os.getpid()})
    end_with_parent(folder)
    try:
        check_root(runner.__file__)
        plan = load_plan(folder)
        bench = _connect(plan, events)
        events.emit(Name.INIT_END, {"seconds": time.monotonic() - began})
        for number, (names, measurement) in enumerate(measurements(plan)):
            found = measured(names, measurement, bench)
            if rank == 0:
                told = {name: asdict(one) for name, one in found.items()}
                events.emit(Name.METRICS, {"step": number, "metrics": told})
        bench.ranks.close()
    except Exception as error:  # noqa: BLE001 -- whatever happened becomes the parent's message and exit code
        return tell_failure(error, events)
    return 0


def measurements(plan: Plan) -> Iterator[tuple[tuple[str, ...], Measurement]]:
    """What is measured of a plan, in the order of `figures.NAMES`: the figures' names, and what measures them."""
    for names, measurement in _all_measurements(plan):
        if not plan.only or {*names} & {*plan.only}:
            yield names, measurement


def _all_measurements(plan: Plan) -> Iterator[tuple[tuple[str, ...], Measurement]]:
    for name, compute in PRODUCTS.items():
        yield (name,), partial(products.measure_product, compute, plan.precisions.get(compute))
    yield (MEMORY,), memory.measure_memory
    for name in COPIES:
        yield (name,), partial(copies.measure_copy, name)
    yield (ALL_REDUCE_BUS, ALL_REDUCE_ALGORITHM), collectives.measure_all_reduce
    yield (POINT_TO_POINT,), collectives.measure_point_to_point


def measured(names: tuple[str, ...], measurement: Measurement, bench: Bench) -> dict[str, Peak]:
    """The figures, or the reason why this device has none.

    Raises:
        Exception: the device no longer works, or one rank of several failed while the others went on.
    """
    try:
        found = measurement(bench)
    except UnmeasurableError as error:
        found = missing(names, str(error))
    except Exception as error:
        if bench.ranks.world > 1:
            raise
        traceback.print_exc()
        found = missing(names, first_line(error))
    bench.device.synchronize()
    memory.empty_cache(bench)
    return found


def _connect(plan: Plan, events: EventWriter) -> Bench:
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    vendor = plan.case.vendor
    device = load_device(vendor)
    device.connect()
    if local_rank >= device.count():
        raise HardwareError(
            f"topology.devices={plan.devices}, but only {device.count()} devices of {vendor.title} are visible. "
            f"Lower topology.devices, or look at {vendor.visible_devices_env}."
        )
    torch_device = device.torch_device(local_rank)
    _make_current(device, local_rank)
    ranks = join(_backend(device) if plan.devices > 1 else "")
    device.seed(plan.case.seed + ranks.rank)
    mark = _sampler_mark(device.own_identities(plan.devices)) if local_rank == 0 else _no_mark
    if ranks.rank == 0:
        events.emit(Name.ENVIRONMENT, environment(device, plan.devices))
    return Bench(
        device=device,
        torch_device=torch_device,
        ranks=ranks,
        seconds=plan.seconds,
        mark=mark,
        on_host=vendor.on_host,
    )


def _make_current(device: Device, index: int) -> None:
    """Have torch's module of the device type submit to this device."""
    import torch

    torch_device = device.torch_device(index)
    choose = getattr(getattr(torch, torch_device.type, None), "set_device", None)
    if choose is not None:
        choose(torch_device)


def _backend(device: Device) -> str:
    """torch.distributed's name of the communication library, as the device tells it."""
    told = getattr(device, "communication_backend", device.spec.communication_backend)
    return str(told() if callable(told) else told)


def _no_mark(name: str) -> float:
    """Ranks beside the first of a node leave the sensors to it."""
    return time.monotonic()


def _sampler_mark(identities: list[DeviceIdentity]) -> Callable[[str], float]:
    client = SamplerClient.from_environment()
    client.watch(os.getpid())
    client.devices(identities)
    return client.mark


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
