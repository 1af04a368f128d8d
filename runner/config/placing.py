"""Where the ranks of a case are: the layout of their work, the launcher that starts them, this machine or others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

from runner.config.schema import SHARDED, Case
from runner.config.task import Demands
from runner.core.errors import ConfigurationError, DependencyError
from runner.core.registries import LAUNCHERS

PORTS = 2**16


def ranks_here(case: Case) -> bool:
    """Whether ranks of the case run on this machine, so that its devices can be looked at before anything starts."""
    launcher: Any = LAUNCHERS.find(case.launcher.name)
    return case.topology.name != "cluster" or bool(launcher.here)


def check_launcher(case: Case, task: Demands) -> None:
    """Refuse a launcher that would not be used, or cannot be.

    Raises:
        ConfigurationError: it does not go with the case.
        DependencyError: something that it needs is not installed.
    """
    launcher: Any = LAUNCHERS.find(case.launcher.name)
    cluster = case.topology.name == "cluster"
    if not launcher.here and not cluster:
        raise ConfigurationError(
            f"launcher={case.launcher.name} starts the ranks of topology=cluster, and this is topology="
            f"{case.topology.name}, whose ranks run on this machine. For one node of it: topology=cluster "
            f"topology.nodes=1 topology.devices={case.topology.devices}."
        )
    if not cluster or not task.on_device:
        return
    _, colon, port = (case.launcher.address or "").partition(":")
    if colon and ":" not in port and not (port.isdigit() and int(port) < PORTS):
        raise ConfigurationError(f"launcher.address={case.launcher.address}: the part after ':' is no port.")
    if case.tuning.auto_batch:
        raise ConfigurationError(
            "tuning.auto_batch=true looks for a batch size on one machine. Look for it with topology=node and the same "
            "number of devices, then give the one it found as model.train.batch_size."
        )
    if (reason := launcher.unavailable_reason()) is not None:
        raise DependencyError(reason)


def laid_out(case: Case) -> Case:
    """The case with `topology.parallel.data` as many as the rest of the layout leaves room for.

    Raises:
        ConfigurationError: the layout does not come out at the number of ranks; says which numbers do.
    """
    topology, parallel = case.topology, case.topology.parallel
    ranks, spread = topology.ranks, parallel.fsdp * parallel.shared
    if ranks < 1:
        raise ConfigurationError(f"topology.devices={topology.devices} must be at least 1.")
    if ranks % spread == 0 and parallel.data in (None, ranks // spread):
        return replace(case, topology=replace(topology, parallel=replace(parallel, data=ranks // spread)))
    sizes = {"data": parallel.data, **{name: getattr(parallel, name) for name in SHARDED}}
    told = " x ".join(f"{name} {size}" for name, size in sizes.items() if size is not None)
    count = f"{topology.nodes} x {topology.devices} = {ranks}" if topology.nodes > 1 else str(ranks)
    raise ConfigurationError(
        f"topology.parallel: {told} = {spread * (parallel.data or 1)} does not make the {count} ranks of "
        f"topology.nodes x topology.devices. {_fitting(ranks, sizes)}"
    )


def _fitting(ranks: int, sizes: Mapping[str, int | None]) -> str:
    """Which single numbers, changed, would make a layout of so many ranks."""
    given = {name: size for name, size in sizes.items() if size is not None}
    fits = []
    for name in sizes:
        others = prod(size for other, size in given.items() if other != name)
        if ranks % others == 0 and ranks // others != sizes[name]:
            fits.append(f"topology.parallel.{name}={ranks // others}")
    return f"What would: {', or '.join(fits)}." if fits else f"Choose factors of {ranks}."
